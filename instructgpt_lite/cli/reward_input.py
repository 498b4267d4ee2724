"""What the reward command reads: rankings to train on, rankings to judge by, the model to start from.

Nothing is written here. `flags` are those of cli.reward.RewardFlags.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch

from instructgpt_lite.config import Architecture
from instructgpt_lite.data.audit import check_leakage, fit
from instructgpt_lite.data.gpt2 import gpt2_tokenizer
from instructgpt_lite.data.hub import check_reachable, hub_rankings
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.ratings import (
    Rated,
    check_texts_apart,
    drawn_rankings,
    read_ratings,
    split_by_text,
)
from instructgpt_lite.data.records import Demonstration, Ranking, Record
from instructgpt_lite.models.networks import Policy

TINY = Path(__file__).parent.parent / "bases" / "tiny"
MOST_UNKNOWN = 0.2                    # share of words; with more, the scores would be of blanks


@dataclass
class Input:
    """Rankings on both sides; of ratings, also the rated texts that the held-out `key`s count in."""

    train: list[Ranking]
    heldout: list[Ranking]
    demonstrations: list[Demonstration] = field(default_factory=list)
    rated: list[Rated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def raters(self) -> list[list[tuple[int, ...]]]:
        """Of each held-out ranking, all ratings of each of its texts."""
        return [[self.rated[place].ratings for place in ranking.key["rated"]] for ranking in self.heldout]


def read(flags) -> Input:
    """All records, none of them on both sides."""
    seed, share = flags.config.seed, flags.heldout_share
    shown = read_jsonl(flags.demonstrations, Demonstration) if flags.demonstrations else []
    if flags.ratings:
        rated = read_ratings(flags.ratings)
        if flags.lower_case:
            rated = [replace(one, text=" " + one.text.lower()) for one in rated]
        train, heldout = split_by_text(rated, lambda one: one.text, share, seed)
        ranked = drawn_rankings(train, flags.passes, seed), drawn_rankings(heldout, 1, seed)
        check_texts_apart(*ranked)
        return Input(*ranked, shown, heldout)
    if flags.hub:
        rankings = hub_rankings(flags.hub, flags.revision, subset=flags.subset, drop_bad=flags.drop_bad)
    else:
        rankings = read_jsonl(flags.rankings, Ranking)
    if flags.heldout:
        sides = rankings, read_jsonl(flags.heldout, Ranking)
    else:
        sides = split_by_text(rankings, lambda ranking: ranking.prompt, share, seed)
    check_leakage(*sides)
    return Input(*sides, shown)


def start(flags, data: Input) -> Policy:
    """The model whose trunk the reward model takes: the one named, a new one, or the shipped tiny base."""
    if flags.model:
        policy = Policy.load(there(flags.model))
    elif flags.tokenizer == "gpt2" or flags.ratings:
        return new_policy(flags.trunk, gpt2_tokenizer(flags.tokenizer_files), flags.config.seed)
    else:
        policy = Policy.load(TINY)
    unknown, total = unknown_words(policy.tokenizer, [*data.train, *data.heldout])
    count, often = sum(unknown.values()), ", ".join(repr(word) for word, _ in unknown.most_common(5))
    if count > MOST_UNKNOWN * total:
        raise ValueError(f"{flags.model or 'the tiny base model'} does not know {count:,} of {total:,} words,"
                         f" such as {often}: start with --model NAME, any causal language model in Hugging "
                         "Face format, or with --tokenizer gpt2, a small new one that reads every word")
    if count:
        data.notes.append(f"{count:,} of {total:,} words are unknown to the model, such as {often}")
    return policy


@torch.no_grad()
def new_policy(trunk: Architecture, tokenizer, seed: int) -> Policy:
    """A new GPT-2 with small embeddings: of 50,000 tokens most are seen seldom, and should then say little."""
    policy = Policy.new(trunk, tokenizer, seed)
    for table in (policy.model.transformer.wte, policy.model.transformer.wpe):
        table.weight *= 0.1
    return policy


def there(model: str) -> str:
    """The name, if it is a folder or the Hub answers that may have it; else an OSError, at once."""
    if not Path(model).is_dir():
        from huggingface_hub import constants
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", model):
            raise FileNotFoundError(f"--model {model}: no such folder")
        if not constants.HF_HUB_OFFLINE:
            check_reachable(constants.ENDPOINT)
    return model


def unknown_words(tokenizer, records: Sequence[Record]) -> tuple[Counter, int]:
    """How often which word is unknown to the tokenizer, and how many tokens there are."""
    unknown, total = Counter(), 0
    blank = tokenizer.unk_token_id
    if blank in (None, tokenizer.eos_token_id):        # GPT-2 knows all bytes; its unknown token is for show
        return unknown, 1
    texts = [text for record in records for text in (record.prompt, *record.responses)]
    read = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    for text, ids, offsets in zip(texts, read["input_ids"], read["offset_mapping"]):
        total += len(ids)
        unknown.update(text[begin:end] for one, (begin, end) in zip(ids, offsets) if one == blank)
    return unknown, max(1, total)


def fitting(data: Input, policy: Policy) -> None:
    """Leave out, with a note, what is too long for the model. DataError when nothing stays."""
    context = getattr(policy.model.config, "max_position_embeddings", None)
    if context is None:
        return

    @lru_cache(None)
    def encode(text: str) -> list[int]:
        return policy.tokenizer.encode(text, add_special_tokens=False)

    for side in ("train", "heldout", "demonstrations"):
        records = getattr(data, side)
        if records:
            kept, counts = fit(records, encode, context)
            setattr(data, side, kept)
            if counts["dropped"]:
                data.notes.append(f"{side}: {counts['dropped']:,} of {len(records):,} rows left out, longer "
                                  f"than the model's context of {context} tokens")
