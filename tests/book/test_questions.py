"""Every row of the page of questions leads somewhere: its section, its function and its test exist."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROW = re.compile(r"\| (?P<question>[^|]+\?[^|]*) \| \{ref\}`(?P<chapter>\w+), [^|]+ <(?P<label>[\w-]+)>` "
                 r"\| `(?P<function>[\w.]+)` \| `(?P<test>tests/[\w/]+\.py)` \|")
LINES = [line for line in (ROOT / "chapters/questions.md").read_text().splitlines()
         if line.startswith("| ") and not line.startswith("| question |")]


def prose(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text()
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]
                       if cell["cell_type"] == "markdown")


@pytest.fixture(scope="module")
def labels() -> dict[str, str]:
    """Every label of the book, and the file that it is in."""
    return {label: path.name for path in (ROOT / "chapters").iterdir() if path.suffix in (".md", ".ipynb")
            for label in re.findall(r"^\(([\w-]+)\)=$", prose(path), re.M)}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[2:50])
def test_a_row_names_a_section_a_function_and_a_test_that_exist(line, labels):
    row = ROW.fullmatch(line)
    assert row, "as the other rows: | question? | {ref}`0, words <label>` | `module.function` | `tests/file.py` |"
    number = re.match(r"0?(\d+[a-z]?)_", labels[row["label"]])
    assert not number or number[1] == row["chapter"]
    module, _, name = row["function"].rpartition(".")
    assert hasattr(importlib.import_module(f"instructgpt_lite.{module}"), name)
    assert (ROOT / row["test"]).is_file()


def test_chapters_0_and_1_have_rows():
    assert {"0", "1"} <= {ROW.fullmatch(line)["chapter"] for line in LINES} and len(LINES) >= 20
