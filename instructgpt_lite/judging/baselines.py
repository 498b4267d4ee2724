"""What a reward model must beat: the length of a response, its words; and what bounds it: people disagree.

What the `by_...` return are rewards like any other, for `rewards.accuracy` to judge.

Shapes: N responses, P pairs, V words of the vocabulary, I and J ratings of two texts.
"""

from collections.abc import Sequence
from random import Random

import numpy as np

from instructgpt_lite.data.records import Ranking
from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.world.gold import Gold
from instructgpt_lite.world.labelers import Labelers


def by_length(train: Sequence[Ranking], heldout: Sequence[Ranking]) -> list[list[float]]:
    """Longer is better, or shorter: whichever training says more often."""
    gaps = [len(better) - len(worse) for ranking in train for better, worse in ranking.comparisons()]
    sign = 1 if sum(map(np.sign, gaps)) >= 0 else -1
    return [[float(sign * len(text)) for text in ranking.completions] for ranking in heldout]


def by_words(train: Sequence[Ranking], heldout: Sequence[Ranking]) -> list[list[float]]:
    """A Bradley-Terry fit in which a response is worth the sum of its words' weights."""
    counter, weight_V = word_weights(train)
    return [(counter.transform(ranking.completions) @ weight_V).tolist() for ranking in heldout]


def by_another_labeler(people: Labelers, heldout: Sequence[Ranking], seed: int = 0) -> list[list[float]]:
    """What somebody else of the same people says of the same responses: the lower the rank, the more it is worth."""
    rng, found = Random(f"another labeler {seed}"), []
    for ranking in heldout:
        name = ranking.labeler
        while name == ranking.labeler:
            name, ranks = people.judge(ranking, ranking.completions, rng)
        found.append([-float(rank) for rank in ranks])
    return found


def by_gold(gold: Gold, heldout: Sequence[Ranking]) -> list[list[float]]:
    """The exact score of every response: right about everything but the labelers' tastes and mistakes."""
    return [[gold(ranking, text).gold for text in ranking.completions] for ranking in heldout]


def word_weights(rankings: Sequence[Ranking], C: float = 0.5):
    """The counter of words (scikit-learn) and a weight for each of them.

    Logistic regression on differences of word counts, log sigmoid(w . (x_w - x_l)), no intercept, a prior of
    variance C on the weights; the pairs of a ranking weigh 1 together, as in eq. (1).
    """
    from scipy.sparse import csr_matrix, vstack
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    counter = CountVectorizer(token_pattern=r"\w+|[^\w\s]")
    counter.fit(text for ranking in rankings for text in ranking.completions)
    difference_PV, weight_P = pair_differences(counter, rankings)
    tie_1V = csr_matrix((1, difference_PV.shape[1]))    # classifiers want two classes; a row of 0 has no say
    model = LogisticRegression(C=C, fit_intercept=False, max_iter=1_000)
    model.fit(vstack([difference_PV, tie_1V]), [1] * len(weight_P) + [0], sample_weight=[*weight_P, 1])
    return counter, model.coef_[0]


def pair_differences(counter, rankings: Sequence[Ranking]):
    """x_w - x_l of every ranked pair (P rows, V words, sparse), and 1 / pairs of its ranking (P)."""
    count_NV = counter.transform([text for ranking in rankings for text in ranking.completions])
    better_P, worse_P, weight_P, first = [], [], [], 0
    for ranking in rankings:
        better_P += [first + w for w, _ in ranking.pairs]
        worse_P += [first + l for _, l in ranking.pairs]
        weight_P += [1 / len(ranking.pairs)] * len(ranking.pairs)
        first += len(ranking.completions)
    return count_NV[better_P] - count_NV[worse_P], np.array(weight_P)


def lead(first: list[list[float]], second: list[list[float]], rankings: Sequence[Ranking]) -> Interval:
    """How much larger a share of pairs `first` orders as ranked, on the same rankings."""
    pairs = [len(ranking.pairs) for ranking in rankings]
    gaps = [sum(np.sign(a[w] - a[l]) - np.sign(b[w] - b[l]) for w, l in ranking.pairs) / 2 / count
            for a, b, ranking, count in zip(first, second, rankings, pairs, strict=True)]
    return bootstrap(gaps, pairs)


def agreement(groups: Sequence[Sequence[Sequence[int]]]) -> Interval:
    """How often two raters order a pair of texts alike, where neither sees a tie, with a 95 % interval.

    groups: of each ranking, the ratings of each of its texts. Exact: over every pair of texts in a group and
    all ways to draw two different ratings of each.
    """
    alike, decided = [], []
    for group in groups:
        counts = [two_orders(first, second) for n, first in enumerate(group) for second in group[:n]]
        alike.append(sum(agreeing for agreeing, _ in counts))
        decided.append(sum(both for _, both in counts))
    share = np.divide(alike, decided, out=np.zeros(len(groups)), where=np.array(decided) > 0)
    return bootstrap(share, decided)


def two_orders(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    """P(two raters agree on the order) and P(neither sees a tie), for two texts with several ratings each.

    With s_ij the sign of (rating i of one, rating j of the other), a sum over i != i', j != j' of s_ij s_i'j'
    is (sum s)^2 - sum_i (sum_j s_ij)^2 - sum_j (sum_i s_ij)^2 + sum s^2: agreements less disagreements.
    """
    s_IJ = np.sign(np.subtract.outer(np.asarray(first, dtype=float), np.asarray(second, dtype=float)))
    ways = len(first) * (len(first) - 1) * len(second) * (len(second) - 1)
    net, both = _over_different(s_IJ) / ways, _over_different(abs(s_IJ)) / ways
    return (both + net) / 2, both


def _over_different(s_IJ: np.ndarray) -> float:
    """Sum of s_ij s_i'j' over i != i' and j != j'."""
    rows, columns = (s_IJ.sum(axis=1) ** 2).sum(), (s_IJ.sum(axis=0) ** 2).sum()
    return float(s_IJ.sum() ** 2 - rows - columns + (s_IJ ** 2).sum())
