"""Interactive figures: Python hands over a few numbers, JavaScript draws and computes, so a page needs no kernel.

    class Ranking(Widget):
        script = "bradley_terry.js elements.js ranking.js"   # of this folder, joined; the last exports { render }
        answers = traitlets.List([...]).tag(sync=True)

A script builds native controls with labels into an element of class `figure-by-hand` (widgets.css) and exports the
arithmetic as pure functions, which the tests run beside Python's.
"""

import inspect
from pathlib import Path

import anywidget

HERE = Path(__file__).parent


class Widget(anywidget.AnyWidget):
    """An interactive figure whose code and style are files of this folder; `script` names those of the code."""

    script = ""

    def __init_subclass__(cls, **options) -> None:
        if "script" in vars(cls):                # traitlets derives once more for each figure, with traits in place
            cls._esm = "\n".join((HERE / name).read_text(encoding="utf-8") for name in cls.script.split())
            cls._css = (HERE / "widgets.css").read_text(encoding="utf-8")
        super().__init_subclass__(**options)

    def __repr__(self) -> str:
        """What stands where the figure cannot be drawn; no address, so that outputs stay the same."""
        return f"{type(self).__name__}: an interactive figure. {inspect.getdoc(type(self))}"
