"""What Sphinx and its theme do to every page, put right after them.

- docutils marks entries of the bibliography with a role that ARIA has withdrawn: they become items of their list.
- pandas and Markdown leave the first heading of a table empty: it becomes a cell.
- every exercise, solution and proof of a page has the same identifier: nothing refers to it, and it goes.
- the description of a page for search engines and social cards has raw TeX in it: sentences with formulas go.
- the theme brings 2,000 icons to show 20, half of a page's weight: the others go.
"""

import re
from pathlib import Path

import sphinxext.opengraph
from docutils import nodes

ICON = re.compile(r'("?)([\w-]+)\1:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]*",(?:"[^"]*"|\[[^\]]*\])\],?')
SCRIPT = "_static/scripts/fontawesome.js"


def mend(app, name, template, context, doctree) -> None:
    """Before a page is written: its roles and identifiers."""
    if "body" in context:
        body = context["body"].replace(' role="doc-biblioentry"', ' role="listitem"')
        body = re.sub(r"<th\b([^>]*)>\s*(?:<p>\s*</p>)?\s*</th>", r"<td\1></td>", body)
        context["body"] = re.sub(r'<section([^>]*?) id="(?:exercise|solution|proof)-content"', r"<section\1", body)


def description(doctree, length: int, titles: set[str]) -> str:
    """The first sentences of a page that are words only, at most that many characters."""
    said = ""
    boxes = (nodes.Admonition, nodes.table, nodes.figure)
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, boxes):
            continue
        words = "".join("\0" if isinstance(node, nodes.math) else node.astext() for node in paragraph.children)
        for sentence in re.split(r"(?<=[.?!])\s+", " ".join(words.split())):
            whole = re.fullmatch(r"[^\0]{30,}[.?!]", sentence)         # neither a formula nor a label in it
            if whole and len(said) + len(sentence) > length:
                return said.strip()
            said += f"{sentence} " if whole else ""
    return said.strip()


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
    sphinxext.opengraph.get_description = description
    app.connect("html-page-context", mend)
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
