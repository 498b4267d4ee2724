"""Means over held-out prompts with 95 % bootstrap intervals. Pairs are kept together: a prompt is drawn whole."""

from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap(values, weights=None, draws: int = 1_000, seed: int = 0) -> Interval:
    """The mean of one value for each prompt; with weights (pairs of a prompt, say) the weighted mean.

    Percentile bootstrap over prompts (Efron, 1979). ValueError when there is nothing to average.
    """
    values = np.asarray(values, dtype=float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    if not len(values) or not weights.sum():
        raise ValueError("nothing to average: give at least one value of weight above 0")
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    totals = counts @ weights
    means = (counts @ (values * weights))[totals > 0] / totals[totals > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float((values * weights).sum() / weights.sum()), float(low), float(high))
