"""A small book built with our configuration: what _ext/ does to every page. Needs vendor/ (`make vendor`)."""

import re
import shutil
import subprocess
from pathlib import Path

import addresses
import file_numbers
import nbformat
import pytest
import yaml
from execute import METADATA
from nbformat import v4

ROOT = Path(__file__).parent.parent.parent
HOME = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
FRONT = """# A small book

Short. A sentence with $x^2$ in it is left out. But this one, of words only, is what a search engine shows.

```{bibliography}
```
"""
CHAPTER = """(ch-first)=
# First

Words come before everything else. See {cite:t}`ada2020` and {eq}`eq-one` and {numref}`fig-one`.
Then {ref}`ch-second`, {eq}`eq-later` and {numref}`fig-later`.

$$ x = 1 $$ (eq-one)

```{figure} images/logo.svg
:name: fig-one
:alt: A logo

A caption.
```

| | head |
|---|---|
| row | cell |

:::{exercise}
One.
:::

:::{exercise}
Two.
:::
"""
LATER = """(ch-second)=
# Second

## Part

$$ x = 2 $$ (eq-later)

```{figure} images/logo.svg
:name: fig-later
:alt: A logo

A caption.
```
"""
SOURCE = {"text/markdown": "`a.b`\n\n```python\ndef b(): pass\n```", "text/plain": "<Markdown>"}
LISTING = v4.new_code_cell("show_source(b)", outputs=[v4.new_output("execute_result", SOURCE)], execution_count=1)
FOLDED = ("hide-input", "hide-output", "hide-cell")
PARTS = ["00_first", "between"], ["02b_second", "11_third"]
REFERENCES = "@article{ada2020, author={Ada, A.}, title={T}, journal={J}, year={2020}}\n"


def build(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / ".venv/bin/jupyter-book", "build", folder, "-q", "-W", "-n", "--keep-going"],
                          capture_output=True, text=True)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    for name in ("_ext", "_static", "images", "vendor"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "_config.yml", folder)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\nparts:\n" + "".join(
        f"  - numbered: 2\n    chapters: [{', '.join(f'file: {name}' for name in part)}]\n" for part in PARTS))
    for name, text in {"index.md": FRONT, "00_first.md": CHAPTER, "references.bib": REFERENCES, "02b_second.md": LATER,
                       "between.md": "# Between\n\n## Aside\n\nWords.\n"}.items():
        (folder / name).write_text(text)
    folded = [v4.new_code_cell(f"print({tag!r})", metadata={"tags": [tag]}, execution_count=1,
                               outputs=[v4.new_output("stream", text=f"seen {tag}")]) for tag in FOLDED]
    cells = [v4.new_markdown_cell("# Third"), LISTING, *folded]
    nbformat.write(v4.new_notebook(cells=cells, metadata=METADATA), folder / "11_third.ipynb")
    result = build(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "_build/html"


def page(book: Path, name: str) -> str:
    return (book / f"{name}.html").read_text()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", html).split())


def test_chapters_figures_equations_and_exercises_have_the_numbers_of_their_files(book):
    first, second, third = (page(book, name) for name in ("00_first", "02b_second", "11_third"))
    assert '<span class="section-number">0. </span>First' in first
    assert '<span class="section-number">2b.1. </span>Part' in second
    assert '<span class="section-number">11. </span>Third' in third
    assert "Fig. 0.1" in first and "(0.1)" in first and "Exercise 0.2" in first
    assert "Fig. 2b.1" in second and "(2b.1)" in second


def test_references_the_side_bar_and_its_neighbours_name_a_chapter_by_the_number_of_its_file(book):
    first, between, third = (page(book, name) for name in ("00_first", "between", "11_third"))
    assert "Then Second, (2b.1) and Fig. 2b.1." in words(first.partition("<article")[2])
    bar = words(page(book, "index").partition('class="bd-sidebar-primary')[2].partition("<main")[0])
    assert "0. First Between 2b. Second 11. Third" in bar
    assert "0. First" in words(between.partition("prev-next-info")[2])
    assert "2b. Second" in words(third.partition("prev-next-info")[2])


def test_a_page_whose_name_has_no_number_has_none(book):
    between = page(book, "between").partition("<article")[2].partition("prev-next")[0]
    assert "Aside" in between and "section-number" not in between


@pytest.mark.parametrize("name, number", [("chapters/00_tour", "0"), ("chapters/02b_rankings", "2b"), ("10_x", "10"),
                                          ("chapters/rl", None), ("2026/notes", None)])
def test_the_number_is_read_off_the_last_part_of_the_name(name, number):
    assert file_numbers.number_of(name) == number


def test_nothing_is_loaded_from_elsewhere(book):
    for path in book.glob("*.html"):
        loaded = re.findall(r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="([^"]*)"', path.read_text())
        assert loaded and not [url for url in loaded if url.startswith(("http", "//"))]
    assert (book / "_static/mathjax/tex-mml-chtml.js").exists() and (book / "_static/widgets/amd/anywidget.js").exists()


