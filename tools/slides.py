"""Slides for teachers: `python tools/slides.py _build/html` writes a deck for each chapter, and slides/index.html.

A deck is made from what its chapter has: for each heading the question or the sentence that opens the section, its
equations, lists and tables, each after the sentence that leads to it, and its figures; at last the titles of its
exercises. What is too much for one slide goes on the next. How a deck looks, and its keys, are in slides.html beside.
"""

import re
import sys
from html import escape, unescape
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import in_words
import jinja2
import nbformat
from docutils.nodes import make_id
from markdown_it.tree import SyntaxTreeNode

PAGES = Path(__file__).resolve().parent.parent / "chapters"
CHAPTERS = re.findall(r"file: chapters/(\d\w+|rl)$", (PAGES.parent / "_toc.yml").read_text("utf8"), re.MULTILINE)
ROOM = 22.5                     # below the heading of a slide at 16:9; all heights are in letters (rem)
OPTION = re.compile(r"^:(\w+): (.*)\n?", re.MULTILINE)
EXERCISE = re.compile(r":::\{exercise-start\} ?(.*)\n(?::.*\n)*:::\n+(?:\*\*(?:\d+\. )?(.+?)\*\*)?.*")


class Piece(NamedTuple):
    """What stays whole on a slide: a paragraph, an equation, a figure, or an item within the tags of its list."""
    html: str
    height: float
    within: tuple[str, str] = ("", "")


class Section(NamedTuple):
    """A heading of the chapter, where it is in the book, and what is shown of it."""
    level: int
    title: str
    anchor: str
    pieces: list[Piece]


def height(html: str, width: float = 90) -> float:
    """Of a paragraph of so many letters a line, with the space below it."""
    text = re.sub(r"\\[A-Za-z]+|[{}^_\\]", "", unescape(re.sub(r"<[^>]+>", "", html)))
    return 1.45 * ceil(len(text) / width) + 0.7 if text else 0


def taken(pieces: list[Piece]) -> float:
    """The height of pieces on one slide: their own, and that of what opens their lists."""
    return sum(piece.height for piece in pieces) + sum(map(height, {piece.within[0] for piece in pieces}))


