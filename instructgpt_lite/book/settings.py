"""Every number of a configuration beside the paper's, with its reason from config.py.

    settings.compared("ppo", {"tiny": tiny, "nano": nano})        a table for the page
"""

import inspect
import re
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from IPython.display import Markdown

from instructgpt_lite.config import Run
from instructgpt_lite.report.text import setting

PAPER, SILENT, OURS = "paper", "paper silent", "ours"
HYPHEN = "\u2011"                    # at which a browser breaks no line


class Setting(NamedTuple):
    """One field of a configuration."""

    name: str
    default: Any
    source: str                      # PAPER, SILENT or OURS
    values: dict[str, Any]           # of each preset
    reason: str                      # the comment on the field's line in config.py


def reasons(kind: type) -> dict[str, str]:
    """The comment on the line of each field, that of the class declared last."""
    found = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each):
            source = inspect.getsource(each)
            found |= dict(re.findall(r"^    (\w+): .*?  # (.*)$", source, re.M))
    return found


def settings(stage: str, presets: dict[str, Run]) -> list[Setting]:
    """Every field of a stage ("ppo"), or of the run itself (""), as in config.py."""
    def of(run: Run) -> Any:
        return getattr(run, stage) if stage else run

    default = of(Run(""))
    why, ours = reasons(type(default)), OURS in (type(default).__doc__ or "")
    found = []
    for field in fields(default):
        value = getattr(default, field.name)
        if not is_dataclass(value) and field.name != "preset":
            reason = why[field.name]
            whose = OURS if ours or OURS in reason.split() else PAPER
            values = {name: getattr(of(run), field.name)
                      for name, run in presets.items()}
            whose = SILENT if SILENT in reason else whose
            found.append(Setting(field.name, value, whose, values, reason))
    return found


def compared(stage: str, presets: dict[str, Run]) -> Markdown:
    """The settings of a stage as a table: departures bold, what is ours in italics.

    What a field is comes below its name, so that a phone shows it without scrolling.
    """
    rows = [["field", "default", *presets], ["---"] * (2 + len(presets))]
    for each in settings(stage, presets):
        default, reason = written(each.default), each.reason
        if each.source != PAPER:
            default = f"*{default}*"
            if each.source not in reason:
                reason += f"; {each.source}"
        mine = [written(value) if value == each.default else f"**{written(value)}**"
                for value in each.values.values()]
        rows.append([f"`{each.name}`<br><small>{reason}</small>", default, *mine])
    return Markdown("\n".join("| " + " | ".join(row) + " |" for row in rows))


def written(value: Any) -> str:
    """A value as people write it: 256,000 and 9.65e-6, the latter in one line."""
    return setting(value).replace("e-", f"e{HYPHEN}")
