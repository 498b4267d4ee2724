"""Rankings by people: 536,520 ratings, -4 to 4, of 23,703 texts.

Hutto and Gilbert (2014) had about 20 people rate how positive each text is (tweets,
reviews, editorials). Which rater gave which rating is not known, so a labeler who ranks
K texts is one rating of each, drawn at random.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from instructgpt_lite.data.archives import file_in
from instructgpt_lite.data.records import DataError, Fault, Ranking, check_text
from instructgpt_lite.data.shapes import by_score

STUDY = "hutto_ICWSM_2014.tar.gz"
ENCODINGS = {"tweets": "latin-1", "movieReviewSnippets": "utf-8-sig",
             "amazonReviewSnippets": "utf-8-sig", "nytEditorialSnippets": "utf-8-sig"}
QUESTION = "Which text is more positive?"
HOW = "pip download --no-deps --no-binary :all: vaderSentiment==0.5"


@dataclass(frozen=True)
class Rated:
    """A text and what each rater gave it, -4 (most negative) to 4 (most positive)."""

    text: str
    ratings: tuple[int, ...]
    genre: str = ""


def read_ratings(path: str | Path) -> list[Rated]:
    """All texts of the source package, or of the study's own archive inside it.

    DataError names every bad row by file and line.
    """
    data = Path(path).read_bytes()
    data = file_in(data, STUDY, str(path)) or data
    rated, faults = [], []
    for genre, encoding in ENCODINGS.items():
        names = [f"{genre}_{what}.txt" for what in ("GroundTruth", "anonDataRatings")]
        texts, ratings = (rows_of(data, name, encoding, path) for name in names)
        texts = {row[0]: row[-1].strip() for row in texts.values()}  # in another order
        for line, row in ratings.items():
            try:
                rated.append(rated_of(row, texts, genre))
            except Fault as fault:
                faults.append(f"{names[1]}:{line}: {fault}")
    if faults:
        total = len(faults) + len(rated)
        raise DataError(f"{path}: {len(faults)} of {total} rated texts are bad; "
                        "nothing was read", faults)
    return rated


def rows_of(study: bytes, name: str, encoding: str,
            path: str | Path) -> dict[int, list[str]]:
    """The tab-separated rows of one file of the study, by line number."""
    data = file_in(study, name, str(path))
    if data is None:
        raise DataError(f"{path}: got no {name}, expected the source package of "
                        f"vaderSentiment 0.5 (others have no ratings); {HOW}")
    try:
        lines = data.decode(encoding).split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: got bytes that are not {encoding} at byte "
                        f"{error.start}; {HOW}") from None
    return {number: line.strip().split("\t")
            for number, line in enumerate(lines, start=1) if line.strip()}


def rated_of(row: list[str], texts: dict[str, str], genre: str) -> Rated:
    """A row (id, mean, deviation, list) as its text and list, if it has that mean."""
    try:
        text, mean, ratings = texts[row[0]], float(row[1]), json.loads(row[3])
        sound = len(ratings) > 1 and abs(sum(ratings) / len(ratings) - mean) < 0.01
        sound = sound and all(type(each) is int and -4 <= each <= 4 for each in ratings)
    except (ValueError, TypeError, LookupError):
        sound = False
    if not sound or not text:
        raise Fault("ratings", f"{row!r:.120}", "the id of a text, mean, deviation and "
                    "that mean's list of whole numbers, -4 to 4", HOW)
    check_text("text", text)
    return Rated(text, tuple(ratings), genre)


def drawn_rankings(rated: Sequence[Rated], passes: int = 1, seed: int = 0,
                   K_min: int = 4, K_max: int = 9) -> list[Ranking]:
    """Every text in one ranking a pass: K_min to K_max texts, by one drawn rating each.

    Equal ratings tie; a group that ties as a whole is left out, as are the last few
    texts of a pass. `key` has the places in `rated` of the texts of a ranking.
    """
    rng, rankings = Random(f"draw {seed}"), []
    for _ in range(passes):
        order = rng.sample(range(len(rated)), len(rated))
        while len(order) >= K_min:
            K = rng.randint(K_min, K_max)
            places = {rated[place].text: place for place in order[-K:]}  # each once
            del order[-K:]
            drawn = [rng.choice(rated[place].ratings) for place in places.values()]
            if row := by_score(QUESTION, [*places], drawn):
                rankings.append(Ranking(**row, key={"rated": [*places.values()]}))
    return rankings
