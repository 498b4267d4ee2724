"""Rankings by people: 23,703 short texts with 536,520 ratings from -4 to 4 (Hutto and Gilbert, 2014).

    pip download --no-deps --no-binary :all: vaderSentiment==0.5     # the source package that carries them

About 20 people rated how positive each text is (tweets, movie reviews, product reviews, editorials). Which
rater gave which rating is not known, so a labeler who ranks K texts is one rating of each, drawn at random.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from instructgpt_lite.data.archives import file_in
from instructgpt_lite.data.audit import normalised
from instructgpt_lite.data.curation import uniform
from instructgpt_lite.data.records import DataError, Fault, Ranking, check_text

T = TypeVar("T")
STUDY = "hutto_ICWSM_2014.tar.gz"
ENCODINGS = {"tweets": "latin-1", "movieReviewSnippets": "utf-8-sig", "amazonReviewSnippets": "utf-8-sig",
             "nytEditorialSnippets": "utf-8-sig"}
QUESTION = "Which text is more positive?"
HOW = "pip download --no-deps --no-binary :all: vaderSentiment==0.5"


@dataclass(frozen=True)
class Rated:
    """A text and what each rater gave it, -4 (most negative) to 4 (most positive)."""

    text: str
    ratings: tuple[int, ...]
    genre: str = ""


def read_ratings(path: str | Path) -> list[Rated]:
    """All texts of the source package (or of the study's own archive inside it), read without unpacking.

    DataError names every bad row by file and line.
    """
    data = Path(path).read_bytes()
    data = file_in(data, STUDY, str(path)) or data
    rated, faults = [], []
    for genre, encoding in ENCODINGS.items():
        names = [f"{genre}_{what}.txt" for what in ("GroundTruth", "anonDataRatings")]
        texts, ratings = (rows_of(data, name, encoding, path) for name in names)
        texts = {row[0]: row[-1] for row in texts.values()}        # the two files are in different orders
        for line, row in ratings.items():
            try:
                rated.append(Rated(text_of(texts, row[0]), ratings_of(row), genre))
            except Fault as fault:
                faults.append(f"{names[1]}:{line}: {fault}")
    if faults:
        raise DataError(f"{path}: {len(faults)} of {len(faults) + len(rated)} rated texts are bad; nothing "
                        "was read", faults)
    return rated


def rows_of(study: bytes, name: str, encoding: str, path: str | Path) -> dict[int, list[str]]:
    """The tab-separated rows of one file of the study, by line number."""
    data = file_in(study, name, str(path))
    if data is None:
        raise DataError(f"{path}: got no {name}, expected the source package of vaderSentiment 0.5 (others "
                        f"have no ratings); {HOW}")
    try:
        lines = data.decode(encoding).split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: got bytes that are not {encoding} at byte {error.start}; {HOW}") from None
    return {number: line.strip().split("\t") for number, line in enumerate(lines, start=1) if line.strip()}


def text_of(texts: dict[str, str], name: str) -> str:
    text = texts.get(name, "").strip()
    if not text:
        raise Fault("text", f"none for id {name!r}", "one in the file of texts", "download the package again")
    check_text("text", text)
    return text


def ratings_of(row: list[str]) -> tuple[int, ...]:
    """The ratings in a row (id, mean, standard deviation, list); their mean must be the one stated."""
    try:
        mean, ratings = float(row[1]), json.loads(row[3])
        sound = all(type(rating) is int and -4 <= rating <= 4 for rating in ratings) and len(ratings) > 1
        sound = sound and abs(sum(ratings) / len(ratings) - mean) < 0.01
    except (ValueError, TypeError, IndexError):
        sound = False
    if not sound:
        raise Fault("ratings", f"{row!r:.120}", "id, mean, sd and that mean's list of whole numbers, -4 to 4",
                    "download the package again")
    return tuple(ratings)


def split_by_text(items: Sequence[T], text_of: Callable[[T], str], heldout: float,
                  seed: int = 0) -> tuple[list[T], list[T]]:
    """Two parts; the second gets about the share `heldout`. Writings of one text (`normalised`) stay in one.

    A text's side depends on the seed and the text alone. ValueError when a side would be empty.
    """
    sides = [uniform("heldout", seed, normalised(text_of(item))) < heldout for item in items]
    if all(sides) or not any(sides):
        raise ValueError(f"heldout_share: got {heldout}, which puts all {len(sides)} rows on one side; "
                         "change it, or give held-out data in a file of its own")
    return ([item for item, side in zip(items, sides) if not side],
            [item for item, side in zip(items, sides) if side])


def check_texts_apart(train: Sequence[Ranking], heldout: Sequence[Ranking]) -> None:
    """DataError where a response of `heldout` is also one of `train`, in any case, width and spacing."""
    known = {normalised(text) for ranking in train for text in ranking.completions}
    faults = [f"heldout row {row}: completions: got {text[:60]!r}, expected a text that training has not"
              for row, ranking in enumerate(heldout, start=1) for text in ranking.completions
              if normalised(text) in known]
    if faults:
        raise DataError(f"{len(faults)} held-out texts are also in training; drop them from one", faults)


def drawn_rankings(rated: Sequence[Rated], passes: int = 1, seed: int = 0, K_min: int = 4,
                   K_max: int = 9) -> list[Ranking]:
    """Every text in one ranking a pass: groups of K_min to K_max texts, ranked by one drawn rating each.

    Equal ratings tie; a group that ties as a whole is left out, as are the last few texts of a pass.
    `key` has the places in `rated` of the texts of a ranking.
    """
    rng, rankings = Random(f"draw {seed}"), []
    for _ in range(passes):
        order = rng.sample(range(len(rated)), len(rated))
        while len(order) >= K_min:
            K = rng.randint(K_min, K_max)
            places = {rated[place].text: place for place in order[-K:]}       # equal texts would have to tie
            del order[-K:]
            drawn = [rng.choice(rated[place].ratings) for place in places.values()]
            levels = sorted(set(drawn), reverse=True)
            if len(levels) > 1:
                ranks = tuple(levels.index(rating) + 1 for rating in drawn)
                rankings.append(Ranking(QUESTION, tuple(places), ranks, key={"rated": [*places.values()]}))
    return rankings
