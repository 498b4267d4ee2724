"""A check's verdict: a sentence for a page, or a short error for an assignment."""

import dis
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
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


class NotYet(AssertionError):
    """A wrong answer, of which a notebook shows the sentence and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not yet. {self}"]


def confirm(check: Callable, answer: Any, seed: int | str = 0) -> str:
    """"Right.", or NotYet with what helps: an assignment's test has to fail.

    An error of the student's own is theirs: of the traceback their part is shown.
    """
    if is_open(answer):
        raise NotYet(OPEN)
    try:
        check(answer, seed)
    except AssertionError as error:
        raise NotYet(error) from None
    except Exception as error:
        rest = error.__traceback__
        while rest and Path(rest.tb_frame.f_code.co_filename).parent == HERE:
            rest = rest.tb_next
        raise error.with_traceback(rest) from None
    return "Right."


def is_open(answer: Any) -> bool:
    """Whether this is still `...`: the answer itself, or all that a function does."""
    if answer is None or answer is ...:
        return True
    code = getattr(answer, "__code__", None)
    steps = list(dis.get_instructions(code)) if code else []
    constants = [step.argval for step in steps if step.opname not in ("RESUME", "NOP")]
    return bool(steps) and {step.opname for step in steps} <= IDLE and all(
        value is None or value is ... for value in constants)
