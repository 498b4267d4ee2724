"""Show the code that runs, and hand a number from a cell to the text around it."""

import inspect

from IPython import get_ipython
from IPython.display import Markdown, display

RECORD = "application/papermill.record/"


def show_source(thing) -> Markdown:
    """The source of a function or class as it stands in the package, under its full name.

    The page shows what this returns, and the chapter's test compares it: a change of the code shows up here.
    """
    name = f"{thing.__module__}.{thing.__qualname__}"
    return Markdown(f"`{name}`\n\n```python\n{inspect.getsource(thing).rstrip()}\n```")


def glue(name: str, value) -> None:
    """Keep a value under a name for {glue:text} on the page (MyST-NB's convention); shows nothing here."""
    data, _ = get_ipython().display_formatter.format(value)
    display({RECORD + kind: each for kind, each in data.items()}, raw=True,
            metadata={"scrapbook": {"name": name, "mime_prefix": RECORD}})
