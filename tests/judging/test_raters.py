"""What bounds a reward model's accuracy: closed forms, and raters whose distribution is known."""

import itertools
from itertools import permutations, product
from random import Random

import numpy as np
import pytest

from instructgpt_lite.judging.raters import (
    accuracy_bounds,
    agreement,
    crowd_accuracy,
    two_orders,
)


def test_bounds_are_met_by_the_two_extremes_and_by_nothing_beyond():
    low, high = accuracy_bounds(0.726)
    assert (low, high) == pytest.approx((0.726, 0.8361547), abs=1e-7)
    assert high ** 2 + (1 - high) ** 2 == pytest.approx(0.726, rel=1e-12)      # all pairs alike
    certain = 2 * 0.726 - 1                                                      # the others are coin flips
    assert certain + (1 - certain) / 2 == pytest.approx(low, rel=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(200):
        q = rng.beta(*rng.uniform(0.1, 3, size=2), size=9)
        low, high = accuracy_bounds(np.mean(q ** 2 + (1 - q) ** 2))
        assert low <= np.maximum(q, 1 - q).mean() + 1e-12 and np.maximum(q, 1 - q).mean() <= high + 1e-12


@pytest.mark.parametrize("agreement", [0.49, 1.01])
def test_an_agreement_that_cannot_be_is_refused(agreement):
    with pytest.raises(ValueError, match="at least half"):
        accuracy_bounds(agreement)


def test_one_mind_predicts_itself_and_a_split_one_cannot_be_predicted():
    same = [[[3] * 9, [1] * 9, [-2] * 9]] * 40
    assert crowd_accuracy(same, others=4).mean == 1.0
    coin = [[[-4, 4] * 20, [-3, 3] * 20]] * 300
    assert crowd_accuracy(coin, others=8).mean == pytest.approx(0.5, abs=0.05)


def test_accuracy_equals_the_sum_over_all_draws():
    """Two texts with three and four ratings, one other rater: every way to draw, by hand."""
    first, second = [0, 0, 1], [0, 0, -1, 2]
    hits = counts = both_hits = both = 0.0
    for a, b in itertools.product(itertools.permutations(first), itertools.permutations(second)):
        fresh, next_to_it, crowd = (np.sign(a[n] - b[n]) for n in range(3))
        if fresh:
            hits, counts = hits + (1 + fresh * crowd) / 2, counts + 1
            if next_to_it:
                both_hits, both = both_hits + (1 + fresh * crowd) / 2, both + 1
    found = crowd_accuracy([[first, second]], others=1, draws=20_000)
    assert found.mean == pytest.approx(hits / counts, abs=0.01)
    found = crowd_accuracy([[first, second]], others=1, draws=20_000, second=True)
    assert found.mean == pytest.approx(both_hits / both, abs=0.01)
    assert abs(hits / counts - both_hits / both) > 0.03


def test_more_raters_predict_better_and_the_seed_decides_the_draw():
    rng = np.random.default_rng(1)
    groups = [np.clip(np.rint(rng.normal(rng.normal(size=(5, 1)), 1, size=(5, 20))), -4, 4).astype(int).tolist()
              for _ in range(60)]
    one, many = (crowd_accuracy(groups, others, seed=3) for others in (1, 16))
    assert one.high < many.low
    assert one == crowd_accuracy(groups, 1, seed=3) != crowd_accuracy(groups, 1, seed=4)


def test_pairs_that_the_rater_ties_do_not_count():
    tied = [[[0] * 5, [0] * 5, [1] * 5]]
    assert crowd_accuracy(tied, others=3).mean == 1.0


def test_too_few_ratings_are_named():
    with pytest.raises(ValueError, match="a text has 3 ratings: want 4"):
        crowd_accuracy([[[1, 2, 3], [1, 2, 3, 4]]], others=2)


def counted(first, second):
    """Agreements and decided cases over all pairs of different raters, counted one by one."""
    alike = decided = ways = 0
    for (a, other_a), (b, other_b) in product(permutations(first, 2), permutations(second, 2)):
        ways += 1
        if a != b and other_a != other_b:
            decided += 1
            alike += (a > b) == (other_a > other_b)
    return alike / ways, decided / ways


@pytest.mark.parametrize("seed", range(5))
def test_two_raters_are_counted_exactly(seed):
    rng = Random(seed)
    first, second = ([rng.randint(-4, 4) for _ in range(rng.randint(2, 6))] for _ in range(2))
    assert two_orders(first, second) == pytest.approx(counted(first, second), rel=1e-12, abs=1e-15)
    assert two_orders(second, first) == pytest.approx(counted(first, second), rel=1e-12, abs=1e-15)


def test_a_rater_is_never_compared_with_himself():
    assert two_orders([0, 2], [1, 1]) == (0.0, 1.0)          # 2 > 1 and 0 < 1: the two always disagree
    assert two_orders([1, 1], [1, 1]) == (0.0, 0.0)          # all tie
    assert two_orders([3, 4], [-1, 0]) == (1.0, 1.0)


def test_agreement_pools_the_decided_pairs_of_all_groups():
    groups = [[(0, 2, 1), (1, 1, -3), (4, 4, 4, -1)], [(1, 2), (2, 2)], [(3, 3), (3, 3)]]
    pairs = [(a, b) for group in groups for n, a in enumerate(group) for b in group[:n]]
    alike, decided = (sum(column) for column in zip(*(counted(a, b) for a, b in pairs)))
    assert agreement(groups).mean == pytest.approx(alike / decided, rel=1e-12)


def test_raters_who_always_agree_agree_in_every_draw():
    assert agreement([[(1, 1), (2, 3)], [(-4, -3), (0, 0), (4, 4)]]) == (1.0, 1.0, 1.0)
