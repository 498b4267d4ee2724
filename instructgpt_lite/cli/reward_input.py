"""What the reward command reads: rankings on two sides, and the model to start from.

Nothing is written here. `flags` are those of cli.reward.RewardCommand.
"""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from instructgpt_lite.config import Architecture
from instructgpt_lite.data.curation import check_leakage, fit, split_by_text
from instructgpt_lite.data.hub import check_reachable, read_hub
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.ratings import Rated, drawn_rankings, read_ratings
from instructgpt_lite.data.records import Demonstration, Ranking
from instructgpt_lite.data.tokenizers import gpt2_tokenizer, unknown_words
from instructgpt_lite.models.networks import Policy

TINY = Path(__file__).parent.parent / "bases" / "tiny"
MOST_UNKNOWN = 0.2        # share of words; with more, the scores would be of blanks
FEW = 20                  # pairs; an interval of fewer says little
Encode = Callable[[str], tuple[int, ...]]


@dataclass
class Input:
    """Rankings on both sides; of ratings, also the texts that held-out keys name."""

    train: list[Ranking]
    heldout: list[Ranking]
    demonstrations: list[Demonstration] = field(default_factory=list)
    rated: list[Rated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(flags: Any) -> Input:
    """All records, none of them on both sides; what warns on the way becomes a note."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        data = from_ratings(flags) if flags.ratings else from_rankings(flags)
        if flags.demonstrations:
            data.demonstrations = read_jsonl(flags.demonstrations, Demonstration,
                                             drop_bad=flags.drop_bad)
    data.notes += dict.fromkeys(str(warning.message) for warning in told
                                if warning.category is UserWarning)
    pairs = sum(len(ranking.pairs) for ranking in data.heldout)
    if pairs < FEW:
        data.notes.append(f"only {pairs} held-out pairs: accuracy and interval say "
                          "little")
    return data


def from_ratings(flags: Any) -> Input:
    """Rankings drawn from ratings by people; each text is on one side."""
    # Lest GPT-2 read "Good", "good" and " good" as three words.
    rated = [replace(one, text=" " + one.text.lower())
             for one in read_ratings(flags.ratings)]
    seed = flags.config.seed
    train, heldout = split_by_text(rated, lambda one: one.text, flags.heldout_share,
                                   seed)
    data = Input(drawn_rankings(train, flags.passes, seed),
                 drawn_rankings(heldout, 1, seed), rated=heldout)
    check_leakage(data.train, data.heldout, responses=True)
    return data


def from_rankings(flags: Any) -> Input:
    """Rankings of a file, a folder or the Hub; each prompt is on one side."""
    train = rankings(flags, flags.hub or flags.rankings)
    if flags.heldout:
        heldout = rankings(flags, flags.heldout)
    else:
        train, heldout = split_by_text(train, lambda each: each.prompt,
                                       flags.heldout_share, flags.config.seed)
    check_leakage(train, heldout)
    return Input(train, heldout)


def rankings(flags: Any, source: str | Path) -> list[Ranking]:
    """The rankings of a file, of a folder in the Hub's layout, or of the Hub."""
    options = {"drop_bad": flags.drop_bad, "prompt_column": flags.prompt_column}
    if source == flags.hub or Path(source).is_dir():
        return read_hub(str(source), Ranking, flags.revision, subset=flags.subset,
                        **options)
    return read_jsonl(source, Ranking, **options)


def start(flags: Any, data: Input) -> Policy:
    """The model whose trunk the reward model takes: yours, a new one, tiny's base."""
    if flags.model:
        policy = Policy.load(existing(flags.model))
    elif flags.tokenizer == "gpt2" or flags.ratings:
        tokenizer = gpt2_tokenizer(flags.tokenizer_files)
        policy = new_policy(flags.trunk, tokenizer, flags.config.seed)
    else:
        policy = Policy.load(TINY)

    @lru_cache(None)
    def encode(text: str) -> tuple[int, ...]:
        return tuple(policy.tokenizer.encode(text, add_special_tokens=False))

    check_words(data, policy, flags.model or "the tiny base model")
    drop_long(data, policy, encode)
    check_alike(data, encode)
    return policy


@torch.no_grad()
def new_policy(trunk: Architecture, tokenizer: Any, seed: int) -> Policy:
    """A new GPT-2 with small embeddings: most of 50,000 tokens are seen seldom."""
    policy = Policy.new(trunk, tokenizer, seed)
    for table in (policy.model.transformer.wte, policy.model.transformer.wpe):
        table.weight *= 0.1
    return policy


def existing(model: str) -> str:
    """The name, if it is a folder or the Hub may have it; else an OSError, at once."""
    if not Path(model).is_dir():
        from huggingface_hub import constants
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", model):
            raise FileNotFoundError(f"--model {model}: no such folder")
        if not constants.HF_HUB_OFFLINE:
            check_reachable(constants.ENDPOINT, f"models/{model}")
    return model


def check_words(data: Input, policy: Policy, name: str) -> None:
    """Note words that the model does not know; ValueError when they are too many."""
    texts = [text for ranking in (*data.train, *data.heldout)
             for text in (ranking.prompt, *ranking.responses)]
    unknown, total = unknown_words(policy.tokenizer, texts)
    often = ", ".join(repr(word) for word, _ in unknown.most_common(5))
    if unknown.total() > MOST_UNKNOWN * total:
        raise ValueError(f"{name} does not know {unknown.total():,} of {total:,} words,"
                         f" such as {often}: start with --model NAME, a causal language"
                         " model in Hugging Face format, or with --tokenizer gpt2, a"
                         " small new one that reads every word")
    if unknown:
        data.notes.append(f"{unknown.total():,} of {total:,} words are unknown to the "
                          f"model, such as {often}")


def drop_long(data: Input, policy: Policy, encode: Encode) -> None:
    """Leave out, with a note, what is too long for the model; DataError when all is."""
    def asked(prompt: str) -> list[int]:
        return policy.encode([prompt])[0]

    for side in ("train", "heldout", "demonstrations"):
        if records := getattr(data, side):
            kept = fit(records, asked, encode, policy.context)
            setattr(data, side, kept)
            if dropped := len(records) - len(kept):
                data.notes.append(
                    f"{side}: {dropped:,} of {len(records):,} rows left out, longer "
                    f"than the model's context of {policy.context}")


def check_alike(data: Input, encode: Encode) -> None:
    """Note pairs of equal tokens; ValueError when all of a side are."""
    for side in ("train", "heldout"):
        pairs = [pair for each in getattr(data, side) for pair in each.comparisons()]
        alike = [better for better, worse in pairs if encode(better) == encode(worse)]
        if not alike:
            continue
        told = (f"{side}: {len(alike):,} of {len(pairs):,} pairs read alike to the "
                "model, which knows nothing that differs (unknown words, spaces), such "
                f"as {alike[0][:60]!r}")
        if len(alike) == len(pairs):
            raise ValueError(f"{told}: nothing can be learned; take another --model, "
                             "or --tokenizer gpt2")
        data.notes.append(told)
