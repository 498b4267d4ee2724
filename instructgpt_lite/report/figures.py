"""The figures of a page: inline SVG in the colours and the font of the page."""

import io
import math
import re
from collections.abc import Mapping, Sequence

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

POINTS = 48                          # of a curve, at most
COLOURS = {"#000001": "var(--first)", "#000002": "var(--second)",    # the page's own
           "#000003": "var(--quiet)", "#000004": "var(--line)"}
FIRST, SECOND, QUIET, LINE = COLOURS
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "instructgpt-lite", "font.size": 8,
    "text.color": QUIET, "axes.labelcolor": QUIET, "axes.edgecolor": LINE,
    "xtick.color": QUIET, "ytick.color": QUIET, "axes.grid": True, "grid.color": LINE,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "xtick.major.size": 0, "ytick.major.size": 0, "legend.frameon": False,
}


def whiskers(rows: Mapping[str, Sequence[float]], words: str,
             reach: Sequence[float] = (), mark: float | None = None) -> Markup:
    """(mean, low, high) of each name as a dot with its interval.

    reach: values that the axis must show. mark: where a dashed line stands.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((3.4, 0.4 + 0.18 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for height, (mean, low, high) in enumerate(rows.values()):
            axes.plot([low, high], [height, height], color=FIRST, linewidth=1.5)
            axes.plot(mean, height, "o", color=FIRST, markersize=4)
        axes.plot(reach, [0] * len(reach), color=LINE, alpha=0)
        if mark is not None:
            axes.axvline(mark, color=QUIET, linestyle=":", linewidth=1)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        return inline(figure, words + ": " + "; ".join(
            f"{name} {mean:.3f}" for name, (mean, _, _) in rows.items()))


def curves(series: Mapping[str, Sequence[tuple[float, float]]], words: str,
           unit: str) -> Markup:
    """Lines of (step, value); of long ones the means and the range of neighbours."""
    with matplotlib.rc_context(STYLE):
        figure = Figure((3.3, 2.0), layout="constrained")
        axes = figure.add_subplot()
        for (name, points), colour in zip(series.items(), (FIRST, SECOND)):
            draw(axes, points, name, colour)
        axes.set_xlim(left=0)
        axes.set_xlabel(unit)
        axes.locator_params(nbins=4)
        if len(series) > 1:
            axes.legend()
        return inline(figure, words + ": " + "; ".join(
            f"{name} from {points[0][1]:.3g} to {points[-1][1]:.3g} "
            f"after {points[-1][0]:g} {unit}" for name, points in series.items()))


def draw(axes: Axes, points: Sequence[tuple[float, float]], name: str,
         colour: str) -> None:
    """One line of at most POINTS points, dashed if it is the second."""
    each = math.ceil(len(points) / POINTS)
    bins = [points[start:start + each] for start in range(0, len(points), each)]
    step = [part[-1][0] for part in bins]
    values = [[value for _, value in part] for part in bins]
    means = [sum(part) / len(part) for part in values]
    axes.plot(step, means, color=colour, label=name, linewidth=1.5,
              linestyle="-" if colour == FIRST else "--",
              marker="o" if len(bins) == 1 else "")
    if each > 1:
        axes.fill_between(step, [*map(min, values)], [*map(max, values)], color=colour,
                          alpha=0.16, linewidth=0)


def inline(figure: Figure, words: str) -> Markup:
    """The figure as an element of the page that is read out as `words`."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg"):]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.S)
    drawn = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawn)
    drawn = re.sub(r' id="(?![mp][0-9a-f]{10})[^"]*"', "", drawn)
    drawn = re.sub(r' width="[^"]*" height="[^"]*"', "", drawn, count=1)
    for colour, variable in COLOURS.items():
        drawn = drawn.replace(colour, variable)
    spoken = f'<svg role="img" aria-label="{escape(words)}"'
    return Markup(drawn.replace("<svg", spoken, 1))
