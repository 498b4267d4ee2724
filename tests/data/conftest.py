"""A made-up study of ratings, big enough to be split, and a tokenizer that has its words."""

from random import Random

import pytest

from tests.data.test_ratings import FILES, package

GOOD, BAD = ["a lovely", "what a great", "the finest"], ["a dreadful", "what a poor", "the dullest"]
NOUNS = ["film", "book", "song", "meal"]
REST = ["that i have met in all my long years", "and nothing else to say of it"]


def texts(count: int = 800) -> list[tuple[str, list[int]]]:
    """Texts of 6 to 13 words, each with five ratings that like what is good."""
    rng, found = Random("study"), []
    for n in range(count):
        liked = rng.random() < 0.5
        words = f"{rng.choice(GOOD if liked else BAD)} {rng.choice(NOUNS)} {rng.choice(REST)} number {n}"
        found.append((words, [max(-4, min(4, (2 if liked else -2) + rng.randint(-1, 1))) for _ in range(5)]))
    return found


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """The archive of such a study."""
    truth, ratings = [], []
    for n, (text, given) in enumerate(texts(), start=1):
        truth.append(f"{n}\t{sum(given) / 5}\t{text}")
        ratings.append(f"{n}\t{sum(given) / 5}\t0.5\t{given}")
    files = FILES | {"tweets_GroundTruth.txt": "\n".join(truth).encode(),
                     "tweets_anonDataRatings.txt": "\n".join(ratings).encode()}
    return package(tmp_path_factory.mktemp("study") / "ratings.zip", files)
