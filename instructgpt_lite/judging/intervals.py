"""Means over held-out prompts with 95 % bootstrap intervals, prompts drawn whole."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:z.3f} ({self.low:z.3f} to {self.high:z.3f})"


def bootstrap(values: Sequence[float], weights: Sequence[float] | None = None,
              draws: int = 1_000, seed: int = 0) -> Interval:
    """The mean of one value for each prompt, weighted where `weights` are given.

    Percentile bootstrap over prompts (Efron, 1979). The pairs of a prompt stay
    together: value their mean, weight their number. Two policies are compared
    by differences on the same prompts. ValueError when there is nothing to average.
    """
    value_N = np.asarray(values, dtype=float)
    N = len(value_N)
    weight_N = np.asarray(np.ones(N) if weights is None else weights, dtype=float)
    if not N or not weight_N.sum():
        raise ValueError("nothing to average: give one value of weight above 0")
    rng = np.random.default_rng(seed)
    times_drawn = rng.multinomial(N, np.full(N, 1 / N), size=draws)
    totals = times_drawn @ weight_N
    means = (times_drawn @ (value_N * weight_N))[totals > 0] / totals[totals > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    mean = (value_N * weight_N).sum() / weight_N.sum()
    return Interval(float(mean), float(low), float(high))
