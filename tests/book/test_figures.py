import io
import re
from pathlib import Path

import pytest
from nbval.plugin import get_sanitize_patterns

from instructgpt_lite.book import figures


def ends(segments):
    return sorted(tuple(round(value, 9) for point in line for value in point) for line in segments)


@pytest.fixture
def ax():
    fig, ax = figures.panels()
    yield ax
    figures.plt.close(fig)


PHONE = 342                                                    # pixels for a figure in a window of 390


@pytest.fixture
def styled():
    with figures.plt.rc_context():
        figures.use_style()
        yield figures.plt.rcParams


def drawing() -> str:
    """A figure as a notebook gets it, without a kernel."""
    fig, ax = figures.panels()
    figures.line(ax, [0, 1], [1, 0], name="falls")
    file = io.StringIO()
    fig.savefig(file, format="svg", bbox_inches="tight", metadata=figures.NOWHERE)
    figures.plt.close(fig)
    return file.getvalue()


def test_a_drawing_has_no_ground_no_date_and_the_same_bytes_each_time(styled):
    first, second = drawing(), drawing()
    assert first == second and len(first) < 40_000
    assert "<metadata" not in first and "fill: #ffffff" not in first


def test_the_letters_of_a_figure_have_nine_pixels_on_a_phone(styled):
    width = float(re.search(r'<svg[^>]* width="([\d.]+)pt"', drawing())[1])
    assert styled["font.size"] * PHONE / width >= 9
    small = [styled[name] for name in ("xtick.labelsize", "ytick.labelsize", "axes.labelsize")]
    assert set(small) == {"medium"}                                     # none smaller than the others


def test_drawings_are_not_compared_and_what_is_printed_is(styled):
    patterns = get_sanitize_patterns(Path(__file__).with_name("sanitize.cfg").read_text())

    def kept(text: str) -> str:
        for pattern, instead in patterns:
            text = re.sub(pattern, instead, text)
        return text

    assert kept(drawing()) == kept(drawing().replace("falls", "rises")) == "A FIGURE"
    assert kept("<Figure size 640x300 with 2 Axes>") == kept("<Figure size 560x300 with 2 Axes>")
    assert kept("0.25 nats\n</svg>\n") == "0.25 nats\n</svg>\n"


def test_a_whisker_reaches_from_one_end_of_its_interval_to_the_other(ax):
    ax.errorbar([1, 2], [0.5, 0.7], figures.whiskers([0.5, 0.7], [0.4, 0.65], [0.8, 0.9]))
    drawn = [line for each in ax.collections for line in each.get_segments()]
    assert ends(drawn) == [(1, 0.4, 1, 0.8), (2, 0.65, 2, 0.9)]


def test_a_bar_has_its_whisker_and_says_its_value(ax):
    figures.bars(ax, ["base", "SFT"], [0.1, 0.6], [0.05, 0.55], [0.2, 0.62])
    drawn = [line for each in ax.collections for line in each.get_segments()]
    assert ends(drawn) == [(0.05, 0, 0.2, 0), (0.55, 1, 0.62, 1)]
    assert [text.get_text() for text in ax.texts] == ["0.10", "0.60"]


def test_a_row_has_a_dot_for_every_group_that_was_measured(ax):
    colors = {"nano": figures.BLUE, "tiny": figures.GREEN}
    figures.rows(ax, ["base", "PPO"], {"nano": [(0.1, 0.05, 0.2), (0.7, 0.6, 0.8)], "tiny": [(0.2, 0.1, 0.3), None]},
                 colors)
    assert [list(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"] == [[0.1, 0.7], [0.2]]
    assert [text.get_text() for legend in ax.figure.legends for text in legend.get_texts()] == ["nano", "tiny"]
    assert not ax.texts                                       # nothing among the dots that could be taken for one
    assert [text.get_text() for text in ax.get_yticklabels()] == ["base", "PPO"]
    top, bottom = ax.transData.transform([(0, 0), (0, 1)])[:, 1]
    assert top > bottom
