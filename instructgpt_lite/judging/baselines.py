"""What a reward model must beat: the length of a response, its words, another person.

All return rewards like a reward model's, for `pairs.accuracy` to judge.

Shapes: K responses to a prompt, V words of the vocabulary.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from instructgpt_lite.data.protocols import Judge
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.judging.pairs import Rewards
from instructgpt_lite.world.labelers import Labelers


def by_length(train: Sequence[Ranking], heldout: Sequence[Ranking]) -> Rewards:
    """Longer is better, or shorter: whichever training says more often."""
    gaps = [len(better) - len(worse) for ranking in train
            for better, worse in ranking.comparisons()]
    sign = 1 if sum(map(np.sign, gaps)) >= 0 else -1
    return [[float(sign * len(text)) for text in each.completions] for each in heldout]


def by_words(train: Sequence[Ranking], heldout: Sequence[Ranking]) -> Rewards:
    """A Bradley-Terry fit: a response is worth the sum of its words' weights."""
    counter, weight_V = word_weights(train)
    counts = (counter.transform(ranking.completions) for ranking in heldout)
    return [(count_KV @ weight_V).tolist() for count_KV in counts]


def by_another_labeler(people: Labelers, heldout: Sequence[Ranking],
                       seed: int = 0) -> Rewards:
    """What another of the people says of the same responses: minus their ranks."""
    rng, rewards = Random(f"another labeler {seed}"), []
    for ranking in heldout:
        name = ranking.labeler
        while name == ranking.labeler:
            name, ranks = people.judge(ranking, ranking.completions, rng)
        rewards.append([-float(rank) for rank in ranks])
    return rewards


def by_gold(gold: Judge, heldout: Sequence[Ranking]) -> Rewards:
    """The exact score: right but for the labelers' tastes and mistakes."""
    return [[gold(each, text).gold for text in each.completions] for each in heldout]


def word_weights(rankings: Sequence[Ranking], C: float = 0.5) -> tuple[Any, np.ndarray]:
    """The counter of words (scikit-learn's CountVectorizer) and a weight for each (V).

    Logistic regression on differences of word counts, log sigmoid(w . (x_w - x_l)), no
    intercept, a prior of variance C on the weights; the pairs of a ranking weigh 1
    together, as in eq. (1).
    """
    from scipy.sparse import csr_matrix, vstack
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    counter = CountVectorizer(token_pattern=r"\w+|[^\w\s]")
    counter.fit(text for ranking in rankings for text in ranking.completions)
    differences, weights = [], []
    for ranking in rankings:
        count_KV, pairs = counter.transform(ranking.completions), ranking.pairs
        differences.append(count_KV[[w for w, _ in pairs]] -
                           count_KV[[l for _, l in pairs]])
        weights += [1 / len(pairs)] * len(pairs)
    tie_1V = csr_matrix((1, len(counter.vocabulary_)))  # a second class, without a say
    model = LogisticRegression(C=C, fit_intercept=False, max_iter=1_000)
    model.fit(vstack([*differences, tie_1V]), [1] * len(weights) + [0],
              sample_weight=[*weights, 1])
    return counter, model.coef_[0]
