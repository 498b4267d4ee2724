"""Tables of measures with their intervals, of words, and of answers side by side."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging.intervals import Interval
from instructgpt_lite.judging.policies import Answers

GRID = ("display:grid;grid-template-columns:max-content max-content 1fr;"
        "gap:0.1em 0.8em;text-align:left;line-height:1.35")
CARD = ("border-left:3px solid #8896a5;padding-left:0.8em;margin:0 0 1.1em;"
        "text-align:left")
BREAK = "\u23ce"                      # a line break that the policy wrote, visible


def with_intervals(rows: dict[str, dict[str, Interval | None]],
                   digits: int = 2) -> pd.DataFrame:
    """In every place "mean (low to high)"; empty where nothing was measured."""
    named = {name: {column: written(value, digits) for column, value in row.items()}
             for name, row in rows.items()}
    return pd.DataFrame.from_dict(named, orient="index").fillna("")


def written(interval: Interval | None, digits: int = 2) -> str:
    """0.77 (0.74 to 0.80); the mean alone where the interval is a point."""
    if interval is None:
        return ""
    mean, low, high = (f"{value:z.{digits}f}" for value in interval)
    return mean if low == high else f"{mean} ({low} to {high})"


def of_words(columns: list[str], rows: list[tuple]) -> Markdown:
    """A table to read, numbers with two digits.

    Its cell wants the metadata {"mystnb": {"markdown_format": "myst"}}.
    """
    cells = [[_plain(cell) for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def side_by_side(answers: dict[str, Answers], rows: Sequence[int]) -> HTML:
    """A card for each row: its prompt, then each policy's gold score and answer."""
    cards = []
    for row in rows:
        prompt = next(iter(answers.values())).prompts[row]
        lines = "".join(
            f"<span>{escape(name)}</span><span>{each.scores[row].gold:.2f}</span>"
            f"<span>{_visible(each.texts[row]) or '(nothing)'}</span>"
            for name, each in answers.items())
        title = (f"<strong>{_visible(prompt.prompt)}</strong> "
                 f"<em>({escape(prompt.category)})</em>")
        grid = f'<div style="{GRID}">{lines}</div>'
        cards.append(f'<div style="{CARD}">{title}{grid}</div>')
    return HTML("".join(cards))


def first_of_each(prompts: Sequence[Prompt]) -> list[int]:
    """The first prompt of each use case, in the order met: a choice nobody made."""
    cases = [prompt.category for prompt in prompts]
    return [cases.index(case) for case in dict.fromkeys(cases)]


def _plain(text: Any) -> str:
    """Text in which nothing is markup and nothing ends a cell."""
    if isinstance(text, float):
        return f"{text:.2f}"
    return re.sub(r"([\\|*_`<>{}$\[\]])", r"\\\1", str(text)).replace("\n", " ")


def _visible(text: str) -> str:
    return escape(text.strip()).replace("\n", f" {BREAK} ")
