"""The repository's address is in _config.yml; everything that names it agrees."""

import re
import subprocess
from pathlib import Path

import addresses
import check_notebooks
import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
URL = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
HOME = URL.removeprefix("https://github.com/")
OURS = re.compile(r"(?:git\+|git clone |repository-code: |colab\.research\.google\.com/github/|badge\S*?)"
                  r"(?:https://github\.com/)?([\w.-]+/[\w.-]+?)(?=\.git\b|[@/\s)\"]|$)", re.M)
WORDS = [path for pattern in ("*.md", "*.cff", "chapters/*.*") for path in ROOT.glob(pattern)]


def test_everything_names_one_repository():
    named = {(path.name, name) for path in WORDS for name in OURS.findall(path.read_text())}
    assert {name for _, name in named} == {HOME} and len(named) > 5


def test_every_installation_cell_is_made_from_the_configuration():
    for path in (ROOT / "chapters").glob("*.ipynb"):
        code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        assert code[0].source == check_notebooks.guard(), path.name


def test_no_program_and_no_other_setting_has_the_address():
    patterns = ("*.toml", "*.yml", "*.json", "Makefile", ".ci/*", ".github/**/*.yml", "_static/*", "_ext/*.??*",
                "tools/*.*", "tests/**/*.py", "instructgpt_lite/**/*.py", "instructgpt_lite/**/*.js")
    paths = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert [path.name for path in paths if URL.removeprefix("https://") in path.read_text()] == ["_config.yml"]


def test_the_command_in_contributing_moves_every_address(tmp_path):
    command = re.search(r"^    (git grep -l .*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)[1]
    (tmp_path / "a.md").write_text(f"git clone {URL}\n[Colab](https://colab.research.google.com/github/{HOME}/blob/)")
    for each in ("git init -q .", "git add a.md", command):
        subprocess.run(each, shell=True, cwd=tmp_path, check=True)
    moved = (tmp_path / "a.md").read_text()
    assert HOME not in moved and moved.count("YOU/YOURS") == 2


@pytest.mark.parametrize("repository, pages", [
    ("https://github.com/Ada/Book", "https://ada.github.io/Book/"),
    ("https://github.com/ada/book.git", "https://ada.github.io/book/"),
    ("https://github.com/ada/ada.github.io", "https://ada.github.io/"),
])
def test_where_a_repository_is_read(repository, pages):
    assert addresses.pages_of(repository) == pages
