"""Slides for teachers: `python tools/slides.py _build/html` writes a deck for each chapter, and slides/index.html.

A deck is made from what its chapter has: for each heading the question or the sentence that opens the section, its
equations, lists and tables, each after the sentence that leads to it, and its figures; at last the titles of its
exercises. What is too much for one slide goes on the next. How a deck looks, and its keys, are in slides.html beside.
"""

import re
import sys
from collections import Counter
from html import escape, unescape
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import jinja2
import nbformat
import yaml
from docutils.nodes import make_id
from markdown_it.renderer import RendererHTML
from markdown_it.tree import SyntaxTreeNode
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "_ext"))
from file_numbers import number_of  # noqa: E402
from references import cited  # noqa: E402

PAGES = ROOT / "chapters"
CHAPTERS = [*sorted(PAGES.glob("[0-9]*.ipynb")), PAGES / "rl.ipynb"]
ROOM = 22                       # lines below the heading of a slide, at 16:9
LABEL = re.compile(r"^\$\$ \((eq-[\w-]+)\)|^:label: (eq-[\w-]+)|^:name: (fig-[\w-]+)", re.MULTILINE)
OPTION = re.compile(r"^:(\w+): (.*)\n?", re.MULTILINE)
EXERCISE = re.compile(r":::\{exercise-start\} ?(.*)\n(?::.*\n)*:::\n+(?:\*\*(?:\d+\. )?(.+?)\*\*)?.*")
SENTENCE = re.compile(r".+?(?:(?<!Fig)(?<!App)[.?!:][*\")”]*(?=\s+[A-Z\d$*`\"“{])|\Z)", re.DOTALL)


class Piece(NamedTuple):
    """What stays whole on a slide: a paragraph, an equation, a figure, or an item within the tags of its list."""
    html: str
    lines: float
    within: tuple[str, str] = ("", "")


class Section(NamedTuple):
    """A heading of the chapter, where it is in the book, and what is shown of it."""
    level: int
    title: str
    anchor: str
    pieces: list[Piece]


def lines(html: str) -> float:
    """How many lines a paragraph takes, with the space below it."""
    return ceil(len(unescape(re.sub(r"<[^>]+>", "", html))) / 85) + 0.4


def sentences(text: str) -> list[str]:
    """A paragraph of Markdown in sentences; emphasis, formulas and brackets stay whole."""
    whole, begun = [], ""
    for sentence in SENTENCE.findall(text):
        begun += sentence
        rest = Counter(re.sub(r"\$[^$]*\$|`[^`]*`|\*\*.+?\*\*", "", begun, flags=re.DOTALL))
        if not (rest["$"] or rest["`"] or rest["*"] % 2 or rest["("] > rest[")"]):
            whole, begun = [*whole, begun.strip()], ""
    return whole + [begun.strip()] * bool(begun)


def names() -> dict[str, str]:
    """What the book calls a label: the number of an equation or of a figure, the title of a section."""
    found = {}
    for path in [*PAGES.glob("*.ipynb"), *PAGES.glob("*.md")]:
        cells = nbformat.read(path, 4).cells if path.suffix == ".ipynb" else [{"source": path.read_text("utf8")}]
        chapter, counted = number_of(path.stem), Counter()
        for cell in cells:
            drawn = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
            for label in [drawn["name"]] if drawn else map("".join, LABEL.findall(cell["source"])):
                counted[label[:2]] += 1
                found[label] = f"{chapter}.{counted[label[:2]]}" if chapter else str(counted[label[:2]])
            found |= dict(re.findall(r"^\(([\w-]+)\)=\n+#+ (.+)$", cell["source"], re.MULTILINE))
    return found


def markdown(names: dict[str, str]):
    """The book's own parser, writing HTML without links: roles in words, formulas for MathJax."""
    entries = parse_file(ROOT / "references.bib").entries
    kinds = {"eq": "({})", "numref": "Fig. {}", "ref": "{}"}

    def role(self, tokens, index, options, env) -> str:
        kind, content = tokens[index].meta["name"], tokens[index].content
        if kind == "cite:p":
            return escape(f"({'; '.join(cited(entries[key.strip()]) for key in content.split(','))})")
        if given := re.fullmatch(r"(.+?)\s*<.+>", content, re.DOTALL):
            return escape(given[1])
        return escape(content if kind == "term" else kinds[kind].format(names[content]))

    extensions = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["parse"]["myst_enable_extensions"]
    parser = create_md_parser(MdParserConfig(enable_extensions=set(extensions)), RendererHTML)
    parser.add_render_rule("myst_role", role)
    parser.add_render_rule("math_inline", lambda self, tokens, index, *_:
                           f'<span class="math">\\({escape(tokens[index].content)}\\)</span>')
    for end in ("link_open", "link_close"):
        parser.add_render_rule(end, lambda *_: "")
    return parser


