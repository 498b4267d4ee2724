"""How well people predict people: what bounds the accuracy of any reward model on their comparisons.

A group is what a labeler would be given to rank: of each of its texts all ratings, as in `baselines.agreement`.
"""

import math
from collections.abc import Sequence

import numpy as np

from instructgpt_lite.judging.intervals import Interval, bootstrap


def accuracy_bounds(agreement: float) -> tuple[float, float]:
    """The least and the most that the best guess can score against one labeler.

    If a share q of the labelers prefers the first of a pair, two of them agree with
    probability q^2 + (1 - q)^2, and the best guess is right with max(q, 1 - q). Least: some
    pairs have q = 1 and the others q = 1/2. Most: all have the same q.
    """
    if not 0.5 <= agreement <= 1:
        raise ValueError(f"agreement is {agreement}: two labelers of one population agree "
                         "at least half of the time")
    return agreement, (1 + math.sqrt(2 * agreement - 1)) / 2


def crowd_accuracy(groups: Sequence[Sequence[Sequence[int]]], others: int,
                   second: bool = False, draws: int = 8, seed: int = 0) -> Interval:
    """How often the mean of `others` raters orders a pair of texts as one more rater does.

    Pairs that this rater ties do not count (eq. 1 drops them); a tie of the means counts
    one half, as in `pair_accuracy`. second: count only where a second rater sees a
    difference too, the pairs of `agreement`. Interval: bootstrap over groups. ValueError
    where a text has too few ratings.
    """
    rng, right, decided, need = np.random.default_rng(seed), [], [], others + 2
    for group in groups:
        if (least := min(map(len, group))) < need:
            raise ValueError(f"a text has {least} ratings: want {need}, one to predict, one "
                             f"to decide with it, and {others} others")
        hits = counts = 0
        for _ in range(draws):
            drawn = np.array([rng.permutation(ratings)[:need] for ratings in group], dtype=float)
            fresh, next_to_it = _orders(drawn[:, 0]), _orders(drawn[:, 1])
            crowd = _orders(drawn[:, 2:].mean(axis=1))
            counted = (fresh != 0) & (next_to_it != 0) if second else fresh != 0
            hits += ((1 + fresh * crowd)[counted] / 2).sum()
            counts += counted.sum()
        right.append(hits / max(counts, 1))
        decided.append(counts)
    return bootstrap(right, decided)


def _orders(rating_K: np.ndarray) -> np.ndarray:
    """Of every two texts: 1 if the first is rated higher, -1 if the second is, 0 for a tie."""
    first, second = np.triu_indices(len(rating_K), 1)
    return np.sign(rating_K[first] - rating_K[second])
