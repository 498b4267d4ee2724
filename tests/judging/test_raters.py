"""What bounds a reward model's accuracy: closed forms, and raters whose law is known."""

import itertools

import numpy as np
import pytest

from instructgpt_lite.judging.raters import accuracy_bounds, crowd_accuracy


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