class Deck:
    """The sections of a chapter, with what its slides show of them."""

    def __init__(self, path: Path, names: dict[str, str]) -> None:
        self.name, self.number, self.names, self.markdown = path.stem, number_of(path.stem), names, markdown(names)
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
            self.sections.append(Section(2, self.markdown.renderInline(argument), self.sections[0].anchor, []))
            self.read(content)

    def block(self, node: SyntaxTreeNode) -> None:
        if node.type == "myst_target":
            self.anchor = node.content
        elif node.type == "heading":
            title = self.html(node.children[0])
            self.sections.append(Section(int(node.tag[1]), title, self.anchor or make_id(title), []))
            self.anchor = self.leading = ""
        elif node.type == "paragraph":
            first, *more = sentences(node.children[0].content)
            if not self.sections[-1].pieces:
                said = self.said(" ".join([first, *more]) if len(self.sections) == 1 else first)
                self.add(Piece(said, lines(said)))
                first, more = "", more if len(self.sections) > 1 else []
            self.leading = self.said([first, *more][-1])
        elif node.type.startswith("math_block"):
            self.equation(node.content.strip(), node.info)
        elif node.type.endswith("_list"):
            self.items([self.html(*item.children) for item in node.children], f"<{node.tag}>", f"</{node.tag}>")
        elif node.type == "table":
            head, body = node.children
            within = (f'{self.leading}<div class="wide"><table>{self.html(head)}<tbody>', "</tbody></table></div>")
            self.add(*(Piece(row, lines(row) + 0.5, within) for row in map(self.html, body.children)))

    def said(self, text: str) -> str:
        return f"<p>{self.markdown.renderInline(text)}</p>" if text else ""

    def items(self, items: list[str], start: str, end: str) -> None:
        within = (self.leading + start, end)
        self.add(*(Piece(f'<li{f" value={n}" * (start == "<ol>")}>{item}</li>', lines(item), within)
                   for n, item in enumerate(items, 1)))

    def equation(self, tex: str, label: str | None) -> None:
        rows = 1 + tex.count(r"\\") + any(high in tex for high in (r"\frac", r"\sum", r"\underbrace"))
        shown = escape(tex + (rf"\tag{{{self.names[label]}}}" if label else ""))
        html = f'{self.leading}<div class="math wide">\\[{shown}\\]</div>'
        self.add(Piece(html, 1.3 * rows + 1 + lines(self.leading)))

    def figure(self, svg: str, alt: str, caption: str, name: str | None) -> None:
        width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
        said = self.markdown.renderInline(f"**Fig. {self.names[name]}** {caption}" if name else caption)
        data = quote(" ".join(svg[svg.index("<svg"):].split()), safe=" /:;,.=()-+")
        html = (f'<figure><img src="data:image/svg+xml,{data}" alt="{escape(alt)}" width="{width:.0f}" '
                f'height="{height:.0f}"><figcaption>{said}</figcaption></figure>')
        self.add(Piece(html, min(13, 30 * height / width) + lines(said)))

    def slides(self) -> list[dict]:
        """The sections on slides, as many pieces on each as there is room for."""
        slides = []
        for section in self.sections:
            parts = [[]]
            for piece in section.pieces:
                if parts[-1] and sum(each.lines for each in parts[-1]) + piece.lines > ROOM:
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
    known = names()
    decks = [Deck(path, known) for path in CHAPTERS]
    for deck in decks:
        (folder / f"{deck.name}.html").write_text(page.render(deck=deck, slides=deck.slides()), "utf8")
    (folder / "index.html").write_text(page.render(decks=decks), "utf8")
    print(f"{folder}: {len(decks)} decks")


if __name__ == "__main__":
    main()
