"""How numbers and texts are written for people, in the page and in the terminal."""

import unicodedata
from collections.abc import Sequence
from typing import Any


def printable(text: str) -> str:
    """The text with U+FFFD for control characters and what else steers a terminal."""
    text = text.replace("\r\n", "\n").replace("\t", " ")
    return "".join(sign if sign == "\n" or unicodedata.category(sign)[0] != "C"
                   else "\ufffd" for sign in text)


def three_digits(value: float) -> str:
    """Three significant digits; whole numbers in full."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def with_margin(interval: Sequence[float]) -> str:
    """0.651 ±.012: a mean, and half of its 95 % interval."""
    mean, low, high = interval
    short = 0 <= mean < 10 and high - low < 2
    digits = 3 if short else 2                       # so that columns stay apart
    return f"{mean:z.{digits}f} ±" + f"{(high - low) / 2:.{digits}f}".removeprefix("0")


def percent(interval: Sequence[float]) -> str:
    """65 % (64 to 66 %)."""
    mean, low, high = (f"{100 * each:.0f}" for each in interval)
    return f"{mean} % ({low} to {high} %)"


def setting(value: object) -> str:
    """A value of the configuration as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("\n", "\\n")
    return f"{value:,}" if isinstance(value, int) else f"{value:g}".replace("e-0", "e-")


def flag(name: str, value: Any) -> list[str]:
    """A field as the command line takes it."""
    stage, _, field = name.replace("_", "-").rpartition(".")
    dotted = f"--{stage}." if stage else "--"
    if isinstance(value, bool):
        return [f"{dotted}{'' if value else 'no-'}{field}"]
    return [dotted + field, *map(str, value if isinstance(value, list) else [value])]
