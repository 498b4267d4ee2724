"""chapters/notation.md: every formula has its row, every named test uses it, every link leads somewhere."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "formulas.py"), run_name="formulas")
PAGE = (ROOT / "chapters" / "notation.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "instructgpt_lite").rglob("*.py"))
ROWS = [(module, name, row) for module, (_, rows) in TOOL["FORMULAS"].items() for name, row in rows.items()]


def public(path: Path) -> list[str]:
    return [node.name for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def test_every_public_function_of_the_theory_has_its_row_and_no_row_is_left_over():
    theory = {(f"theory/{path.name}", name) for path in (ROOT / "instructgpt_lite" / "theory").glob("*.py")
              for name in public(path)}
    rows = {(module, name) for module, name, _ in ROWS}
    assert theory - rows == set(), "give each a row in tools/formulas.py, then run it"
    assert {row for row in rows if row[0].startswith("theory/")} - theory == set()
    assert all(name in public(ROOT / "instructgpt_lite" / module) for module, name in rows)


def test_the_index_is_what_the_tool_writes_now():
    assert TOOL["filled"](PAGE) == PAGE, "run python tools/formulas.py"


def reached(text: str, name: str) -> set[str]:
    """Every name that a function of a test file uses, itself or through what the file defines."""
    parts = {}
    for node in ast.parse(text).body:
        targets = [node.name] if isinstance(node, ast.FunctionDef) else map(ast.unparse, getattr(node, "targets", []))
        for target in targets:
            parts[target] = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    found, ahead = set(), {name}
    while ahead:
        found |= ahead
        ahead = set().union(*(parts.get(each, set()) for each in ahead)) - found
    return found


@pytest.mark.parametrize("module, name, row", ROWS, ids=[name for _, name, _ in ROWS])
def test_the_tests_named_for_a_formula_use_it(module, name, row):
    text = (ROOT / "tests" / module.replace("/", "/test_")).read_text()
    assert row.tests and [test for test in row.tests if name not in reached(text, f"test_{test}")] == []


def test_every_link_leads_to_the_line_of_its_definition():
    links = re.findall(r"\[([^\]]+)\]\((https://\S+?)#L(\d+)(?:-L(\d+))?\)", PAGE)
    assert len(links) > 100
    for words, address, line, _ in links:
        assert address.startswith(TOOL["repository"]())
        lines = (ROOT / address.removeprefix(TOOL["repository"]())).read_text().splitlines()
        name = words.strip("`") if words.startswith("`") else "test_" + words.replace(" ", "_")
        assert lines[int(line) - 1].startswith(f"def {name}("), (words, address, line)


def test_every_name_in_the_tables_of_symbols_is_one_of_the_code():
    rows = [row.split("|") for row in PAGE.split("## Shapes")[0].splitlines() if row.startswith("| $")]
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row[2].partition(":")[0])]
    assert len(names) > 30
    assert [name for name in names if not re.search(rf"\b{name}\b", SOURCES)] == []


def test_every_letter_of_a_shape_ends_some_name():
    letters = re.findall(r"^\| ([A-Z]) \|", PAGE, re.MULTILINE)
    assert len(letters) == 8
    assert [letter for letter in letters if not re.search(rf"\b[a-z]+_[A-Z]*{letter}[A-Z]*\b", SOURCES)] == []
