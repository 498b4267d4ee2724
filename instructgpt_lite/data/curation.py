"""What a whole list of records must satisfy before a model learns from it.

The paper's care for its prompts (§3.2, App. A) is four heuristics; each says what it
cannot do.

    drop_long_common_prefix    "checking for prompts that share a long common prefix"
    cap_per_author             at most 200 prompts a user
    split_by_author            train, validation and test share no user
    drop_pii                   no personal data in the training split

The paper says "user ID" in §3.2, "organization" in App. A.2: `author` may be either.
The others look at rankings and files: contradictions, leakage, rows that are too long.
"""

import hashlib
import ipaddress
import json
import math
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TypeVar

from instructgpt_lite.data.records import DataError, Fault, Ranking, Record

T = TypeVar("T")


def normalised(text: str) -> str:
    """Case, width and spacing put aside: two writings of one prompt are equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def drop_long_common_prefix(prompts: Iterable[Record],
                            length: int = 100) -> list[Record]:
    """Without prompts whose first `length` signs, `normalised`, an earlier one has.

    Shorter prompts go only if they are equal. The paper does not say how long is long.
    A paraphrase passes; two questions below one long instruction count as the same.
    """
    if length < 1:
        raise ValueError(f"length: got {length}, expected at least 1 sign; raise it")
    firsts: dict[str, Record] = {}
    for record in prompts:
        firsts.setdefault(normalised(record.prompt)[:length], record)
    return list(firsts.values())


def cap_per_author(prompts: Iterable[Record], limit: int = 200) -> list[Record]:
    """Each author's first `limit` prompts; one with two accounts is two authors.

    The paper does not say which 200 it kept: shuffle before, if the order has meaning.
    """
    if limit < 1:
        raise ValueError(f"limit: got {limit}, expected at least 1 prompt; raise it")
    counts, kept = Counter(), []
    for row, record in enumerate(prompts, start=1):
        counts[author_of(record, row)] += 1
        if counts[record.author] <= limit:
            kept.append(record)
    return kept


def split_by_author(prompts: Iterable[Record], shares: dict[str, float],
                    seed: int) -> dict[str, list[Record]]:
    """Splits by name, such as {"train": 0.8, "test": 0.2}; no author is in two.

    An author's split follows from the seed and the name alone, so it stays when others
    come or go. `shares` are of authors, on average. Two authors may have written one
    prompt: `check_leakage` finds that.
    """
    sizes = list(shares.values())
    if not sizes or min(sizes) < 0 or not math.isclose(sum(sizes), 1):
        raise ValueError(f"shares: got {shares}, expected shares of at least 0 that "
                         "add up to 1; mend them")
    edges = list(accumulate(sizes))[:-1]
    parts = [[] for _ in shares]
    for row, record in enumerate(prompts, start=1):
        place = bisect_right(edges, uniform(seed, author_of(record, row)))
        parts[place].append(record)
    return dict(zip(shares, parts))


def split_by_text(items: Sequence[T], text_of: Callable[[T], str], heldout: float,
                  seed: int = 0) -> tuple[list[T], list[T]]:
    """Two parts, the second of about the share `heldout`; writings of one text in one.

    A text's side depends on the seed and the text alone. ValueError when one is empty.
    """
    texts = [normalised(text_of(item)) for item in items]
    sides = [uniform("heldout", seed, text) < heldout for text in texts]
    if all(sides) or not any(sides):
        way = "change it" if len(set(texts)) > 1 else "all are equal, so no share helps"
        raise ValueError(f"heldout_share: got {heldout}, which puts all {len(sides)} "
                         f"rows on one side; {way}, or give held-out rows in a file of "
                         "their own (--heldout)")
    return ([item for item, side in zip(items, sides) if not side],
            [item for item, side in zip(items, sides) if side])


def uniform(*names: int | str) -> float:
    """A number in [0, 1) made of `names` alone: the first 53 bits of their SHA-256."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def author_of(record: Record, row: int) -> str:
    """Who wrote a prompt; a Fault names the row that does not say."""
    if not record.author:
        raise Fault(f"row {row}: author", "none", "who wrote the prompt",
                    "fill in `author` in every record")
    return record.author


