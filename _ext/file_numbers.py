"""A chapter has the number that its file name begins with: 02b_rankings is chapter 2b, its first figure Fig. 2b.1.

A page of a numbered part whose name begins with no number has none, and takes none from the others.
"""

import re
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles as Collector


def number_of(page: str) -> str | None:
    """'2b' of chapters/02b_rankings; None of chapters/glossary."""
    found = re.match(r"(\d+)([a-z]?)_", PurePosixPath(page).name)
    return f"{int(found[1])}{found[2]}" if found else None


def from_names(self, env) -> list[str]:
    """What the table of contents counts, by file names: in titles, in contents, for figures and equations."""
    TocTreeCollector.assign_section_numbers(self, env)
    for page, numbers in env.toc_secnumbers.items():
        chapter = number_of(page)
        for anchor, number in numbers.items():
            numbers[anchor] = (chapter, *number[1:]) if chapter and number else ()
        for node in [env.titles[page], *env.tocs[page].findall(nodes.reference)]:
            if number := node.get("secnumber"):
                node["secnumber"] = [chapter, *number[1:]] if chapter else None
    return list(env.toc_secnumbers)


def setup(app) -> dict:
    Collector.assign_section_numbers = from_names
    return {"parallel_read_safe": True, "parallel_write_safe": True}
