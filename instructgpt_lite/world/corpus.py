"""Endless pretraining text of one world, made as fast as it is read: no data files."""

import re
from itertools import accumulate
from random import Random
from typing import Any

import torch
from torch import Tensor

from instructgpt_lite.data.tokenizers import TOKEN
from instructgpt_lite.world.documents import DOCUMENTS
from instructgpt_lite.world.facts import Fact

TOKENS = re.compile(TOKEN)


class Corpus:
    """Rows of token ids; where EOS stands, a document ends."""

    def __init__(self, facts: list[Fact], tokenizer: Any):
        self.facts, self.tokenizer = facts, tokenizer
        self.ids, self.eos = tokenizer.get_vocab(), tokenizer.eos_token_id
        self.kinds, self.weights = list(DOCUMENTS), list(accumulate(DOCUMENTS.values()))

    def rows(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """(count, length) token ids; every row begins where a document begins."""
        rng = Random(int(torch.randint(2**62, (1,), generator=generator)))
        return torch.tensor([self.row(length, rng) for _ in range(count)])

    def row(self, length: int, rng: Random) -> list[int]:
        """Documents one after the other, EOS after each, cut at `length` tokens."""
        row: list[int] = []
        while len(row) < length:
            kind, = rng.choices(self.kinds, cum_weights=self.weights)
            for text in kind(self.facts, rng):
                row += self.encode(text)
            row.append(self.eos)
        return row[:length]

    def encode(self, text: str) -> list[int]:
        """What the tokenizer gives, but faster; KeyError for an unknown word."""
        return [self.ids[word] for word in TOKENS.findall(text)]
