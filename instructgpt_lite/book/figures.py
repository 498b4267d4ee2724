"""One quiet style for every figure: few colours that colour-blind readers can tell apart, labels on the lines.

    from instructgpt_lite.book import figures
    figures.use_style()
    fig, ax = figures.panels()                # one panel, or panels(1, 2)
    figures.line(ax, x, y, low, high, name="k1", color=figures.BLUE)

A figure is drawn on a light ground in both themes of the book; it is read on a phone, so labels are large.
"""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

# Okabe and Ito's colours (2008), less those too pale on white.
BLUE, ORANGE, GREEN, PURPLE, GOLD, SKY, GREY = (
    "#0072b2", "#d55e00", "#009e73", "#aa4499", "#b8860b", "#3a9bdc", "#6b7280")
POLICIES = {"base": GREY, "few-shot": SKY, "SFT": BLUE, "PPO": ORANGE, "PPO-ptx": GREEN}
INK, LIGHT = "#1f2937", "#d1d5db"

STYLE = {
    "figure.dpi": 100, "savefig.dpi": 130, "figure.figsize": (6.4, 3.6), "figure.constrained_layout.use": True,
    "figure.facecolor": "white", "axes.facecolor": "white", "font.size": 11, "axes.titlesize": 12,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.labelcolor": INK, "axes.edgecolor": GREY,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": LIGHT, "grid.linewidth": 0.6, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "lines.linewidth": 2, "lines.markersize": 5, "legend.frameon": False, "image.cmap": "cividis",
    "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, GOLD, SKY, GREY]),
}


def use_style() -> None:
    """Every figure from here on in the book's style."""
    plt.rcParams.update(STYLE)


def panels(rows: int = 1, columns: int = 1, height: float = 3.6, width: float = 6.4, **options):
    """(figure, axes): one panel, or an array of them; inches, at most as wide as a page."""
    return plt.subplots(rows, columns, figsize=(width, height), **options)


def line(ax: Axes, x, y, low=None, high=None, name: str = "", color: str = BLUE, **options) -> None:
    """A line with its interval as a band and its name at its right end, in place of a legend."""
    ax.plot(x, y, color=color, **options)
    if low is not None:
        ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    if name:
        label(ax, x[-1], y[-1], name, color)


def bars(ax: Axes, names, means, low, high, colors=None) -> None:
    """Horizontal bars, the first on top, each with its interval as a whisker and its value beside it."""
    places = range(len(names))
    ax.barh(places, means, xerr=whiskers(means, low, high), color=colors or BLUE, height=0.6,
            error_kw={"ecolor": INK, "capsize": 3})
    for place, mean, end in zip(places, means, high):
        ax.annotate(f"{mean:.2f}", (max(mean, end), place), (5, 0), textcoords="offset points", va="center")
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)


def dots(ax: Axes, x, means, low, high, name: str = "", color: str = BLUE, **options) -> None:
    """Points with their intervals as whiskers, and their name right of the last one."""
    ax.errorbar(x, means, yerr=whiskers(means, low, high), color=color, capsize=3, **{"fmt": "o"} | options)
    if name:
        label(ax, x[-1], means[-1], name, color)


def rows(ax: Axes, names, groups: dict[str, list], colors: dict[str, str]) -> None:
    """A row for each name, the first on top, and in it a dot with its interval for each group that has one.

    groups: (mean, low, high) or None of every row. A group is named beside its dot in the first row it has.
    """
    height = 0.75 / len(groups)
    for number, (group, intervals) in enumerate(groups.items()):
        there = [(interval, place + height * (number - (len(groups) - 1) / 2))
                 for place, interval in enumerate(intervals) if interval]
        means, low, high = zip(*(interval for interval, _ in there))
        places = [place for _, place in there]
        ax.errorbar(means, places, xerr=whiskers(means, low, high), fmt="o", color=colors[group], capsize=2)
        label(ax, high[0], places[0], group, colors[group])
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def whiskers(means, low, high) -> list[list[float]]:
    """How far an interval reaches below and above each mean, as matplotlib wants it."""
    return [[mean - end for mean, end in zip(means, low)], [end - mean for mean, end in zip(means, high)]]


def label(ax: Axes, x, y, text: str, color: str = INK, side: int = 1) -> None:
    """Text right of a point (side 1) or left of it (side -1), in the colour of what it names."""
    ax.annotate(text, (x, y), (5 * side, 0), textcoords="offset points", color=color, va="center",
                ha="left" if side > 0 else "right", annotation_clip=False)