class Deck:
    """The sections of a chapter, with what its slides show of them."""

    def __init__(self, path: Path, names: dict[str, str]) -> None:
        self.name, self.number, self.names = path.stem, in_words.number_of(path.stem), names
        self.markdown = in_words.parser(names)
        self.sections: list[Section] = []
        self.anchor, self.hidden, exercises = "", False, []      # hidden: an exercise, or its solution
        for cell in nbformat.read(path, 4).cells:
            self.leading = ""                                    # the sentence before what comes next
            if cell.cell_type == "markdown":
                self.read(cell.source)
                for found in EXERCISE.finditer(cell.source):
                    title, time = found[1] or found[2], re.search(r"\d+ minutes, \w+|\w+, \d+ minutes", found[0])
                    exercises.append(title if not time or time[0] in title else f"{title} ({time[0]})")
            for output in cell.get("outputs", []):
                if svg := output.get("data", {}).get("image/svg+xml"):
                    told = cell.metadata["mystnb"]
                    self.figure(svg, told["image"]["alt"], **told["figure"])
        self.sections.sort(key=lambda section: section.title == "Exercises")
        self.items([self.markdown.renderInline(title) for title in exercises], "<ol>", "</ol>")
        self.title = self.sections[0].title

    def html(self, *nodes: SyntaxTreeNode) -> str:
        render = self.markdown.renderer.render
        return "".join(render(node.to_tokens(), self.markdown.options, {}) for node in nodes)

    def begin(self, level: int, title: str, anchor: str) -> None:
        self.sections.append(Section(level, title, anchor, []))
        self.anchor = self.leading = ""

    def add(self, *pieces: Piece) -> None:
        self.sections[-1].pieces.extend(pieces)
        self.leading = ""

    def read(self, text: str) -> None:
        """Markdown: its directives, and what is outside of exercises and solutions."""
        for node in SyntaxTreeNode(self.markdown.parse(text)).children:
            if node.type.endswith("fence"):
                if directive := re.match(r"\{([\w-]+)\}\s*(.*)", node.info):
                    self.directive(*directive.groups(), node.content)
            elif not self.hidden:
                self.block(node)

    def directive(self, name: str, argument: str, content: str) -> None:
        options, content = dict(OPTION.findall(content)), OPTION.sub("", content).strip()
        if name.endswith(("-start", "-end")):
            self.hidden = name.endswith("-start")
        elif name == "math":
            self.equation(content, options.get("label"))
        elif name in ("image", "figure") and "sd-d-sm-none" not in options.get("class", ""):     # which is for phones
            self.figure((PAGES / argument).read_text("utf8"), options["alt"], content, options.get("name"))
        elif name == "admonition" and len(self.sections) == 1:                   # the box that opens a chapter
            self.begin(2, self.markdown.renderInline(argument), self.sections[0].anchor)
            self.read(content)
        elif name == "admonition":                                               # of any other box its equations
            for node in SyntaxTreeNode(self.markdown.parse(content)).children:
                if node.type == "math_block_label":
                    self.block(node)
                elif node.type == "paragraph":
                    self.leading = self.said(in_words.sentences(node.children[0].content)[-1])
            self.leading = ""

    def block(self, node: SyntaxTreeNode) -> None:
        if node.type == "myst_target":
            self.anchor = node.content
        elif node.type == "heading":
            title = self.html(node.children[0])
            self.begin(int(node.tag[1]), title, self.anchor or make_id(title))
        elif node.type == "paragraph":
            first, *more = in_words.sentences(node.children[0].content)
            if not self.sections[-1].pieces:
                enough = len(more) if len(self.sections) == 1 else int(len(first) < 60)
                said = self.said(" ".join([first, *more[:enough]]))
                self.add(Piece(said, height(said)))
                first, *more = more[enough:] or [""]
            last = [first, *more][-1]
            self.leading = self.said(first if last.endswith(".") else last)      # it goes on: "the chance is"
        elif node.type.startswith("math_block"):
            self.equation(node.content.strip(), node.info)
        elif node.type.endswith("_list"):
            self.items([self.html(*item.children) for item in node.children], f"<{node.tag}>", f"</{node.tag}>")
        elif node.type == "table":
            head, body = node.children
            top = self.html(head).replace("<th></th>", "<td></td>")              # no heading is none
            within = (f'{self.leading}<div class="wide"><table>{top}<tbody>', "</tbody></table></div>")
            rows = [(self.html(row), [self.html(cell) for cell in row.children]) for row in body.children]
            self.add(*(Piece(row, max(height(cell, 85 / len(cells)) for cell in cells), within) for row, cells in rows))

    def said(self, text: str) -> str:
        return f"<p>{self.markdown.renderInline(text)}</p>" if text else ""

    def items(self, items: list[str], start: str, end: str) -> None:
        within = (self.leading + start, end)
        self.add(*(Piece(f'<li{f" value={n}" * (start == "<ol>")}>{item}</li>', height(item), within)
                   for n, item in enumerate(items, 1)))

    def equation(self, tex: str, label: str | None) -> None:
        rows = [1.6 + 1.3 * len(set(re.findall(r"\\(frac|sum|under)", row))) for row in tex.split(r"\\")]
        shown = escape(tex + (rf"\tag{{{self.names[label]}}}" if label else ""))
        html = f'{self.leading}<div class="math wide">\\[{shown}\\]</div>'
        self.add(Piece(html, sum(rows) + 1.4 + height(self.leading)))

    def figure(self, svg: str, alt: str, caption: str, name: str | None) -> None:
        wide, high = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
        said = self.markdown.renderInline(f"**Fig. {self.names[name]}** {caption}" if name else caption)
        data = quote(" ".join(svg[svg.index("<svg"):].split()), safe=" /:;,.=()-+")
        html = (f'<figure><img src="data:image/svg+xml,{data}" alt="{escape(alt)}" width="{wide:.0f}" '
                f'height="{high:.0f}"><figcaption>{said}</figcaption></figure>')
        self.add(Piece(html, min(17, 48 * high / wide) + height(said, 100)))

    def slides(self) -> list[dict]:
        """Sections on slides, as many pieces on each as there is room for."""
        slides = []
        for section in self.sections:
            parts = [[]]
            for piece in section.pieces:
                if parts[-1] and taken([*parts[-1], piece]) > ROOM:
                    parts.append([])
                parts[-1].append(piece)
            for n, part in enumerate(parts, 1):
                body = "".join(start + "".join(piece.html for piece in group) + end
                               for (start, end), group in groupby(part, lambda piece: piece.within))
                slides.append({"level": section.level, "title": section.title, "part": n, "parts": len(parts),
                               "body": body, "link": f"../chapters/{self.name}.html#{section.anchor}"})
        return slides


def main() -> None:
    folder = Path(sys.argv[1]) / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    page = jinja2.Template(Path(__file__).with_suffix(".html").read_text("utf8"), trim_blocks=True, lstrip_blocks=True)
    known = in_words.names()
    decks = [Deck(PAGES / f"{name}.ipynb", known) for name in CHAPTERS]
    for deck in decks:
        (folder / f"{deck.name}.html").write_text(page.render(deck=deck, slides=deck.slides()), "utf8")
    (folder / "index.html").write_text(page.render(decks=decks), "utf8")
    print(f"{folder}: {len(decks)} decks")


if __name__ == "__main__":
    main()
