"""What a whole list of records must satisfy before a model learns from it.

One sound record can still be too long for the model, say the opposite of another, stand in the training
and in the test set, or belong to a file in which the longer response always wins.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from instructgpt_lite.data.records import DataError, Fault, Ranking, Record


def contradictions(rankings: dict[int, Ranking]) -> dict[int, Fault]:
    """Line to fault, where one labeler ranked the same two responses both ways.

    Different labelers may disagree (about a quarter of the paper's pairs, §3.4); a file without their
    names counts as one labeler.
    """
    line_of, faults = {}, {}
    for line, ranking in rankings.items():
        asked = (ranking.labeler, ranking.prompt)
        for better, worse in ranking.comparisons():
            line_of.setdefault((asked, better, worse), line)
            if (earlier := line_of.get((asked, worse, better))) is not None:
                faults[line] = Fault("ranks", f"{better[:40]!r} over {worse[:40]!r}",
                                     f"the opposite, as in line {earlier}",
                                     "keep one of the two, or name their labelers")
    return faults


def length_baseline(rankings: Sequence[Ranking]) -> tuple[float, int]:
    """Share of pairs explained by the length of the responses alone, and the number of pairs.

    The better of "the longer wins" and "the shorter wins"; equal lengths explain nothing. In characters.
    """
    gaps = [len(better) - len(worse) for ranking in rankings for better, worse in ranking.comparisons()]
    longer, shorter = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    return max(longer, shorter) / max(len(gaps), 1), len(gaps)


def normalised(text: str) -> str:
    """Letters' case, width and spacing put aside, so that two writings of one prompt are equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def check_leakage(train: Sequence[Record], test: Sequence[Record]) -> None:
    """Raise DataError where a prompt of `test` is also in `train` (`normalised`).

    It cannot see a paraphrase or a changed word. Rows are counted from 1.
    """
    row_of = {normalised(record.prompt): row for row, record in reversed(list(enumerate(train, start=1)))}
    faults = [f"test row {row}: prompt: got {record.prompt[:60]!r}, expected a prompt that training has not"
              f" (train row {row_of[normalised(record.prompt)]}); drop it from one of the two"
              for row, record in enumerate(test, start=1) if normalised(record.prompt) in row_of]
    if faults:
        raise DataError(f"{len(faults)} of {len(test)} test prompts leak from the {len(train)} of training",
                        faults)


def fit(records: Sequence[Record], encode: Callable[[str], Sequence[int]], context: int,
        policy: str = "drop", new_tokens: int = 0) -> tuple[list[Record], dict[str, int]]:
    """The records that fit into `context` tokens, and counts {kept, truncated, dropped}.

    A row is the prompt and a newline, the response and the end-of-text token; a ranking counts its longest
    response, and a Prompt leaves room for `new_tokens`. What is too long is dropped, raises DataError
    ("error"), or loses words at the beginning of its prompt ("truncate-left") if at least one can stay.
    """
    if policy not in ("drop", "error", "truncate-left"):
        raise ValueError(f"policy: got {policy!r}, expected 'drop', 'error' or 'truncate-left'; change it")
    asked = [len(encode(record.prompt + "\n")) for record in records]
    said = [max((len(encode(text)) + 1 for text in record.responses), default=new_tokens)
            for record in records]
    kept, faults, truncated = [], [], 0
    for row, (record, prompt, response) in enumerate(zip(records, asked, said), start=1):
        if prompt + response <= context:
            kept.append(record)
            continue
        faults.append(f"row {row}: {sum_of(prompt, response, context)}")
        room = context - response if policy == "truncate-left" else 0
        if shorter := truncated_left(record.prompt, encode, room):
            kept.append(replace(record, prompt=shorter))
            truncated += 1
    if policy == "error" and faults:
        raise DataError(f"{len(faults)} of {len(records)} records are too long; shorten them, raise context,"
                        " or take policy 'drop'", faults)
    if not kept:
        why = min(zip(asked, said), key=sum, default=None)
        shortest = f"; the shortest: {sum_of(*why, context)}" if why else ""
        raise DataError(f"0 usable records of {len(records)}: {len(faults)} too long{shortest}", faults)
    return kept, {"kept": len(kept), "truncated": truncated, "dropped": len(records) - len(kept)}


def sum_of(prompt: int, response: int, context: int) -> str:
    total = prompt + response
    return (f"prompt: got {prompt} + {response} for the response = {total} tokens, expected at most"
            f" {context}; shorten it by {total - context}, or raise context")


def truncated_left(prompt: str, encode: Callable[[str], Sequence[int]], room: int) -> str:
    """The longest end of `prompt`, from the start of a word, of at most `room` tokens; "" if none is."""
    starts = [word.start() for word in re.finditer(r"\S+", prompt)]
    place = bisect_left(starts, True, key=lambda start: len(encode(prompt[start:] + "\n")) <= room)
    return prompt[starts[place]:] if place < len(starts) else ""
