"""How well people predict people: what bounds the accuracy of any reward model.

Recorded raters, several to a text. A group is what a labeler would be given to rank: of
each of its texts all ratings.

Shapes: I and J ratings of two texts, K texts of a group, P pairs of them.
"""

import math
from collections.abc import Sequence

import numpy as np

from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.theory.bradley_terry import outcome

Groups = Sequence[Sequence[Sequence[int]]]


def accuracy_bounds(agreement: float) -> tuple[float, float]:
    """The least and the most that the best guess can score against one labeler.

    If a share q of the labelers prefers the first of a pair, two of them agree with
    probability q^2 + (1 - q)^2, and the best guess is right with max(q, 1 - q). Least:
    some pairs have q = 1 and the others q = 1/2. Most: all have the same q. Both shares
    are of the same pairs, those in which the labelers see no tie.
    """
    if not 0.5 <= agreement <= 1:
        raise ValueError(f"agreement is {agreement}: two labelers of one population "
                         "agree at least half of the time")
    return agreement, (1 + math.sqrt(2 * agreement - 1)) / 2


def agreement(groups: Groups) -> Interval:
    """How often two raters order a pair of texts alike, where neither sees a tie.

    Exact: over every pair of texts in a group and all ways to draw two different
    ratings of each. Interval: bootstrap over groups.
    """
    alike, decided = [], []
    for group in groups:
        counts = [two_orders(first, second)
                  for n, first in enumerate(group) for second in group[:n]]
        alike.append(sum(agreeing for agreeing, _ in counts))
        decided.append(sum(both for _, both in counts))
    untied = np.array(decided) > 0
    share = np.divide(alike, decided, out=np.zeros(len(groups)), where=untied)
    return bootstrap(share, decided)


def two_orders(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    """P(two raters agree on the order) and P(neither sees a tie), for two texts.

    With s_ij the sign of (rating i of one, rating j of the other), a sum over i != i',
    j != j' of s_ij s_i'j' is (sum s)^2 - sum_i (sum_j s_ij)^2 - sum_j (sum_i s_ij)^2 +
    sum s^2: agreements less disagreements.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    s_IJ = np.sign(np.subtract.outer(one, other))
    ways = len(one) * (len(one) - 1) * len(other) * (len(other) - 1)
    net, both = _over_different(s_IJ) / ways, _over_different(abs(s_IJ)) / ways
    return (both + net) / 2, both


def _over_different(s_IJ: np.ndarray) -> float:
    """Sum of s_ij s_i'j' over i != i' and j != j'."""
    rows, columns = (s_IJ.sum(axis=1) ** 2).sum(), (s_IJ.sum(axis=0) ** 2).sum()
    return float(s_IJ.sum() ** 2 - rows - columns + (s_IJ ** 2).sum())


def crowd_accuracy(groups: Groups, others: int, second: bool = False, draws: int = 8,
                   seed: int = 0) -> Interval:
    """How often the mean of `others` raters orders a pair as one more rater does.

    Pairs that this rater ties do not count (eq. 1 drops them); a tie of the means is
    half. second: count only where a second rater sees a difference too, the pairs of
    `agreement`. Interval: bootstrap over groups. ValueError where a text has too few
    ratings.
    """
    rng, right, decided, need = np.random.default_rng(seed), [], [], others + 2
    for group in groups:
        if (least := min(map(len, group))) < need:
            raise ValueError(f"a text has {least} ratings: want {need}: one to guess, "
                             f"one to compare with, and {others} others")
        hits = counts = 0
        for _ in range(draws):
            permuted = [rng.permutation(ratings)[:need] for ratings in group]
            rating_KR = np.array(permuted, dtype=float)
            fresh_P, next_to_it_P = _orders(rating_KR[:, 0]), _orders(rating_KR[:, 1])
            crowd_P = _orders(rating_KR[:, 2:].mean(axis=1))
            counted_P = (fresh_P != 0) & (next_to_it_P != 0) if second else fresh_P != 0
            hits += outcome(fresh_P * crowd_P, 0)[counted_P].sum()
            counts += counted_P.sum()
        right.append(hits / max(counts, 1))
        decided.append(counts)
    return bootstrap(right, decided)


def _orders(rating_K: np.ndarray) -> np.ndarray:
    """Of every two texts (P): 1 if the first is rated higher, -1 the other, 0 a tie."""
    first, second = np.triu_indices(len(rating_K), 1)
    return np.sign(rating_K[first] - rating_K[second])
