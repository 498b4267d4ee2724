"""People's ratings as a source: go on from the first words of a text, as people like.

After Ziegler et al. (2019), "Fine-tuning language models from human preferences", who
rewarded positive continuations. Each text is on one side: held out, ranked, ranked for
a second reward model that judges, or shown (the first words are prompts).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from instructgpt_lite.config import Reviews, Run
from instructgpt_lite.data import curation
from instructgpt_lite.data.given import Given
from instructgpt_lite.data.instructions import plain_text
from instructgpt_lite.data.ratings import Rated, drawn_rankings, read_ratings
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking

LEAST = 3                             # words after a prompt, to demonstrate something


def reviews(config: Run, ratings: Path, text: Path) -> Given:
    """The source of a run from the archive of ratings and a file of plain text."""
    data, seed = config.data, config.seed
    K = config.collect.K_min, config.collect.K_max
    heldout, ranked, aside, rest = split(read_ratings(ratings), data)
    shown = [beginning(one, data) for one in rest if long_enough(one, data)]
    kept = curation.drop_pii(curation.drop_long_common_prefix(shown))
    test = [beginning(one, data) for one in heldout if long_enough(one, data)]
    lexicon = lexicon_score()
    people = [np.mean(one.ratings) for one in heldout]
    measured = [lexicon(one.text) for one in heldout]
    known = {"texts": {"held out": len(heldout), "ranked": len(ranked),
                       "put aside": len(aside), "shown": len(rest)},
             "left out (too short, alike, personal data)": len(rest) - len(kept),
             "correlation of lexicon and people":
                 float(np.corrcoef(people, measured)[0, 1])}
    return Given(
        kept, rankings(ranked, data, data.passes, seed, *K),
        rankings(aside, data, data.passes, seed, *K),
        [Prompt(each.prompt, each.category) for each in test],
        {"held-out texts": rankings(heldout, data, 1, 0, *K)},
        plain_text(str(text)),
        max(config.sft.demonstrations, config.rl_init.demonstrations),
        config.collect.prompts,
        {"lexicon": lexicon, "positive": lambda said: float(lexicon(said) > 0)}, known)


def split(rated: Sequence[Rated], data: Reviews) -> list[list[Rated]]:
    """Held out, ranked, ranked for the judge, and the rest; equal texts on one side."""
    edges = [*accumulate((data.heldout, data.ranked, data.judge))]
    if not 0 < edges[0] < edges[1] < edges[2] < 1:
        raise ValueError(f"data.heldout, ranked and judge are {data.heldout}, "
                         f"{data.ranked}, {data.judge}: give shares above 0 of less "
                         "than 1 in all")
    parts: list[list[Rated]] = [[], [], [], []]
    for one in rated:
        draw = curation.uniform("reviews", curation.normalised(one.text))
        parts[bisect_right(edges, draw)].append(one)
    return parts


def long_enough(one: Rated, data: Reviews) -> bool:
    """Whether something is left of a text after its first words."""
    return len(one.text.split()) >= data.words + LEAST


def beginning(one: Rated, data: Reviews) -> Demonstration:
    """The first words as a prompt, and how the text went on."""
    words = one.text.split()
    return Demonstration(" ".join([data.lead, *words[:data.words]]),
                         " " + " ".join(words[data.words:]), category=one.genre)


def rankings(rated: Sequence[Rated], data: Reviews, passes: int, seed: int, K_min: int,
             K_max: int) -> list[Ranking]:
    """Rankings of whole texts, each after the lead, as a model will read them."""
    return [replace(each, prompt=data.lead,
                    completions=tuple(f" {' '.join(text.split())}"
                                      for text in each.completions))
            for each in drawn_rankings(rated, passes, seed, K_min, K_max)]


def lexicon_score() -> Callable[[str], float]:
    """VADER's compound score of a text, -1 to 1 (Hutto and Gilbert, 2014)."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ModuleNotFoundError:
        raise ModuleNotFoundError("vaderSentiment is not installed: "
                                  "pip install instructgpt_lite[reviews]") from None
    analyzer = SentimentIntensityAnalyzer()
    return lambda text: analyzer.polarity_scores(text)["compound"]
