"""Every number of a configuration beside the paper's, with its reason: the comment that stands in config.py.

    settings.compared("ppo", {"tiny": tiny, "nano": nano})        a table for the page
"""

import inspect
import io
import tokenize
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from IPython.display import Markdown

from instructgpt_lite.config import Run

PAPER, SILENT, OURS = "paper", "paper silent", "ours"
HYPHEN = "\u2011"                    # at which a browser breaks no line


@dataclass(frozen=True)
class Setting:
    """One field of a configuration: its default, whose number that is, what each preset has, and why."""

    name: str
    default: Any
    source: str                      # PAPER, SILENT or OURS
    values: dict[str, Any]           # of each preset
    reason: str                      # the comment of the field in config.py

    @property
    def departures(self) -> list[str]:
        """Presets whose value is not the default."""
        return [name for name, value in self.values.items() if value != self.default]


def comments(kind: type) -> dict[str, str]:
    """The comment beside each field of a dataclass; that of the class that declares the field last."""
    found = {}
    for each in reversed([base for base in kind.__mro__ if is_dataclass(base)]):
        lines = inspect.getsource(each)
        said = {token.start[0]: token.string.lstrip("# ")
                for token in tokenize.generate_tokens(io.StringIO(lines).readline) if token.type == tokenize.COMMENT}
        for number, line in enumerate(lines.splitlines(), 1):
            name = line.strip().partition(":")[0]
            if name in getattr(each, "__annotations__", {}):
                found[name] = said.get(number, "")
    return found


def settings(stage: str, presets: dict[str, Run]) -> list[Setting]:
    """Every field of a stage ("ppo"), or of the run itself (""), in the order of config.py."""
    def part(run: Run):
        return getattr(run, stage) if stage else run

    default = part(Run(""))
    said, ours = comments(type(default)), "ours" in (type(default).__doc__ or "")
    found = []
    for field in fields(default):
        value = getattr(default, field.name)
        if not is_dataclass(value) and field.name != "preset":
            reason = said[field.name]
            source = SILENT if SILENT in reason else OURS if ours or "ours" in reason.split() else PAPER
            found.append(Setting(field.name, value, source, {name: getattr(part(run), field.name)
                                                             for name, run in presets.items()}, reason))
    return found


def compared(stage: str, presets: dict[str, Run]) -> Markdown:
    """The settings of a stage as a table: departures bold, numbers that are not the paper's in italics."""
    rows = [["field", "default", *presets, "what it is, and whose"], ["---"] * (len(presets) + 3)]
    for each in settings(stage, presets):
        default = written(each.default) if each.source == PAPER else f"*{written(each.default)}*"
        mine = [f"**{written(value)}**" if name in each.departures else written(value)
                for name, value in each.values.items()]
        reason = each.reason if each.source in each.reason or each.source == PAPER else f"{each.reason}; {each.source}"
        rows.append([f"`{each.name}`", default, *mine, reason])
    return Markdown("\n".join("| " + " | ".join(row) + " |" for row in rows))


def written(value: Any) -> str:
    """A value as people write it: 256,000 and 9.65e-6, the latter in one line."""
    if isinstance(value, tuple):
        return ", ".join(map(written, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if 0 < value < 0.01:
        digits, _, power = f"{value:e}".partition("e-")
        return f"{float(digits):g}e{HYPHEN}{int(power)}"
    return f"{value:g}"
