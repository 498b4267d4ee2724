"""A source of what people have made: it has demonstrations and rankings already.

A prompt with a ranking says which by its key, so that stages which ask people to rank
get what these people have ranked.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from instructgpt_lite.config import Run
from instructgpt_lite.data.protocols import Answer
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking
from instructgpt_lite.files import write_bytes

END = "<|endoftext|>"                 # between the documents of a text
LETTERS = 8                           # of text for a token, at first


def check_lengths(config: Run, context: int) -> None:
    """ValueError where rows that stages read are longer than a model's context."""
    more = max(0, config.ppo.max_new_tokens - config.collect.max_new_tokens)
    longest = max(getattr(config.data, "tokens", config.collect.max_new_tokens) + more,
                  config.rl_init.mix_length, config.ppo.ptx_length)
    if longest > context:
        raise ValueError("max_new_tokens, data.tokens, rl_init.mix_length or "
                         f"ppo.ptx_length asks for {longest} tokens, the model's "
                         f"context is {context}: lower it")


class Text:
    """A `Corpus` of plain text: rows begin at a word drawn at random."""

    def __init__(self, text: str, tokenizer: Any) -> None:
        circle = f"{text.strip()}{END} "
        self.text, self.tokenizer = circle.replace(END, tokenizer.eos_token), tokenizer

    def rows(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """(count, length) token ids; the text is a circle."""
        starts = torch.randint(len(self.text), (count,), generator=generator)
        return torch.tensor([self.row(start, length) for start in starts.tolist()])

    def row(self, start: int, length: int) -> list[int]:
        """The first `length` tokens of the words after a place."""
        ids, letters = [], LETTERS * length
        while len(ids) < length:
            piece = self.text[start:start + letters]
            while len(piece) < letters:
                piece += self.text[:letters - len(piece)]
            words = "".join(piece.split(maxsplit=1)[-1:])
            ids = self.tokenizer.encode(words, add_special_tokens=False)
            letters *= 2
        return ids[:length]


@dataclass
class Given:
    """What people have made, a `Source`.

    shown: demonstrations; the first are shown, the prompts of the rest are for RL.
    ranked, put_aside: rankings for the reward model, and for a second, which judges.
    test: held-out prompts. heldout_rankings: by whom. known: what is worth telling.
    """

    shown: Sequence[Demonstration]
    ranked: Sequence[Ranking]
    put_aside: Sequence[Ranking]
    test: Sequence[Prompt]
    heldout_rankings: Mapping[str, list[Ranking]]
    text: str
    demonstrated: int                 # of `shown`: whose completions are used
    ranking_prompts: int              # of `ranked`: how many are used
    instruments: Mapping[str, Callable[[str], float]] = field(default_factory=dict)
    known: dict = field(default_factory=dict)

    gold = None                       # nobody knows what a response is worth
    people = {}                       # and those who ranked cannot be asked again

    def __post_init__(self) -> None:
        """ValueError where less is given than is to be used, or no text."""
        if len(self.text.split(maxsplit=1)) < 2:
            raise DataError("data.text: got no words, expected pretraining text; give "
                            "a file with some")
        for name, asked, given in (
                ("sft.demonstrations or rl_init.demonstrations", self.demonstrated,
                 len(self.shown)),
                ("collect.prompts", self.ranking_prompts, len(self.ranked))):
            if asked > given:
                raise ValueError(f"{name} is {asked:,}, but of what was given "
                                 f"{given:,} are left to learn from ({self.known}): "
                                 "ask for fewer")

    def settle(self, folder: Path) -> None:
        """Leave the sha256 of all that is given; ValueError where another is there."""
        given = [value for name, value in vars(self).items() if name != "instruments"]
        digest = hashlib.sha256(repr(given).encode()).hexdigest()
        path = folder / "data.sha256"
        if path.exists() and path.read_text() != digest:
            raise ValueError(f"{folder} has learned from other data than is given now: "
                             "give what was given before, or another folder")
        write_bytes(path, digest.encode())

    @property
    def train(self) -> list[Prompt]:
        """Prompts that are shown, that have rankings, and for RL, in this order."""
        asked = [Prompt(each.prompt, each.category) for each in self.shown]
        compared = [Prompt(each.prompt, each.category, key={"ranking": place})
                    for place, each in enumerate(self.ranked[:self.ranking_prompts])]
        return [*asked[:self.demonstrated], *compared, *asked[self.demonstrated:]]

    def demonstrations(self, count: int, seed: int = 0) -> list[Demonstration]:
        """The first ones; people wrote them once, whatever the seed."""
        if count > len(self.shown):
            raise ValueError(f"{count} demonstrations are asked for, but there are "
                             f"{len(self.shown)}: ask for fewer")
        return list(self.shown[:count])

    def meet(self, answer: Answer) -> dict:
        """What is known of the data; nobody has to see an answer for it."""
        return self.known

    def recall(self, known: dict) -> None:
        """Nothing to give back."""

    def rank(self, prompts: Sequence[Prompt], answer: Answer,
             rng: Random) -> list[Ranking]:
        """The rankings that these prompts name; nothing is answered."""
        return [self.ranked[prompt.key["ranking"]] for prompt in prompts]

    def heldout(self, prompts: Sequence[Prompt], answer: Answer,
                seed: int) -> dict[str, list[Ranking]]:
        """People's rankings of held-out responses, whoever answers what."""
        return dict(self.heldout_rankings)

    def second(self) -> list[Ranking]:
        """The rankings put aside."""
        return list(self.put_aside)

    def few_shot(self, prompt: Prompt, shots: int, rng: Random) -> str:
        """The prompt after others with their answers, drawn from those shown."""
        shown = list(self.shown[:self.demonstrated])
        page = [f"Question: {each.prompt}\nAnswer: {each.completion}\n"
                for each in rng.sample(shown, min(shots, len(shown)))]
        return "".join(page) + f"Question: {prompt.prompt}\nAnswer:"

    def corpus(self, tokenizer: Any) -> Text:
        """Plain text in these token ids."""
        return Text(self.text, tokenizer)
