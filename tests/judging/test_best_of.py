"""The best of n from N answers: against lists of all draws, and against enumeration."""

from itertools import combinations, product
from math import log
from statistics import mean

import numpy as np
import pytest
import torch

from instructgpt_lite.judging.best_of import best_of, chances_of_best, kl_of_best
from instructgpt_lite.theory.surprise import best_of_n, best_of_n_bound, relative_surprise

SCORES = np.array([[0.3, -1.0, 2.0, 0.3, 0.1], [1.0, 1.0, 1.0, -2.0, 1.0]])
VALUES = np.array([[1.0, 2.0, -3.0, 5.0, 0.5], [0.0, 4.0, 1.0, 9.0, -1.0]])


def by_listing(score: list[float], value: list[float], n: int) -> float:
    """The mean over all draws of n, ties by lot."""
    kept = []
    for drawn in combinations(range(len(score)), n):
        top = max(score[i] for i in drawn)
        kept.append(mean(value[i] for i in drawn if score[i] == top))
    return mean(kept)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_it_is_the_mean_over_all_draws_of_n_of_the_answers(n):
    expected = [by_listing(s, v, n) for s, v in zip(SCORES.tolist(), VALUES.tolist())]
    np.testing.assert_allclose(best_of(SCORES, VALUES, n), expected, rtol=1e-12)
    np.testing.assert_allclose(chances_of_best(SCORES, n).sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_it_is_unbiased_for_the_policy_that_drew_the_answers(n):
    p, score, value = [0.5, 0.3, 0.2], [0.0, 1.0, 1.0], [5.0, 1.0, -2.0]
    truth = sum(np.prod([p[i] for i in drawn]) * by_listing([score[i] for i in drawn], [value[i] for i in drawn], n)
                for drawn in product(range(3), repeat=n))
    estimate = sum(np.prod([p[i] for i in drawn])
                   * best_of(np.array([[score[i] for i in drawn]]), np.array([[value[i] for i in drawn]]), n)[0]
                   for drawn in product(range(3), repeat=4))
    assert estimate == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_kl_is_exact_where_the_answers_have_the_shares_of_the_policy(n):
    counts, score = [5, 1, 3, 1], [0.0, 2.0, 1.0, 1.0]                # ten answers, a repeat and a tie
    drawn = np.repeat(score, counts)[None]
    ref_logp = (torch.tensor(counts, dtype=torch.float64) / 10).log()
    exact = relative_surprise(best_of_n(ref_logp, torch.tensor(score, dtype=torch.float64), n), ref_logp)
    assert kl_of_best(drawn, n)[0] == pytest.approx(float(exact), abs=1e-12)


def test_kl_without_ties_is_below_the_formula_by_what_the_docstring_says():
    drawn = np.arange(256.0)[None]
    for n, short in ((1, 0.0), (64, 0.003), (256, 0.04)):
        bound = float(best_of_n_bound(torch.tensor(float(n), dtype=torch.float64)))
        assert bound - kl_of_best(drawn, n)[0] == pytest.approx(short, abs=0.001)


def test_answers_that_all_tie_are_not_moved_by_choosing():
    level = np.zeros((1, 8))
    assert kl_of_best(level, 8)[0] == 0
    assert best_of(level, np.arange(8.0)[None], 8)[0] == 3.5
    assert log(8) > 2                                                  # what the formula would begin with


@pytest.mark.parametrize("n", [0, -1, 6])
def test_more_than_there_are_cannot_compete(n):
    with pytest.raises(ValueError, match=f"n is {n}: take 1 to 5"):
        best_of(SCORES, VALUES, n)
