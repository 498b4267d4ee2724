"""Tables of measures, each number with its 95 % interval."""

import pandas as pd

from instructgpt_lite.judging.intervals import Interval


def with_intervals(rows: dict[str, dict[str, Interval | None]], digits: int = 2) -> pd.DataFrame:
    """Row by row and column by column "mean (low to high)"; empty where nothing was measured."""
    named = {name: {column: written(value, digits) for column, value in row.items()} for name, row in rows.items()}
    return pd.DataFrame.from_dict(named, orient="index").fillna("")


def written(interval: Interval | None, digits: int = 2) -> str:
    """0.77 (0.74 to 0.80); the mean alone where the interval is a point."""
    if interval is None:
        return ""
    mean, low, high = (f"{value:.{digits}f}" for value in interval)
    return mean if low == high else f"{mean} ({low} to {high})"
