"""A check's verdict as a sentence of Markdown, so that an open exercise is no error."""

import dis
from collections.abc import Callable
from typing import Any

OPEN = "Replace `...` and run the cell."
IDLE = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}


def verdict(check: Callable, answer: Any) -> str:
    """What a check says of the reader's answer: right, or what helps.

    An answer that nobody has begun hears neither: a hint before the first attempt
    would give the solution away.
    """
    if is_open(answer):
        return OPEN
    try:
        check(answer)
    except AssertionError as error:
        return f"**Not yet.** {error}"
    name = getattr(answer, "__name__", "")
    said = f"`{name}` passes" if name else "It passes"
    return f"**Right.** {said} every case of `{check.__name__}`."


def is_open(answer: Any) -> bool:
    """Whether this is still `...`: the answer itself, or all that a function does."""
    if answer is None or answer is ...:
        return True
    code = getattr(answer, "__code__", None)
    steps = list(dis.get_instructions(code)) if code else []
    constants = [step.argval for step in steps if step.opname not in ("RESUME", "NOP")]
    return bool(steps) and {step.opname for step in steps} <= IDLE and all(
        value is None or value is ... for value in constants)
