"""Small drawings as inline SVG, by hand: a bar, a dot with its interval, a curve. Colours are the page's."""

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 340, 190                                # of a curve's panel, in its own units
LEFT, RIGHT, TOP, BOTTOM = 42, 88, 10, 34               # its margins; curves are named in the right one
BINS = 48                                               # points of a curve at most
HIDDEN = 'aria-hidden="true" width="100%"'              # the number stands beside it and is read instead


def percent(value: float, low: float, high: float) -> str:
    """Where a value lies between the ends of an axis; at an end when outside."""
    share = (value - low) / (high - low)
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def bar(share: float) -> str:
    """A share of the full width."""
    return (f'<svg class="bar" {HIDDEN} height="8"><rect class="track" width="100%" height="8"/>'
            f'<rect class="fill" width="{percent(share, 0, 1)}" height="8"/></svg>')


def whisker(interval: Sequence[float], low: float, high: float, mark: float | None = None) -> str:
    """A dot at the mean, a capped line over the interval, and a dashed line at `mark`, from low to high."""
    mean, start, end = (percent(value, low, high) for value in interval)
    dashed = "" if mark is None else upright("mark", percent(mark, low, high), "0", "100%")
    line = (f'<line class="whisker" x1="{start}" x2="{end}" y1="9" y2="9"/>'
            f'{upright("whisker", start, "5", "13")}{upright("whisker", end, "5", "13")}')
    return (f'<svg class="dot" {HIDDEN} height="18">{dashed}{line if start != end else ""}'
            f'<circle cx="{mean}" cy="9" r="3"/></svg>')


def upright(style: str, x: str, top: str, bottom: str) -> str:
    return f'<line class="{style}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'


def axis(marks: list[float]) -> str:
    """The numbers under a column of whiskers."""
    places = [percent(mark, marks[0], marks[-1]) for mark in marks]
    texts = "".join(f'<text x="{place}" y="12" text-anchor="middle">{mark:g}</text>'
                    for place, mark in zip(places, marks))
    return f'<svg class="axis" {HIDDEN} height="16">{texts}</svg>'


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers in about `count` steps, the first not above low, the last not below high."""
    raw = max(high - low, 1e-6 + abs(high) / 100) / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= raw * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def binned(points: list[tuple[float, float]]) -> list[tuple[float, float, float, float]]:
    """(x, mean, lowest, highest) of neighbouring points, BINS of them at most."""
    each = math.ceil(len(points) / BINS)
    bins = []
    for start in range(0, len(points), each):
        steps, values = zip(*points[start:start + each])
        bins.append((steps[-1], sum(values) / len(values), min(values), max(values)))
    return bins


def curve(title: str, unit: str, series: dict[str, list[tuple[float, float]]], x_unit: str) -> str:
    """Lines of (step, value) points, named at their ends; a band is the range a point averages."""
    drawn = {name: binned(points) for name, points in series.items()}
    values = [value for line in drawn.values() for point in line for value in point[2:]]
    y_ticks, last = ticks(min(values), max(values), 3), max(line[-1][0] for line in drawn.values())

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (y_ticks[-1] - value) / (y_ticks[-1] - y_ticks[0])

    parts = [grid(y_ticks, y), steps(last, x, x_unit)]
    heights = apart([y(line[-1][1]) for line in drawn.values()])
    for number, ((name, line), height) in enumerate(zip(drawn.items(), heights)):
        label = escape(f"{name} {line[-1][1]:.3g}" if len(drawn) > 1 else f"{line[-1][1]:.3g}")
        place = f'x="{x(line[-1][0]) + 5:.1f}" y="{height + 4:.1f}"'
        parts += [stroke(line, x, y, f"s{number}"), f'<text class="name s{number}" {place}>{label}</text>']
    told = "; ".join(f"{name} from {line[0][1]:.3g} to {line[-1][1]:.3g} after {line[-1][0]:g} {x_unit}"
                     for name, line in drawn.items())
    said = escape(f"{title}, {unit}: {told}")
    return "\n".join([
        f"<figure>\n<figcaption>{escape(title)} <small>{escape(unit)}</small></figcaption>",
        f'<svg role="img" aria-label="{said}" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{said}</title>',
        *parts, "</svg>", "</figure>"])


def grid(marks: list[float], y) -> str:
    """Fine lines across, with their values at the left."""
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>' for mark in marks)


def steps(last: float, x, unit: str) -> str:
    """The axis of steps: 0, the last one, and what they count."""
    place, middle = HEIGHT - BOTTOM + 15, (LEFT + x(last)) / 2
    return (f'<text x="{LEFT}" y="{place}">0</text>'
            f'<text x="{x(last):.1f}" y="{place}" text-anchor="end">{last:,.0f}</text>'
            f'<text x="{middle:.1f}" y="{place + 14}" text-anchor="middle">{escape(unit)}</text>')


def stroke(line: list[tuple[float, float, float, float]], x, y, style: str) -> str:
    """A band from lowest to highest, and the means as a line over it; one point alone is a dot."""
    if len(line) == 1:
        return f'<circle class="{style}" cx="{x(line[0][0]):.1f}" cy="{y(line[0][1]):.1f}" r="3"/>'
    above = [f"{x(step):.1f},{y(most):.1f}" for step, _, _, most in line]
    below = [f"{x(step):.1f},{y(least):.1f}" for step, _, least, _ in reversed(line)]
    means = [f"{x(step):.1f},{y(mean):.1f}" for step, mean, _, _ in line]
    return (f'<polygon class="band {style}" points="{" ".join(above + below)}"/>'
            f'<polyline class="line {style}" points="{" ".join(means)}"/>')


def apart(heights: list[float], room: float = 13.0) -> list[float]:
    """The same heights, moved so that no two names touch."""
    order, placed = sorted(range(len(heights)), key=heights.__getitem__), list(heights)
    for lower, upper in zip(order, order[1:]):
        placed[upper] = max(placed[upper], placed[lower] + room)
    return placed
