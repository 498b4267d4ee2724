"""Tables of measures, each number with its 95 % interval; and tables of words."""

import re

import pandas as pd
from IPython.display import Markdown

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


def of_words(columns: list[str], rows: list[tuple]) -> Markdown:
    """A table to read, numbers with two digits. Its cell wants the metadata {"mystnb": {"markdown_format": "myst"}}."""
    cells = [[f"{cell:.2f}" if isinstance(cell, float) else _plain(cell) for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def _plain(text) -> str:
    """Text in which nothing is markup and nothing ends a cell."""
    return re.sub(r"([\\|*_`<>{}$\[\]])", r"\\\1", str(text)).replace("\n", " ")
