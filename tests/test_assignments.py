"""The assignments: one source each, editions without what a student must not see, and the desk's list in step."""

import ast
import json
import re
from pathlib import Path

import pytest

import assignments as tool
from instructgpt_lite.desk.assignments import ASSIGNMENTS
from instructgpt_lite.desk.cells import defines

ROOT = Path(__file__).parent.parent
SOURCES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "assignments").glob("*.ipynb"))}
MARKED = {name: notebook for name, notebook in SOURCES.items() if name in ASSIGNMENTS}


def code(notebook):
    return [tool.text(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def ids(notebook):
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in notebook["cells"]
            if "nbgrader" in cell["metadata"]}


def solutions(notebook):
    """Lines of code between the marks, longer than a name."""
    found = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", "\n".join(code(notebook)), re.DOTALL)
    return {line.strip() for each in found for line in each.splitlines() if len(line.strip()) > 12}


def test_six_assignments_and_a_capstone():
    assert set(SOURCES) == {*ASSIGNMENTS, "capstone"} and len(ASSIGNMENTS) == 6
    assert {name: sum(each.points for each in found.exercises) for name, found in ASSIGNMENTS.items()} == dict.fromkeys(
        ASSIGNMENTS, 10)
    assert all(found.minutes <= 120 for found in ASSIGNMENTS.values())


@pytest.mark.parametrize("name", MARKED)
def test_points_and_functions_are_those_of_the_desk(name):
    cells = ids(MARKED[name])
    for exercise in ASSIGNMENTS[name].exercises:
        assert exercise.name in defines(tool.text(cells[exercise.name]))
        test = cells[f"test_{exercise.name}"]
        assert test["metadata"]["nbgrader"]["points"] == exercise.points
        assert f"checks.confirm(checks.{exercise.check.__name__}, {exercise.name}, VARIANT)" in tool.text(test)
    assert len(cells) == 8
    assert MARKED[name]["metadata"]["instructgpt_lite"] == {"assignment": name, "variant": 0}


@pytest.mark.parametrize("name", MARKED)
def test_a_student_edition_holds_no_solution_and_no_hidden_test(name):
    made = tool.student(MARKED[name], variant=4)
    lines = {line.strip() for source in code(made) for line in source.splitlines()}
    assert solutions(MARKED[name]) and not solutions(MARKED[name]) & lines
    everything = json.dumps(made)
    for word in ("SOLUTION", "HIDDEN", "SECRET", "secret"):
        assert word not in everything
    assert set(ids(made)) == set(ids(MARKED[name]))
    for source in code(made):
        ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", source, flags=re.MULTILINE))
    for exercise in ASSIGNMENTS[name].exercises:
        assert tool.text(ids(made)[exercise.name]).splitlines()[-1] == "    ..."


@pytest.mark.parametrize("name", SOURCES)
def test_a_variant_has_another_number_and_nothing_else(name):
    first, second = (code(tool.student(SOURCES[name], variant)) for variant in (0, 7))
    assert [x for x in zip(first, second) if x[0].replace("VARIANT = 0", "VARIANT = 7") != x[1]] == []
    assert first != second and SOURCES[name]["metadata"]["instructgpt_lite"]["variant"] == 0


@pytest.mark.parametrize("name", MARKED)
def test_a_solved_edition_runs_and_nbgraders_keeps_its_marks(name):
    assert not {"### BEGIN", "### END"} & {line.strip()[:9] for line in "\n".join(
        code(tool.solved(MARKED[name]))).splitlines()}
    kept = "\n".join(code(tool.for_nbgrader(MARKED[name], 2, "w'ord")))
    assert kept.count('SECRET = "w\'ord"') == kept.count("BEGIN HIDDEN TESTS") == 4 and "VARIANT = 2" in kept


def test_every_edition_is_written(tmp_path):
    assert tool.main([str(tmp_path), "--variant", "3"]) == 0
    assert len(list(tmp_path.rglob("*.ipynb"))) == 21 and (tmp_path / "nbgrader/nbgrader_config.py").exists()
    assert tool.main([str(tmp_path / "shown"), "--student-only"]) == 0
    assert {path.parent.name for path in (tmp_path / "shown").rglob("*.ipynb")} == {"student"}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_are_kept_without_outputs_and_import_nothing_but_ours(name):
    for cell in SOURCES[name]["cells"]:
        assert cell["cell_type"] == "markdown" or cell["outputs"] == [] and cell["execution_count"] is None
    imported = set(re.findall(r"^(?:from|import) (\w+)", "\n".join(code(SOURCES[name])), re.MULTILINE))
    assert imported <= {"instructgpt_lite", "torch", "math", "importlib", "dataclasses", "pathlib", "random"}


def test_the_page_for_teachers_lists_what_there_is():
    page = (ROOT / "chapters/teaching.md").read_text()
    for found in ASSIGNMENTS.values():
        link = f'<a href="../assignments/student/{found.name}.ipynb">{found.title}</a>'
        assert f"{link}\n  - {found.chapters}\n  - {found.minutes}\n" in page
    assert "student/capstone.ipynb" in page


@pytest.mark.parametrize("name", MARKED)
def test_a_notebook_says_its_points_minutes_and_chapters(name):
    first, found = tool.text(MARKED[name]["cells"][0]), ASSIGNMENTS[name]
    plural = "s" if "and" in found.chapters else ""
    assert found.title in first and f"10 points · about {found.minutes} minutes · after chapter{plural} " \
        f"{found.chapters}\n" in first
