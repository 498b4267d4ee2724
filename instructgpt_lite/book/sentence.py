"""A sentence whose words carry a number each: a tint, a bar, and the number itself.

The number is under the word, so nothing hangs on colour alone; text takes the colour
around it, and the tint is a veil over the page's ground: light and dark both work.
"""

from html import escape

from IPython.display import HTML

TINT = "213, 94, 0"                              # figures.ORANGE
NAMES = {"\n": "[line]", "<|endoftext|>": "[end]"}


def sentence(rows: dict[str, list[tuple[str, float]]], unit: str = "nats") -> HTML:
    """One line of words a row, under its name; the largest number has the full tint."""
    largest = max(number for words in rows.values() for _, number in words)
    lines = []
    for name, words in rows.items():
        marked = "".join(_word(*each, max(0.0, each[1] / largest)) for each in words)
        lines.append(f'<p style="margin:0.9em 0 0.2em"><strong>{escape(name)}</strong> '
                     f'({escape(unit)})</p><div role="list" '
                     f'style="display:flex;flex-wrap:wrap;gap:3px">{marked}</div>')
    return HTML(f'<div style="line-height:1.25">{"".join(lines)}</div>')


def _word(word: str, number: float, strength: float) -> str:
    shown = round(number, 1) + 0.0               # -0.0 is 0.0
    return (f'<span role="listitem" style="display:inline-block;text-align:center;'
            f'padding:2px 5px 0;background:rgba({TINT}, {0.45 * strength:.2f})">'
            f'{escape(NAMES.get(word, word))}<br><small>{shown}</small>'
            f'<span style="display:block;height:3px;margin:0 auto;'
            f'width:{100 * strength:.0f}%;background:currentColor"></span></span>')
