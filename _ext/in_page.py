"""Exercises that need no torch run in the reader's browser: Pyodide, served by the book, runs the checks as they are.

A cell that leaves a function open and asks one of these checks gets a button from in_page.js; nothing else is loaded
before it is pressed. Which checks do without torch is seen by importing them without it, as the page does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from docutils import nodes

EXT = Path(__file__).resolve().parent
PACKAGE = EXT.parent / "instructgpt_lite"
SCRIPTS = ("in_page.js", "in_page_editor.js", "in_page_worker.js")
OPEN = re.compile(r'def (\w+)\(.*\):\n(?:    """.*"""\n)?    \.\.\.\n\nattempt\(checks\.(check_\w+), \1\)\s*$')
LOOK = """
import sys
sys.modules["torch"] = None
from instructgpt_lite import checks
print(*[name for name in vars(checks) if name.startswith("check_")])
print(*[name for name in sys.modules if name.startswith("instructgpt_lite.checks.")])
"""


@cache
def without_torch() -> tuple[set[str], list[str]]:
    """Names of the checks that do without torch, and of the modules that they need."""
    process = subprocess.run([sys.executable, "-c", LOOK], env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
                             capture_output=True, text=True, check=True)
    names, modules = (line.split() for line in process.stdout.splitlines())
    return set(names), sorted(modules)


def files() -> dict[str, str]:
    """What the page's Python imports, by path: the checks as they are, and `attempt` without a notebook."""
    paths = ["checks/__init__.py", *(f"checks/{name.rpartition('.')[2]}.py" for name in without_torch()[1])]
    return {"in_page_run.py": (EXT / "in_page_run.py").read_text(),
            "instructgpt_lite/__init__.py": "", "instructgpt_lite/book/__init__.py": "",
            "instructgpt_lite/book/exercise.py": "from instructgpt_lite.checks.verdict import verdict as attempt\n",
            **{f"instructgpt_lite/{path}": (PACKAGE / path).read_text() for path in paths}}


def check_of(cell: str) -> str | None:
    """The check that an open exercise asks, if the page can run it."""
    found = OPEN.search(cell)
    return found[2] if found and found[2] in without_torch()[0] else None


def serve(app) -> None:
    """Before the pages are written: the scripts, and the files for Python as one."""
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        for name in SCRIPTS:
            shutil.copy(EXT / name, static)
        (static / "in_page.json").write_text(json.dumps(files()))


def mark(app, doctree, page) -> None:
    """The class by which in_page.js finds the cells."""
    for block in doctree.findall(nodes.literal_block):
        if check_of(block.astext()):
            block["classes"].append("in-page")


def use_script(app, page, template, context, doctree) -> None:
    """On pages with such a cell, and on no other."""
    if doctree and any("in-page" in block["classes"] for block in doctree.findall(nodes.literal_block)):
        app.add_js_file("in_page.js", loading_method="defer")


def setup(app) -> dict:
    app.connect("builder-inited", serve)
    app.connect("doctree-resolved", mark)
    app.connect("html-page-context", use_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
