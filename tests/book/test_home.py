"""The repository's address stands in _config.yml; everything that names it agrees, and `tools/move.py` moves it all."""

import shutil
from pathlib import Path

import addresses
import check_notebooks
import move
import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
HOME = ("README.md", "CITATION.cff", "CONTRIBUTING.md", "_config.yml", "index.md", "chapters")
FORK = "https://github.com/ada-l/rlhf.book"


def test_everything_names_one_repository():
    assert move.strangers(ROOT) == []


def test_every_installation_cell_is_made_from_the_configuration():
    for path in (ROOT / "chapters").glob("*.ipynb"):
        code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        assert code[0].source == check_notebooks.guard(), path.name


def test_no_program_and_no_other_setting_has_the_address():
    patterns = ("*.toml", "*.yml", "*.json", "Makefile", ".ci/*", ".github/**/*.yml", "_static/*", "_ext/*.??*",
                "tools/*.*", "tests/**/*.py", "instructgpt_lite/**/*.py", "instructgpt_lite/**/*.js")
    paths = {path for pattern in patterns for path in ROOT.glob(pattern)}
    url = move.address(ROOT)[0].removeprefix("https://")
    assert [path.name for path in paths if url in path.read_text()] == ["_config.yml"]


@pytest.fixture
def copy(tmp_path, monkeypatch):
    for name in HOME:
        there = ROOT / name
        shutil.copytree(there, tmp_path / name) if there.is_dir() else shutil.copy(there, tmp_path / name)
    monkeypatch.setattr(move, "ROOT", tmp_path)
    monkeypatch.setattr(check_notebooks, "ROOT", tmp_path)
    return tmp_path


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_move_leaves_nothing_of_the_old_address_and_back_is_as_before(copy, monkeypatch):
    before, (url, branch) = texts(copy), move.address(copy)
    monkeypatch.setattr("sys.argv", ["move.py", FORK, "--branch", "draft"])
    assert move.main() == 0
    after = texts(copy)
    path = url.removeprefix("https://github.com/")
    assert not [name for name, text in after.items() if f"github.com/{path}" in text or f"github/{path}" in text]
    assert move.address(copy) == (FORK, "draft") and move.strangers(copy) == []
    assert f"git+{FORK}@draft" in after["chapters/02_bradley_terry.ipynb"]
    assert "https://ada-l.github.io/rlhf.book/" not in before["README.md"]
    monkeypatch.setattr("sys.argv", ["move.py", url, "--branch", branch])
    assert move.main() == 0
    assert texts(copy) == before


@pytest.mark.parametrize("name, line", [
    ("README.md", "git clone https://github.com/somebody/else && cd else\n"),
    ("README.md", "[Colab](https://colab.research.google.com/github/somebody/else/blob/main/chapters/00_tour.ipynb)\n"),
    ("CITATION.cff", "repository-code: https://github.com/somebody/else\n"),
])
def test_an_address_of_another_repository_is_named(copy, monkeypatch, name, line):
    with (copy / name).open("a") as file:
        file.write(line)
    assert move.strangers(copy) == [f"{name}: somebody/else"]
    monkeypatch.setattr("sys.argv", ["move.py"])
    assert move.main() == 1


def test_an_installation_cell_that_was_edited_is_named(copy):
    path = copy / "chapters/02_bradley_terry.ipynb"
    path.write_text(path.read_text().replace("%pip install -q", "%pip install"))
    assert list(move.changes(copy, move.address(copy), move.address(copy))) == [path]


@pytest.mark.parametrize("bad", ["git@github.com:ada/book.git", "https://github.com/ada", "ada/book"])
def test_what_is_no_repository_is_refused(copy, monkeypatch, capsys, bad):
    before = texts(copy)
    monkeypatch.setattr("sys.argv", ["move.py", bad])
    with pytest.raises(SystemExit):
        move.main()
    assert "want https://github.com/NAME/REPOSITORY" in capsys.readouterr().err and texts(copy) == before


@pytest.mark.parametrize("repository, pages", [
    ("https://github.com/Ada/Book", "https://ada.github.io/Book/"),
    ("https://github.com/ada/book.git", "https://ada.github.io/book/"),
    ("https://github.com/ada/ada.github.io", "https://ada.github.io/"),
])
def test_where_a_repository_is_read(repository, pages):
    assert addresses.pages_of(repository) == pages
