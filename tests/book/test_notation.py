"""chapters/notation.md: every formula has its row, and every name in it is one of the code."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "instructgpt_lite"
PAGE = (ROOT / "chapters" / "notation.md").read_text()
SOURCES = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
MODULE = re.compile(r"^`instructgpt_lite/(\S+)`\n(.*?)(?=^`instructgpt_lite/|\Z)", re.MULTILINE | re.DOTALL)
ROWS = {module: set(re.findall(r"^`(\w+)`\n: ", rows, re.MULTILINE)) for module, rows in MODULE.findall(PAGE)}


def public(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}


def test_every_public_function_of_the_theory_has_its_row():
    theory = {f"theory/{path.name}": public(path) for path in (PACKAGE / "theory").glob("*.py")}
    assert {module: names for module, names in theory.items() if names} == {
        module: names for module, names in ROWS.items() if module.startswith("theory/")}


def test_every_formula_names_a_function_of_its_module():
    assert len(ROWS) > 5 and {module: names - public(PACKAGE / module) for module, names in ROWS.items()} == {
        module: set() for module in ROWS}


def test_every_name_in_the_tables_of_symbols_is_one_of_the_code():
    rows = [row.split("|") for row in PAGE.split("## Shapes")[0].splitlines() if row.startswith("| $")]
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row[2].partition(":")[0])]
    assert len(names) > 30
    assert [name for name in names if not re.search(rf"\b{name}\b", SOURCES)] == []


def test_every_letter_of_a_shape_ends_some_name():
    letters = re.findall(r"^\| ([A-Z]) \|", PAGE, re.MULTILINE)
    assert len(letters) == 8
    assert [letter for letter in letters if not re.search(rf"\b[a-z]+_[A-Z]*{letter}[A-Z]*\b", SOURCES)] == []
