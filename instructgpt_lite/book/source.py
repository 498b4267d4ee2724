"""Show the code that runs."""

import inspect
from typing import Any

from IPython.display import Markdown


def show_source(thing: Any) -> Markdown:
    """The source of a function or class as it is in the package, under its full name.

    The chapter's test compares what the page shows: a change of the code shows here.
    """
    name = f"{thing.__module__}.{thing.__qualname__}"
    return Markdown(f"`{name}`\n\n```python\n{inspect.getsource(thing).rstrip()}\n```")
