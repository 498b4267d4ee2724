"""What Sphinx and its theme do to every page, put right after them.

- docutils marks entries of the bibliography with a role that ARIA has withdrawn: they become items of their list.
- every exercise, solution and proof of a page has the same identifier: nothing refers to it, and it goes.
- the theme brings 2,000 icons to show 20, half of a page's weight: the others go.
"""

import re
from pathlib import Path

ICON = re.compile(r'("?)([\w-]+)\1:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]*",(?:"[^"]*"|\[[^\]]*\])\],?')
SCRIPT = "_static/scripts/fontawesome.js"


def mend(app, name, template, context, doctree) -> None:
    """Before a page is written: its roles and identifiers."""
    if "body" in context:
        body = context["body"].replace(' role="doc-biblioentry"', ' role="listitem"')
        context["body"] = re.sub(r'<section([^>]*?) id="(?:exercise|solution|proof)-content"', r"<section\1", body)


def lighten(app, exception) -> None:
    """After all pages are written: only the icons that one of them, or a script of the theme, asks for."""
    folder = Path(app.outdir)
    if exception or not (folder / SCRIPT).exists():
        return
    asked = set()
    for path in [*folder.rglob("*.html"), *(folder / "_static/scripts").glob("*theme.js")]:
        asked |= set(re.findall(r"\bfa-([\w-]+)", path.read_text(encoding="utf8")))

    def kept(icon: re.Match) -> str:
        names = {icon[2], *re.findall(r'"([\w-]+)"', icon[3])}
        return icon[0] if names & asked else ""

    script = (folder / SCRIPT).read_text(encoding="utf8")
    (folder / SCRIPT).write_text(ICON.sub(kept, script), encoding="utf8")


def setup(app) -> dict:
    app.connect("html-page-context", mend)
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
