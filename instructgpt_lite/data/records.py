"""Prompts, demonstrations, rankings: the data of the paper's steps (§3.1), checked.

    step 1, SFT    Demonstration   a prompt and what a labeler would answer
    step 2, RM     Ranking         a prompt, K responses, their ranks (1 is best)
    step 3, PPO    Prompt          a prompt alone

A record that exists is sound: no later module tests its fields again. Every fault is a
`ValueError` that reads "field: got X, expected Y; what to do". A response may be empty
text (a policy may say nothing); a prompt may not.
"""

import json
import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field


class Fault(ValueError):
    """One fault of one field."""

    def __init__(self, name: str, got: str, expected: str, fix: str):
        super().__init__(f"{name}: got {got}, expected {expected}; {fix}")
        self.field = name


class DataError(ValueError):
    """All faults of a file or a list of records; the message shows the first 12."""

    def __init__(self, summary: str, faults: Sequence[str] = (), shown: int = 12):
        more = [f"... and {len(faults) - shown} more"] if len(faults) > shown else []
        super().__init__("\n".join([summary, *faults[:shown], *more]))
        self.faults = tuple(faults)


def kind_of(value: object) -> str:
    """A short description for error messages; control characters come out escaped."""
    return f"{reprlib.repr(value)} ({type(value).__name__})"


@dataclass(frozen=True)
class Prompt:
    """What `author` asks; `key` is what a gold scorer needs to know, as JSON."""

    prompt: str
    category: str = ""
    author: str = ""
    key: dict = field(default_factory=dict, hash=False)

    responses = ()                        # nothing answers it yet

    def __post_init__(self):
        check_common(self, "category", "author")


@dataclass(frozen=True)
class Demonstration:
    """A prompt and the answer that `author` demonstrates."""

    prompt: str
    completion: str
    author: str = ""
    category: str = ""
    key: dict = field(default_factory=dict, hash=False)

    def __post_init__(self):
        check_common(self, "author", "category")
        check_text("completion", self.completion)

    @property
    def responses(self) -> tuple[str, ...]:
        """The texts that answer the prompt."""
        return (self.completion,)


@dataclass(frozen=True)
class Ranking:
    """K >= 2 responses to one prompt, ranked by `labeler`; 1 is best, equal is a tie.

    Ties make no pair (the paper drops them), so responses that all tie are refused:
    they would be a mean over nothing. After a tie the next rank may be the next number
    (1 1 2) or the next place (1 1 3).
    """

    prompt: str
    completions: tuple[str, ...]
    ranks: tuple[int, ...]
    labeler: str = ""
    category: str = ""
    key: dict = field(default_factory=dict, hash=False)

    def __post_init__(self):
        check_common(self, "labeler", "category")
        for name in ("completions", "ranks"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)):
                raise Fault(name, kind_of(value), "a list",
                            f"write {name} as [first, second, ...]")
            object.__setattr__(self, name, tuple(value))
        K = len(self.completions)
        if K < 2:
            raise Fault("completions", f"{K} of them", "at least 2",
                        "a ranking compares; drop the row, or add a response")
        for place, completion in enumerate(self.completions):
            check_text(f"completions[{place}]", completion)
        object.__setattr__(self, "ranks", checked_ranks(self.ranks, K))
        for better, worse in self.pairs:
            if self.completions[better] == self.completions[worse]:
                ranks = f"{self.ranks[better]} and {self.ranks[worse]}"
                raise Fault("ranks", f"one text ranked {ranks}", "equal texts to tie",
                            "give both the same rank, or keep one of them")

    @property
    def responses(self) -> tuple[str, ...]:
        """The texts that answer the prompt."""
        return self.completions

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Places (better, worse) of every untied pair: C(K, 2) when nothing ties."""
        ranks, places = self.ranks, range(len(self.ranks))
        return tuple((better, worse) for better in places for worse in places
                     if ranks[better] < ranks[worse])

    def comparisons(self) -> tuple[tuple[str, str], ...]:
        """Texts (chosen, rejected) of every untied pair, in the order of `pairs`."""
        return tuple((self.completions[better], self.completions[worse])
                     for better, worse in self.pairs)


Record = Prompt | Demonstration | Ranking


def check_common(record: Record, *names: str) -> None:
    """The prompt is not blank, `names` are text, `key` is sound JSON."""
    check_text("prompt", record.prompt)
    if not record.prompt.strip():
        raise Fault("prompt", "no words", "a prompt", "write one, or drop the row")
    for name in names:
        check_text(name, getattr(record, name))
    check_json("key", record.key)


def check_text(name: str, value: object) -> None:
    """Text that UTF-8 and every tokenizer can take."""
    if not isinstance(value, str):
        raise Fault(name, kind_of(value), "text",
                    "write it in quotes, or leave out a field you have not")
    if unwritable := re.search("[\0\ud800-\udfff]", value):
        sign = f"U+{ord(unwritable[0]):04X} at character {unwritable.start()}"
        raise Fault(name, sign, "text without NUL and lone surrogates",
                    "remove that character")


def check_json(name: str, value: object) -> None:
    """A dict that JSON gives back unchanged: text as keys, lists not tuples, no NaN."""
    if not isinstance(value, dict):
        raise Fault(name, kind_of(value), "a dict", "wrap the value as {name: value}")
    try:
        written = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        same = json.loads(written) == value
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise Fault(name, reprlib.repr(value), "values that JSON gives back unchanged",
                    "use text keys, lists for tuples, finite numbers")


def checked_ranks(ranks: tuple, K: int) -> tuple[int, ...]:
    """K plain ints from 1 without a gap; integers of numpy and torch become such."""
    if len(ranks) != K:
        raise Fault("ranks", f"{len(ranks)} ranks", f"{K}, one for each completion",
                    "add or drop some")
    for place, rank in enumerate(ranks):
        if isinstance(rank, bool) or not hasattr(rank, "__index__"):
            raise Fault(f"ranks[{place}]", kind_of(rank), "a whole number",
                        "write 1 for the best")
    ranks = tuple(rank.__index__() for rank in ranks)
    next_number = set(ranks) == set(range(1, len(set(ranks)) + 1))
    next_place = all(rank == 1 + sum(other < rank for other in ranks) for rank in ranks)
    if not (next_number or next_place):
        raise Fault("ranks", reprlib.repr(list(ranks)),
                    f"1 to {K} with no gap but after a tie",
                    "1 is the best response; write 1 2 3, 1 1 2 or 1 1 3")
    if set(ranks) == {1}:
        raise Fault("ranks", f"a tie of all {K}", "one response better than another",
                    "drop the row: a tie makes no pair and teaches nothing")
    return ranks
