"""Exercises on the page: a check's verdict as a sentence, so that none is an error."""

from collections.abc import Callable

from IPython.display import Markdown


def attempt(check: Callable, answer: Callable) -> Markdown:
    """What a check of `checks` says of the reader's function: right, or what helps."""
    name = getattr(answer, "__name__", "Your function")
    try:
        check(answer)
    except AssertionError as error:
        return Markdown(f"**Not yet.** {error}")
    return Markdown(f"**Right.** `{name}` passes every case of `{check.__name__}`.")
