"""A sentence whose words carry a number each: as a tint, as a small bar, and as the number itself.

The number stands under the word, so nothing hangs on colour alone; text takes the colour around it, and the tint
is a veil over whatever ground the page has, so light and dark both work.
"""

from html import escape

from IPython.display import HTML

MORE, LESS = "213, 94, 0", "0, 114, 178"        # above and below 0: figures.ORANGE and figures.BLUE
NAMES = {"\n": "[line]", "<|endoftext|>": "[end]"}


def sentence(rows: dict[str, list[tuple[str, float]]], unit: str = "nats", scale: float = 0.0,
             signed: bool = False) -> HTML:
    """One line of words a row, each row under its name. `scale`: the number with the full tint; 0 is the largest."""
    scale = scale or max(abs(number) for words in rows.values() for _, number in words) or 1.0
    lines = [f'<p style="margin:0.9em 0 0.2em"><strong>{escape(name)}</strong> ({escape(unit)})</p>'
             f'<div role="list" style="display:flex;flex-wrap:wrap;gap:3px">'
             f'{"".join(_word(word, number, scale, signed) for word, number in words)}</div>'
             for name, words in rows.items()]
    return HTML(f'<div style="line-height:1.25">{"".join(lines)}</div>')


def _word(word: str, number: float, scale: float, signed: bool) -> str:
    share = min(1.0, abs(number) / scale)
    colour, text = MORE if number >= 0 else LESS, f"{number:+.1f}" if signed else f"{number:.1f}"
    text = text.replace("-", "\u2212").replace("\u22120.0", "0.0").replace("+0.0", "0.0")
    return (f'<span role="listitem" style="display:inline-block;text-align:center;padding:2px 5px 0;'
            f'background:rgba({colour}, {0.45 * share:.2f})">{escape(NAMES.get(word, word))}<br>'
            f'<small>{text}</small><span style="display:block;height:3px;margin:0 auto;'
            f'width:{100 * share:.0f}%;background:currentColor"></span></span>')
