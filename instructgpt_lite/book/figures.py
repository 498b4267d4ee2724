"""One quiet style for every figure (book.mplstyle): few colours, labels on the lines.

    from instructgpt_lite.book import figures
    figures.use_style()
    fig, ax = figures.panels()                # one panel, or panels(1, 2)
    figures.line(ax, x, y, low, high, name="k1", color=figures.BLUE)
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from IPython import get_ipython
from matplotlib.axes import Axes

Numbers = Sequence[float]

# Okabe and Ito's colours (2008), less those too pale on white.
BLUE, ORANGE, GREEN, PURPLE, GOLD, SKY, GREY = (
    "#0072b2", "#d55e00", "#009e73", "#aa4499", "#b8860b", "#3a9bdc", "#6b7280")
POLICIES = {"base": GREY, "few-shot": SKY, "SFT": BLUE, "PPO": ORANGE, "PPO-ptx": GREEN}
INK, LIGHT = "#1f2937", "#d1d5db"


# In an SVG, what tells when and by which version it was drawn; the rest of its bytes
# depends on the drawing alone.
NOWHERE = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def use_style() -> None:
    """Every figure from here on in the book's style, in a notebook as SVG."""
    plt.style.use(Path(__file__).with_name("book.mplstyle"))
    if shell := get_ipython():
        from matplotlib_inline.config import InlineBackend

        inline = InlineBackend.instance(parent=shell)
        inline.print_figure_kwargs = {"bbox_inches": "tight", "metadata": NOWHERE}
        inline.figure_formats = {"svg"}


def panels(rows: int = 1, columns: int = 1, height: float = 3.6, width: float = 5.6,
           **options) -> tuple:
    """(figure, axes): one panel, or an array of them; inches, 5.6 fit a phone."""
    return plt.subplots(rows, columns, figsize=(width, height), **options)


def line(ax: Axes, x: Numbers, y: Numbers, low: Numbers | None = None,
         high: Numbers | None = None, name: str = "", color: str = BLUE,
         **options) -> None:
    """A line with its interval as a band and its name at its right end."""
    ax.plot(x, y, color=color, **options)
    if low is not None:
        ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    if name:
        label(ax, x[-1], y[-1], name, color)


def bars(ax: Axes, names: Sequence[str], means: Numbers, low: Numbers, high: Numbers,
         colors: Sequence[str] | None = None) -> None:
    """Horizontal bars, the first on top, each with its interval and its value."""
    places = range(len(names))
    ax.barh(places, means, xerr=whiskers(means, low, high), color=colors or BLUE,
            height=0.6, error_kw={"ecolor": INK, "capsize": 3})
    for place, mean, end in zip(places, means, high):
        ax.annotate(f"{mean:.2f}", (max(mean, end), place), (5, 0),
                    textcoords="offset points", va="center")
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)


def rows(ax: Axes, names: Sequence[str], groups: dict[str, list],
         colors: dict[str, str]) -> None:
    """A row for each name, the first on top, with a dot for each group that has one.

    groups: (mean, low, high) or None of every row. A key above the figure names the
    groups, once for all its panels; one without a name has none.
    """
    height = 0.75 / len(groups)
    for number, (group, intervals) in enumerate(groups.items()):
        shift = height * (number - (len(groups) - 1) / 2)
        places = [place for place, interval in enumerate(intervals) if interval]
        means, low, high = zip(*(intervals[place] for place in places))
        shifted = [place + shift for place in places]
        ax.errorbar(means, shifted, xerr=whiskers(means, low, high), fmt="o",
                    color=colors[group], capsize=2, label=group)
    if any(groups) and not ax.figure.legends:
        ax.figure.legend(loc="outside upper left", ncols=len(groups))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def whiskers(means: Numbers, low: Numbers, high: Numbers) -> list[list[float]]:
    """How far an interval reaches below and above each mean, as matplotlib wants it."""
    return [[mean - end for mean, end in zip(means, low)],
            [end - mean for mean, end in zip(means, high)]]


def label(ax: Axes, x: float, y: float, text: str, color: str = INK,
          side: int = 1) -> None:
    """Text right of a point (side 1) or left of it (side -1)."""
    ax.annotate(text, (x, y), (5 * side, 0), textcoords="offset points", color=color,
                va="center", ha="left" if side > 0 else "right", annotation_clip=False)
