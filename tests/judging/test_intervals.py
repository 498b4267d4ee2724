"""The interval behind every published number: its coverage, its width, its weights."""

import math

import numpy as np
import pytest

from instructgpt_lite.judging.intervals import Interval, bootstrap

TRIALS = 500
ROOM = 3 * math.sqrt(0.95 * 0.05 / TRIALS)                 # 3 standard errors of a coverage of 95 %


def covered(draw, truth: float) -> float:
    """The share of repeated experiments whose interval holds the truth."""
    rng = np.random.default_rng(0)
    intervals = [bootstrap(*draw(rng), draws=300, seed=n) for n in range(TRIALS)]
    return sum(each.low <= truth <= each.high for each in intervals) / TRIALS


def scores(rng):
    """100 gold scores."""
    return (rng.beta(2, 1, 100),)


def differences(rng):
    """100 prompts answered by two policies: the prompt's difficulty is in both scores."""
    difficulty = rng.normal(0, 1, 100)
    return (difficulty + rng.normal(0.1, 0.3, 100) - difficulty - rng.normal(0, 0.3, 100),)


def pairs_of_prompts(rng):
    """100 prompts with 1, 6 or 36 pairs: right together or wrong together, better where there are more."""
    pairs = rng.choice([1, 6, 36], 100)
    right = rng.beta(5, 3 - np.log(pairs) / 2)
    return rng.binomial(pairs, right) / pairs, pairs


def right_on_average() -> float:
    pairs = np.array([1, 6, 36])
    return (pairs * 5 / (8 - np.log(pairs) / 2)).sum() / pairs.sum()


@pytest.mark.parametrize("draw, truth", [(scores, 2 / 3), (differences, 0.1), (pairs_of_prompts, right_on_average())],
                         ids=["plain", "paired", "clustered and weighted"])
def test_95_of_100_intervals_hold_the_truth(draw, truth):
    assert covered(draw, truth) == pytest.approx(0.95, abs=ROOM)


def test_pairs_taken_one_by_one_would_promise_too_much():
    """Without clusters fewer than 3 of 4 intervals of the same experiment hold the truth."""
    def loose(rng):
        right, pairs = pairs_of_prompts(rng)
        wins = np.rint(right * pairs).astype(int)
        return (np.concatenate([[1] * w + [0] * (n - w) for w, n in zip(wins, pairs)]),)
    rng = np.random.default_rng(0)
    truth = right_on_average()
    held = [each.low <= truth <= each.high
            for each in (bootstrap(*loose(rng), draws=100, seed=n) for n in range(100))]
    assert sum(held) < 80


def test_the_width_is_that_of_the_normal_distribution():
    """2 . 1.96 standard errors of a mean; of a weighted mean as the delta method has it."""
    rng = np.random.default_rng(1)
    values, weights = rng.normal(5, 2, 2_000), rng.integers(1, 37, 2_000)
    _, low, high = bootstrap(values, draws=4_000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(2_000), rel=0.05)
    mean, low, high = bootstrap(values, weights, draws=4_000)
    error = math.sqrt((weights ** 2 * (values - mean) ** 2).sum()) / weights.sum()
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert low + high == pytest.approx(2 * mean, abs=0.2 * (high - low))


def test_pairing_takes_out_what_is_common():
    rng = np.random.default_rng(2)
    common, gain = rng.normal(0, 10, 300), rng.normal(1, 0.1, 300)
    paired, alone = bootstrap((common + gain) - common), bootstrap(common + gain)
    assert paired.high - paired.low < (alone.high - alone.low) / 50


def test_a_weighted_mean_is_that_of_all_pairs():
    assert bootstrap([1.0, 0.0], [3, 1]).mean == 0.75
    assert bootstrap([0.5, 1.0, 0.0], [2, 0, 2]).mean == 0.25


def test_only_the_proportions_of_weights_count():
    rng = np.random.default_rng(3)
    values, weights = rng.random(50), rng.integers(1, 9, 50)
    assert bootstrap(values, weights * 7) == pytest.approx(bootstrap(values, weights), rel=1e-12)
    assert bootstrap(values, [4] * 50) == pytest.approx(bootstrap(values), rel=1e-12)


def test_the_interval_moves_and_stretches_with_the_values():
    values = np.random.default_rng(4).random(50)
    moved = bootstrap(3 * values - 2)
    assert moved == pytest.approx([3 * end - 2 for end in bootstrap(values)], rel=1e-9)


def test_one_value_has_no_width_and_the_seed_decides_the_draw():
    assert bootstrap([0.3]) == (0.3, 0.3, 0.3)
    values = np.random.default_rng(5).random(50)
    assert bootstrap(values, seed=1) == bootstrap(values, seed=1) != bootstrap(values, seed=2)


@pytest.mark.parametrize("values, weights", [([], None), ([1.0, 2.0], [0, 0])])
def test_nothing_to_average_is_refused(values, weights):
    with pytest.raises(ValueError, match="nothing to average"):
        bootstrap(values, weights)


def test_an_interval_reads_as_mean_and_ends():
    assert str(Interval(0.5, 0.4321, 1)) == "0.500 (0.432 to 1.000)"
    assert str(Interval(-0.0001, -0.25, 0.0001)) == "0.000 (-0.250 to 0.000)"           # no zero has a sign
