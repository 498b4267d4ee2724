"""Exercises on the page: a check's verdict as a sentence, so that none is an error."""

import dis
from collections.abc import Callable
from typing import Any

from IPython.display import Markdown

OPEN = "Replace `...` and run the cell."
IDLE = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}


def attempt(check: Callable, answer: Any) -> Markdown:
    """What a check of `checks` says of the reader's answer: right, or what helps.

    An answer that nobody has begun hears neither: a hint before the first attempt
    would give the solution away.
    """
    if is_open(answer):
        return Markdown(OPEN)
    try:
        check(answer)
    except AssertionError as error:
        return Markdown(f"**Not yet.** {error}")
    name = getattr(answer, "__name__", "")
    said = f"`{name}` passes" if name else "It passes"
    return Markdown(f"**Right.** {said} every case of `{check.__name__}`.")


def is_open(answer: Any) -> bool:
    """Whether this is still `...`: the answer itself, or all that a function does."""
    if answer is None or answer is ...:
        return True
    code = getattr(answer, "__code__", None)
    steps = list(dis.get_instructions(code)) if code else []
    constants = [step.argval for step in steps if step.opname not in ("RESUME", "NOP")]
    return bool(steps) and {step.opname for step in steps} <= IDLE and all(
        value is None or value is ... for value in constants)
