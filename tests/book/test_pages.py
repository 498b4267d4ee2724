"""The checks of the built book fail on a bad page; the table of contents has every page."""

import re
from pathlib import Path

import check_html
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
GOOD = """<html>
<head><link rel="canonical" href="https://example.org/a.html"><link rel="stylesheet" href="a.css"></head>
<body><a href="index.html"><img src="logo.svg" alt=""></a><h1>For print</h1><article><h1 id="top">Title</h1>
<h2 id="part">Part</h2><h3>Detail</h3><h2>Another</h2><p>Words <a href="b.html#far">far</a>, <a href="#part">near</a>,
<a href="https://example.org">out</a></p><img src="logo.svg" alt="A curve"><pre>{ref}`kept` **as it is**</pre>
<div class="math">\\[x ::: {y}`z`\\]</div></article></body></html>"""
OTHER = '<html><body><article><h1 id="far">Far</h1></article></body></html>'


@pytest.fixture
def book(tmp_path):
    for name, text in {"index.html": OTHER, "b.html": OTHER, "a.css": "", "logo.svg": ""}.items():
        (tmp_path / name).write_text(text)

    def write(old: str = "", new: str = "") -> list[str]:
        assert GOOD.count(old) >= 1
        (tmp_path / "a.html").write_text(GOOD.replace(old, new, 1))
        return check_html.faults(tmp_path)
    return write


def test_nothing_is_wrong_with_a_good_page(book):
    assert book() == []


@pytest.mark.parametrize("old, new, complaint", [
    ("b.html#far", "c.html", "a.html: leads nowhere: c.html"),
    ("b.html#far", "b.html#near", "a.html: no such anchor: b.html#near"),
    ("#part", "#parts", "a.html: no such anchor: #parts"),
    ('href="a.css"', 'href="https://cdn.example.org/a.css"', "a.html: loads https://cdn.example.org/a.css"),
    ("<h3>", "<script src='//cdn.example.org/x.js'></script><h3>", "a.html: loads //cdn.example.org/x.js"),
    ('alt="A curve"', 'alt=" "', "a.html: no alternative text: logo.svg"),
    ('alt="A curve"', "", "a.html: no alternative text: logo.svg"),
    ("<h3>Detail</h3>", "<h4>Detail</h4>", "a.html: a heading of level 4 follows one of level 2"),
    ('<h1 id="top">Title</h1>', "<p>Title</p>", "a.html: 0 headings of the first level, want 1"),
    ("<h2>Another</h2>", "<h1>Another</h1>", "a.html: 2 headings of the first level, want 1"),
    ('<h2 id="part">', '<h2 id="part"><b id="part"></b>', "a.html: the identifier part is given twice"),
    ("Words", "Words {term}`reward`", "a.html: not rendered: {term}`reward`"),
    ("Words", ":::{admonition} Words", "a.html: not rendered: :::{admonition} Words"),
    ("Words", "(ch-tour)= Words", "a.html: not rendered: (ch-tour)= Words"),
    ("Words", "[Words](https://example.org)", "a.html: not rendered: ](https://example.org)"),
])
def test_a_bad_page_is_named(book, old, new, complaint):
    found = book(old, new)
    assert len(found) == 1 and found[0].startswith(complaint), found


def test_pages_that_no_folder_holds_are_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["check_html.py", str(tmp_path)])
    assert check_html.main() == 1


def listed() -> list[str]:
    """Files of _toc.yml, in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(each["file"] for part in toc["parts"] for each in part["chapters"])]


def test_the_table_of_contents_has_every_page_once():
    files = [path for path in (ROOT / "chapters").iterdir() if path.is_file()]
    there = [path.with_suffix("").relative_to(ROOT).as_posix() for path in files]
    assert sorted(listed()) == sorted([*there, "index"])


def test_chapters_come_in_the_order_of_their_numbers_and_none_has_that_of_another():
    numbers = [found[1] for name in listed() if (found := re.match(r"chapters/(\d\d[a-z]?)_", name))]
    assert numbers == sorted(set(numbers)) and numbers[0] == "00"
