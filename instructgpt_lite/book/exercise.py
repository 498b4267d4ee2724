"""Exercises on the page: a check's verdict as a sentence, so that an open exercise is no error."""

from collections.abc import Callable

from IPython.display import Markdown


def attempt(check: Callable, answer: Callable) -> Markdown:
    """What `check` (instructgpt_lite.checks) says of the reader's function: right, or the sentence that helps."""
    name = getattr(answer, "__name__", "Your function")
    try:
        check(answer)
    except AssertionError as said:
        return Markdown(f"**Not yet.** {said}")
    return Markdown(f"**Right.** `{name}` passes every case of `{check.__name__}`.")
