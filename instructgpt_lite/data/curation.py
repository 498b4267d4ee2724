"""The paper's care for its prompts (§3.2, App. A) as four heuristics. Each says what it cannot do.

    drop_long_common_prefix    deduplicate, "checking for prompts that share a long common prefix"
    cap_per_author             at most 200 prompts a user
    split_by_author            train, validation and test share no user
    drop_pii                   no personal data in the training split

The paper says "user ID" in §3.2 and "organization" in App. A.2: `author` may be either. The three that drop
return (kept, dropped), and every dropped record comes with its reason. They take any records with an author.
"""

import hashlib
import ipaddress
import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from instructgpt_lite.data.audit import normalised
from instructgpt_lite.data.records import Fault, Record


class Sifted(NamedTuple):
    """What stays, in its old order, and what went with the reason why."""

    kept: list[Record]
    dropped: list[tuple[Record, str]]


def drop_long_common_prefix(prompts: Iterable[Record], length: int = 100) -> Sifted:
    """Drop a prompt whose first `length` characters, `normalised`, an earlier prompt has too.

    Shorter prompts go only if they are equal. The paper does not say how long is long. A paraphrase or a
    prompt that differs in its first word passes; two different questions below one long instruction or one
    set of few-shot examples count as the same.
    """
    if length < 1:
        raise ValueError(f"length: got {length}, expected at least 1 character; raise it")
    seen, sifted = {}, Sifted([], [])
    for row, record in enumerate(prompts, start=1):
        first = seen.setdefault(normalised(record.prompt)[:length], row)
        if first == row:
            sifted.kept.append(record)
        else:
            sifted.dropped.append((record, f"begins like row {first}"))
    return sifted


def cap_per_author(prompts: Iterable[Record], limit: int = 200) -> Sifted:
    """Keep each author's first `limit` prompts.

    The paper does not say which 200 it kept; shuffle before if the order has a meaning. A person with two
    accounts is two authors.
    """
    if limit < 1:
        raise ValueError(f"limit: got {limit}, expected at least 1 prompt an author; raise it")
    counts, sifted = Counter(), Sifted([], [])
    for row, record in enumerate(prompts, start=1):
        author = author_of(record, row)
        counts[author] += 1
        if counts[author] <= limit:
            sifted.kept.append(record)
        else:
            sifted.dropped.append((record, f"over {limit} by author {author!r}"))
    return sifted


def split_by_author(prompts: Iterable[Record], shares: dict[str, float],
                    seed: int) -> dict[str, list[Record]]:
    """Splits by name, such as {"train": 0.8, "valid": 0.1, "test": 0.1}, with no author in two of them.

    An author's split follows from a hash of the seed and the author's name alone, so it stays when others
    come or go. `shares` are of authors, and only on average: one busy author moves many prompts. Two authors
    may have written the same prompt: `check_leakage` finds that.
    """
    if not shares or min(shares.values()) < 0 or not math.isclose(sum(shares.values()), 1, abs_tol=1e-9):
        raise ValueError(f"shares: got {shares}, expected shares of at least 0 that add up to 1; mend them")
    edges = list(accumulate(shares.values()))[:-1]
    parts = [[] for _ in shares]
    for row, record in enumerate(prompts, start=1):
        parts[bisect_right(edges, uniform(seed, author_of(record, row)))].append(record)
    return dict(zip(shares, parts))


def uniform(*names: int | str) -> float:
    """A number in [0, 1) that depends on `names` only: the first 53 bits of their SHA-256."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def author_of(record: Record, row: int) -> str:
    if not record.author:
        raise Fault(f"row {row}: author", "none", "who wrote the prompt", "fill in `author` in every record")
    return record.author


def drop_pii(records: Iterable[Record]) -> Sifted:
    """Drop a record in whose prompt or responses `find_pii` sees personal data.

    The paper filters its training split so, and does not say how. This catches what has a shape, and no
    more: no names, no birthdays, no handles, nothing spelt out ("anna at example dot org"), addresses in
    English only. It also drops innocent look-alikes, such as a version number that reads as an IP address.
    """
    sifted = Sifted([], [])
    for record in records:
        kinds = sorted({kind for text in (record.prompt, *record.responses) for kind in find_pii(text)})
        if kinds:
            sifted.dropped.append((record, ", ".join(kinds)))
        else:
            sifted.kept.append(record)
    return sifted


PII = {
    "email": r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+",
    "card": r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)",
    "ip": r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)|(?<![\w:])(?:[\da-fA-F]{0,4}:){3,7}[\da-fA-F]{1,4}",
    "ssn": r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])",
    "phone": r"\+\d[\d ().-]{6,18}\d|(?<!\d)\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)",
    "address": r"\b\d{1,5} (?:[A-Z][a-z]+ ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Boulevard|Drive)\b",
}


def find_pii(text: str) -> list[str]:
    """The kinds of personal data whose shape occurs in `text`."""
    confirmed = {"card": luhn, "ip": is_ip}
    return [kind for kind, shape in PII.items()
            if any(confirmed.get(kind, bool)(match[0]) for match in re.finditer(shape, text))]


def luhn(card: str) -> bool:
    """Does a card number's last digit check it? Every second digit from the right is doubled; mod 10 is 0."""
    digits = [int(digit) for digit in reversed(card) if digit.isdigit()]
    return sum(digits[0::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


def is_ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False
