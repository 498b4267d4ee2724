"""Runs in the page's Python (in_page_worker.js): a reader's cell, what it prints, and what there is to say of it."""

import ast
import io
import json
import math
import traceback
from contextlib import redirect_stderr, redirect_stdout

from instructgpt_lite import checks
from instructgpt_lite.checks.verdict import verdict

CELL = "the cell"
LISTS = " Here is no torch: numbers come as lists."


def run(code: str) -> str:
    """As JSON: `printed`, its last 10,000 characters, and `said`, the verdict or the error."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            said = value(code)
    except BaseException as error:                     # the reader's, whatever it is: even sys.exit()
        said = slip(error)
    if not isinstance(said, str):
        said = "**No verdict.** The last line has to ask for it: `attempt(checks. ...)`, as it was."
    return json.dumps({"printed": printed.getvalue()[-10_000:], "said": said})


def value(code: str) -> object:
    """Of the last line, as a notebook has it."""
    names = {"__name__": "__main__", "math": math, "checks": checks, "attempt": verdict}
    tree = ast.parse(code, CELL)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, CELL, "exec"), names)
    return eval(compile(ast.Expression(last.value), CELL, "eval"), names) if last else None


def slip(error: BaseException) -> str:
    """The last line of the traceback, with the line of the cell it comes from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == CELL]
    syntax = isinstance(error, SyntaxError) and error.filename == CELL
    line = error.lineno if syntax else lines[-1] if lines else None
    what = f"{type(error).__name__}: {error.msg if syntax else error}".splitlines()[0]
    where = f" in line {line}" if line else ""
    return f"**Error{where}.** `{what}`." + LISTS * ("torch" in what or "'list'" in what)
