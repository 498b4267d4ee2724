"""Exercises on the page: a check's verdict as a sentence, so that none is an error."""

from collections.abc import Callable
from typing import Any

from IPython.display import Markdown

from instructgpt_lite.checks.verdict import verdict


def attempt(check: Callable, answer: Any) -> Markdown:
    """What a check of `checks` says of the reader's answer: right, or what helps."""
    return Markdown(verdict(check, answer))
