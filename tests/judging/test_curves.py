"""Gao et al.'s curves: fits of points made by the formulas, peaks found by a fine grid."""

import numpy as np
import pytest

from instructgpt_lite.judging.curves import curve, fitted, peak

D = np.array([0.0, 0.3, 0.8, 1.5, 2.5, 4.0])


@pytest.mark.parametrize("kind, points", [
    ("best of n", [d * (0.5 - 0.1 * d) for d in D]),
    ("RL", [0.0] + [d * (0.5 - 0.1 * np.log(d)) for d in D[1:]])])
def test_a_fit_finds_the_coefficients_that_made_the_points(kind, points):
    assert fitted(D, np.array(points), kind) == pytest.approx((0.5, 0.1))
    np.testing.assert_allclose(curve(D, 0.5, 0.1, kind), points)


def test_a_fit_of_noisy_points_has_the_least_squares():
    gain = np.array([0.0, 0.2, 0.25, 0.6, 0.5, 0.1])
    alpha, beta = fitted(D, gain, "RL")
    best = ((curve(D, alpha, beta, "RL") - gain) ** 2).sum()
    for a, b in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert ((curve(D, alpha + a, beta + b, "RL") - gain) ** 2).sum() > best


@pytest.mark.parametrize("kind", ["best of n", "RL"])
@pytest.mark.parametrize("alpha, beta", [(0.5, 0.1), (0.2, 0.15), (0.3, 0.3)])
def test_the_peak_is_where_a_fine_grid_is_highest(kind, alpha, beta):
    grid = np.linspace(1e-3, 60, 600_000)
    assert peak(alpha, beta, kind) == pytest.approx(grid[curve(grid, alpha, beta, kind).argmax()], abs=2e-4)


def test_a_curve_that_never_turns_has_no_peak():
    assert peak(0.5, 0.0, "RL") == peak(0.5, -0.1, "best of n") == float("inf")


def test_one_point_is_no_curve():
    with pytest.raises(ValueError, match="1 points away from the start"):
        fitted(np.array([0.0, 1.0]), np.array([0.0, 0.3]), "RL")