def drop_pii(records: Iterable[Record]) -> list[Record]:
    """Without records in whose prompt or responses `find_pii` sees personal data.

    The paper filters its training split so, and does not say how. This catches what has
    a shape: no names, no handles, nothing spelt out, addresses in English only; and
    look-alikes, such as a version number that reads as an IP address.
    """
    return [record for record in records
            if not any(find_pii(text) for text in (record.prompt, *record.responses))]


PII = {
    "email": r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+",
    "card": r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)",
    "ip": r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)"
          r"|(?<![\w:])(?:[\da-fA-F]{0,4}:){3,7}[\da-fA-F]{1,4}",
    "ssn": r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])",
    "phone": r"\+\d[\d ().-]{6,18}\d|(?<!\d)\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)",
    "address": r"\b\d{1,5} (?:[A-Z][a-z]+ ){1,3}"
               r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Boulevard|Drive)\b",
}


def find_pii(text: str) -> list[str]:
    """The kinds of personal data whose shape occurs in `text`."""
    confirmed = {"card": luhn, "ip": is_ip}
    return [kind for kind, shape in PII.items()
            if any(confirmed.get(kind, bool)(match[0])
                   for match in re.finditer(shape, text))]


def luhn(card: str) -> bool:
    """Does the last digit check the number? Every second from the right is doubled."""
    digits = [int(digit) for digit in reversed(card) if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return sum(digits[0::2] + doubled) % 10 == 0


def is_ip(text: str) -> bool:
    """Is it an address of the Internet Protocol, of version 4 or 6?"""
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def contradictions(rankings: dict[int, Ranking]) -> dict[int, Fault]:
    """Line to fault, where one labeler ranked the same two responses both ways.

    Different labelers may disagree (on a quarter of the paper's pairs, §3.4); a file
    without their names counts as one labeler.
    """
    line_of, faults = {}, {}
    for line, ranking in rankings.items():
        asked = (ranking.labeler, ranking.prompt)
        for better, worse in ranking.comparisons():
            line_of.setdefault((asked, better, worse), line)
            if (earlier := line_of.get((asked, worse, better))) is not None:
                faults[line] = Fault("ranks", f"{better[:40]!r} over {worse[:40]!r}",
                                     f"the opposite, as in row {earlier}",
                                     "keep one of the two, or name their labelers")
    return faults


def check_leakage(train: Sequence[Record], heldout: Sequence[Record],
                  responses: bool = False) -> None:
    """DataError where a prompt, or a response, of `heldout` is also in `train`.

    They are compared `normalised`; a paraphrase or a changed word is not seen.
    """
    def texts(records: Sequence[Record]) -> list[tuple[int, str]]:
        return [(row, text) for row, record in enumerate(records, start=1)
                for text in (record.responses if responses else [record.prompt])]

    row_of = {normalised(text): row for row, text in reversed(texts(train))}
    faults = [f"held-out row {row}: got {text[:60]!r}, which training has too (row "
              f"{row_of[normalised(text)]}); drop one"
              for row, text in texts(heldout) if normalised(text) in row_of]
    if faults:
        raise DataError(f"{len(faults)} held-out texts of {len(heldout)} rows leak "
                        f"from the {len(train)} of training", faults)


def fit(records: Sequence[Record], asked: Callable[[str], Sequence[int]],
        said: Callable[[str], Sequence[int]], context: int) -> list[Record]:
    """The records that fit into `context` tokens; DataError when none does.

    asked: the tokens of a prompt as the model reads it (`Policy.encode`: BOS, if the
    tokenizer has one, and the line end). said: of a response, which a token for the end
    of text follows; a ranking counts its longest.
    """
    lengths = [len(asked(record.prompt))
               + max((len(said(text)) + 1 for text in record.responses), default=0)
               for record in records]
    kept = [record for record, length in zip(records, lengths) if length <= context]
    if not kept:
        least = min(lengths, default=0)
        raise DataError(f"none of {len(records)} rows fits: the shortest has {least} "
                        f"tokens, expected at most {context}; shorten prompts, or take "
                        "a model with a longer context")
    return kept