def test_addresses_follow_from_the_repository(book):
    here = addresses.pages_of(HOME["url"]) + "00_first.html"
    assert f'<link rel="canonical" href="{here}"' in page(book, "00_first")
    assert f"<loc>{here}</loc>" in (book / "sitemap.xml").read_text()


def test_a_notebook_opens_in_colab_and_can_be_downloaded(book):
    repository, branch = HOME["url"], HOME["branch"]
    third, name = page(book, "11_third"), repository.removeprefix("https://github.com/")
    assert f'href="https://colab.research.google.com/github/{name}/blob/{branch}/11_third.ipynb"' in third
    assert 'href="_sources/11_third.ipynb"' in third and (book / "_sources/11_third.ipynb").exists()
    assert "colab.research" not in page(book, "00_first")


def test_package_source_is_shown_as_highlighted_code(book):
    shown = page(book, "11_third").partition("cell_output")[2]
    assert re.search(r'<div class="highlight-python[^>]*>.*?<span class="k">def</span>', shown, re.S)


def test_what_is_folded_is_closed_and_one_click_away(book):
    fold = r"<details\b([^>]*)>\s*<summary[^>]*>(.*?)</summary>(.*?)</details>"
    folds = re.findall(fold, page(book, "11_third"), re.S)
    assert len(folds) == len(FOLDED) and not any("open" in attributes.split() for attributes, _, _ in folds)
    assert all("Show" in words(summary) and len(words(summary)) < 12 for _, summary, _ in folds)
    for tag, (_, _, inside) in zip(FOLDED, folds):
        assert (f"seen {tag}" in words(inside)) == (tag != "hide-input")
        assert ("print" in words(inside)) == (tag != "hide-output")


def test_a_page_is_described_by_its_sentences_without_formulas(book):
    described = re.search(r'property="og:description" content="([^"]*)"', page(book, "index"))[1]
    assert described == "But this one, of words only, is what a search engine shows."


def test_roles_headings_and_identifiers_are_sound(book):
    front, first = page(book, "index"), page(book, "00_first")
    assert "doc-biblioentry" not in front and 'role="listitem"' in front
    assert not re.search(r"<th[^>]*>\s*(<p>\s*</p>)?\s*</th>", first) and "<td" in first.partition("<thead>")[2]
    assert "exercise-content" not in re.findall(r'id="([^"]*)"', first)


def test_only_the_icons_in_use_are_sent(book):
    script = (book / "_static/scripts/fontawesome.js").read_text()
    assert len(script) < 200_000 and '"f09b"' in script                       # GitHub's
    assert "monero" not in script


def test_a_book_without_its_own_scripts_is_refused(tmp_path):
    (tmp_path / "_ext").mkdir()
    for path in (ROOT / "_ext").iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path / "_ext")
    for name in ("_static", "images"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "references.bib").write_text("")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "index.md").write_text("# Alone\n")
    result = build(tmp_path)
    assert result.returncode and "run `make vendor` first" in result.stdout + result.stderr
