"""Words: every {term} is in the glossary, every term of it is used, in alphabetical order; every reference is cited."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "chapters" / "glossary.md").read_text()
TERMS = re.findall(r"^(\S.*)\n  \S", GLOSSARY.split("```{glossary}\n")[1], re.MULTILINE)


def words(path: Path) -> str:
    """The text of a page: a file of Markdown, or the Markdown cells of a notebook."""
    if path.suffix == ".md":
        return path.read_text()
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]
                       if cell["cell_type"] == "markdown")


PAGES = {path.name: words(path) for path in [ROOT / "index.md", *sorted((ROOT / "chapters").glob("*.*"))]
         if path.suffix in (".md", ".ipynb")}


def used(text: str) -> set[str]:
    """Terms that a text refers to: {term}`nat`, {term}`Nat` or {term}`nats <nat>`, perhaps over the end of a line."""
    found = re.findall(r"(?<!`)\{term\}`([^`]+)`", text)
    named = {" ".join(re.sub(r"^.*<(.*)>$", r"\1", each, flags=re.DOTALL).split()) for each in found}
    return {next((term for term in TERMS if term.lower() == each.lower()), each) for each in named}


def test_the_glossary_is_in_alphabetical_order_and_says_nothing_twice():
    names = [term.lower() for term in TERMS]
    assert len(TERMS) > 50 and names == sorted(names) and len(set(names)) == len(names)


def test_every_term_that_a_page_refers_to_is_in_the_glossary():
    missing = {page: sorted(used(text) - set(TERMS)) for page, text in PAGES.items() if used(text) - set(TERMS)}
    assert missing == {}, "add it to chapters/glossary.md, spelled as there"


def test_every_term_of_the_glossary_is_used():
    assert sorted(set(TERMS) - set().union(*map(used, PAGES.values()))) == []


def test_every_explanation_is_short():
    explanations = re.split(r"\n\n(?=\S)", GLOSSARY.split("```{glossary}\n")[1].rpartition("```")[0].strip())
    assert len(explanations) == len(TERMS)
    assert [each.partition("\n")[0] for each in explanations if len(each.split()) > 65] == []


def test_every_reference_is_cited_and_every_citation_is_a_reference():
    keys = set(re.findall(r"^@\w+\{(\S+),", (ROOT / "references.bib").read_text(), re.MULTILINE))
    cited = {key.strip() for text in PAGES.values() for each in re.findall(r"\{cite:\w+\}`([^`]+)`", text)
             for key in each.split(",")}
    assert cited - keys == set(), "add it to references.bib"
    assert keys - cited == set(), "cite it, or take it out of references.bib"
