"""The book's Markdown in plain words, for what is made from chapters beside the book: roles, numbers, sentences."""

import re
import sys
from collections import Counter
from html import escape
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from nbformat import read
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "_ext"))
from file_numbers import number_of  # noqa: E402
from references import cited  # noqa: E402

LABEL = re.compile(r"^\$\$ \((eq-[\w-]+)\)|^:label: (eq-[\w-]+)|^:name: (fig-[\w-]+)", re.MULTILINE)
TITLE = re.compile(r"^\(([\w-]+)\)=\n+#+ (.+)$", re.MULTILINE)
SENTENCE = re.compile(r".+?(?:(?<!Fig)(?<!App)[.?!:][*\")”]*(?=\s+[A-Z\d$*`\"“{])|\Z)", re.DOTALL)


def sentences(text: str) -> list[str]:
    """A paragraph of Markdown in sentences; emphasis, formulas, brackets and quotations stay whole."""
    whole, begun = [], ""
    for sentence in SENTENCE.findall(text):
        begun += sentence
        rest = re.sub(r"\$[^$]*\$|`[^`]*`|\*\*.+?\*\*|\*[^*]+\*", "", begun, flags=re.DOTALL)
        if not re.search(r"[$`*]", rest) and rest.count("(") <= rest.count(")") and rest.count('"') % 2 == 0:
            whole, begun = [*whole, begun.strip()], ""
    return whole + [begun.strip()] * bool(begun)


def names() -> dict[str, str]:
    """What the book calls a label: the number of an equation or of a figure, the title of a section."""
    found = {}
    for path in [*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("chapters/*.md")]:
        cells = read(path, 4).cells if path.suffix == ".ipynb" else [{"source": path.read_text("utf8")}]
        chapter, counted = number_of(path.stem), Counter()
        for cell in cells:
            drawn = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
            for label in [drawn["name"]] if drawn else map("".join, LABEL.findall(cell["source"])):
                counted[label[:2]] += 1
                found[label] = f"{chapter}.{counted[label[:2]]}" if chapter else str(counted[label[:2]])
            found |= dict(TITLE.findall(cell["source"]))
    return found


def parser(names: dict[str, str]) -> MarkdownIt:
    """The book's own parser, writing HTML without links: roles in words, formulas for MathJax."""
    entries = parse_file(ROOT / "references.bib").entries
    kinds = {"eq": "({})", "numref": "Fig. {}", "ref": "{}"}

    def role(self, tokens, index, *_) -> str:
        kind, content = tokens[index].meta["name"], tokens[index].content
        if kind == "cite:p":
            return escape(f"({'; '.join(cited(entries[key.strip()]) for key in content.split(','))})")
        if given := re.fullmatch(r"(.+?)\s*<.+>", content, re.DOTALL):
            return escape(given[1])
        return escape(content if kind == "term" else kinds[kind].format(names[content]))

    extensions = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["parse"]["myst_enable_extensions"]
    made = create_md_parser(MdParserConfig(enable_extensions=set(extensions)), RendererHTML)
    made.add_render_rule("myst_role", role)
    made.add_render_rule("math_inline", lambda self, tokens, index, *_:
                         f'<span class="math">\\({escape(tokens[index].content)}\\)</span>')
    for end in ("link_open", "link_close"):
        made.add_render_rule(end, lambda *_: "")
    return made
