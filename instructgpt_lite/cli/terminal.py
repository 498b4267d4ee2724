"""Text for a terminal: nothing in it can steer it, nothing is wider than it."""

import shutil
import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from instructgpt_lite.report.text import printable

NARROW = 60                           # columns below which nothing stands side by side


def side_by_side(names: Sequence[str], rows: Sequence[Sequence[str]],
                 width: int) -> str:
    """Each row's texts in columns under their names; if narrow, below each other."""
    if width < NARROW:
        return "\n\n".join("\n".join(wrapped(f"{name}: {text}", width))
                           for texts in rows
                           for name, text in zip(names, texts, strict=True))
    each = (width - 2 * (len(names) - 1)) // len(names)
    rule = "-" * min(each, max(map(len, names)))
    blocks = [lines(names, each), lines([rule] * len(names), each)]
    for number, texts in enumerate(rows):
        blocks += [""] * (number > 0) + [lines(texts, each)]
    return "\n".join(blocks)


def terminal_width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size().columns


def lines(texts: Sequence[str], each: int) -> str:
    """Texts wrapped to columns of one width, two spaces apart."""
    columns = [wrapped(text, each) for text in texts]
    return "\n".join("  ".join(cell.ljust(each) for cell in cells).rstrip()
                     for cells in zip_longest(*columns, fillvalue=""))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of a text that nothing in it can make longer."""
    return [part for line in printable(text).strip().split("\n")
            for part in textwrap.wrap(line, width) or [""]]
