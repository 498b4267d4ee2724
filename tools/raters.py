"""What a chapter needs of 536,520 ratings by people: results/raters.json, from the source package that carries them.

    pip download --no-deps --no-binary :all: vaderSentiment==0.5
    python tools/raters.py vaderSentiment-0.5.zip

Written are numbers about all texts, the ratings of 600 texts drawn at random (without the texts: a count for each of
-4 to 4), and twelve short product reviews with theirs. The package is under the MIT licence, whose text goes along.
"""

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

from instructgpt_lite.data.archives import file_in
from instructgpt_lite.data.ratings import ENCODINGS, Rated, read_ratings
from instructgpt_lite.files import write_json
from instructgpt_lite.judging.intervals import Interval
from instructgpt_lite.judging.raters import agreement, crowd_accuracy

ROOT = Path(__file__).parent.parent
SEED, GROUP, SAMPLE, OTHERS = 0, 5, 600, (1, 2, 4, 8, 16)
REVIEWS = ["i give it 10 stars!", "i cannot recommend it enough!", "works great!", "a good phone.", "what a beast.",
           "its quiet.", "charged my battery.", "great player... when it worked!", "minor gripe.",
           "great - for the first three hours.", "what a mistake!", "worst customer service on record."]


def grouped(rated: list[Rated]) -> list[list[tuple[int, ...]]]:
    """Texts with enough ratings, in random groups of which each text is in one."""
    enough = [one.ratings for one in rated if len(one.ratings) >= max(OTHERS) + 2]
    Random(f"groups {SEED}").shuffle(enough)
    return [enough[n:n + GROUP] for n in range(0, len(enough) - GROUP + 1, GROUP)]


def predicted(rated: list[Rated]) -> dict:
    """How often two raters agree, and how often more of them predict one: [mean, low, high]."""
    groups = grouped(rated)
    return {"texts": len(rated), "groups": len(groups), "two raters agree": rounded(agreement(groups)),
            "others": OTHERS,
            "accuracy": [rounded(crowd_accuracy(groups, others, seed=SEED)) for others in OTHERS],
            "accuracy where a second rater sees a difference too":
                [rounded(crowd_accuracy(groups, others, second=True, seed=SEED)) for others in OTHERS]}


def rounded(interval: Interval) -> list[float]:
    return [round(number, 4) for number in interval]


def counts(ratings: tuple[int, ...]) -> str:
    """How many raters gave -4, -3, ..., 4."""
    counted = Counter(ratings)
    return " ".join(str(counted[rating]) for rating in range(-4, 5))


def main(path: str) -> None:
    rated, archive = read_ratings(path), Path(path).read_bytes()
    enough = [one for one in rated if len(one.ratings) >= max(OTHERS) + 2]
    found = {one.text: one for one in rated}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    results = {
        "command": f"python tools/raters.py {Path(path).name}", "commit": commit, "seed": SEED,
        "source": "vaderSentiment 0.5, additional_resources/hutto_ICWSM_2014.tar.gz (Hutto and Gilbert, 2014)",
        "sha256": hashlib.sha256(archive).hexdigest(),
        "licence": file_in(archive, "LICENSE.txt", path).decode().replace("\r\n", "\n"),
        "intervals": f"95 %, bootstrap over groups of {GROUP} texts",
        "ratings": sum(len(one.ratings) for one in rated), "all": predicted(rated),
        "genres": {genre: predicted([one for one in rated if one.genre == genre]) for genre in ENCODINGS},
        "reviews": {text: counts(found[text].ratings) for text in REVIEWS},
        "sample": [counts(one.ratings) for one in Random(f"sample {SEED}").sample(enough, SAMPLE)]}
    write_json(ROOT / "results" / "raters.json", results)


if __name__ == "__main__":
    main(sys.argv[1])
