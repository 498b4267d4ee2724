"""Text for a terminal: nothing in it can steer the terminal, and nothing is wider than it is."""

import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from instructgpt_lite.story import POLICIES, STAGES, Story

NARROW = 60                           # columns below which nothing stands side by side
COLUMNS = {"gold": "gold", "gold_win": "win, gold", "labeler_win": "win, people", "misled": "misled",
           "rude": "rude", "pretraining_loss": "text loss"}


def printable(text: str) -> str:
    """The text with U+FFFD for control characters, lone surrogates and whatever else can steer a terminal."""
    text = text.replace("\r\n", "\n").replace("\t", " ")
    return "".join(sign if sign == "\n" or unicodedata.category(sign)[0] != "C" else "\ufffd"
                   for sign in text)


def side_by_side(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Each row's texts in columns under their names; one below the other where the terminal is narrow."""
    if width < NARROW:
        return "\n\n".join("\n".join(wrapped(f"{name}: {text}", width)) for texts in rows
                           for name, text in zip(names, texts, strict=True))
    each = (width - 2 * (len(names) - 1)) // len(names)
    blocks = [lines(names, each), lines(["-" * min(each, max(map(len, names)))] * len(names), each)]
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
    return [part for line in printable(text).strip().split("\n")
            for part in textwrap.wrap(line, width) or [""]]


def table(folder: str | Path) -> str:
    """Policies on held-out prompts and the reward model, in 80 columns; or how far the run has come."""
    story = Story.read(folder)
    if not story.evaluation:
        done = ", ".join(STAGES.get(stage, stage) for stage in story.seconds) or "nothing"
        return f"{story.folder}: no evaluation yet (done: {done}). Go on with\n  {story.command}"
    policies, reward = story.evaluation["policies"], story.evaluation["reward"]
    shown = [f"{'':8}" + "".join(f"{title:>12}" for title in COLUMNS.values())]
    for name, row in policies.items():
        cells = [short(row[metric]) if metric in row else "" for metric in COLUMNS]
        shown.append(f"{POLICIES.get(name, name):8}" + "".join(f"{cell:>12}" for cell in cells))
    shown.append("mean ± half its 95 % interval; win: rate over SFT, by gold score and by held-out\n"
                 "labelers, ties half; misled, rude: shares of answers; text loss: nats per token")
    shown += [f"reward model, {name}: {short(reward[name])}" for name in sorted(reward)
              if not name.startswith("gold order, ") or name == "gold order, all"]
    return "\n".join(shown)


def short(interval: Sequence[float]) -> str:
    """0.651 ±.012"""
    mean, low, high = interval
    half = f"{(high - low) / 2:.3f}"
    return f"{mean:.3f} ±{half.removeprefix('0')}"
