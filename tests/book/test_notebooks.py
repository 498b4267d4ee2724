"""What every chapter owes its reader, and that each of these checks fails on a notebook that breaks it."""

import copy
from pathlib import Path

import check_notebooks
import execute
import nbformat
import pytest
from nbformat import v4

ROOT = Path(__file__).parent.parent.parent
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_whole(path):
    assert check_notebooks.faults(nbformat.read(path, 4), path.stem, path.read_text()) == []


@pytest.mark.parametrize("path", [path for path in CHAPTERS if path.stem[:2].isdigit()], ids=lambda path: path.stem)
def test_the_cells_of_a_chapter_are_short(path):
    assert check_notebooks.usual(nbformat.read(path, 4)) <= check_notebooks.USUAL


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_has_a_hint_and_a_solution_folded(path):
    cells = nbformat.read(path, 4).cells
    for before, cell_, after in zip(cells, cells[1:], cells[2:]):
        if cell_.cell_type == "code" and "    ...\n\nattempt(" in cell_.source:
            exercise = before.source.rpartition(":::{exercise-start}")[2]
            label = exercise.partition(":label: ")[2].partition("\n")[0]
            assert ":::{admonition} Hint\n:class: hint dropdown\n" in exercise, label
            assert f":::{{solution-start}} {label}\n:class: dropdown\n" in after.source, label


def test_there_are_chapters():
    assert len(CHAPTERS) >= 4


# The checks themselves

def cell(source: str, count: int, *outputs, **metadata):
    return v4.new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)


def printed(text: str):
    return v4.new_output("stream", name="stdout", text=text)


def good():
    """A small notebook with nothing wrong."""
    picture = v4.new_output("display_data", {"image/png": PNG, "text/plain": "<Figure size 640x360>"})
    described = {"mystnb": {"image": {"alt": "A curve that falls."}}}
    return v4.new_notebook(cells=[
        v4.new_markdown_cell("# A chapter"),
        cell(check_notebooks.guard(), 1, tags=["hide-input", "nbval-skip"]),
        cell("print(2 * 3)", 2, printed("6\n")),
        cell("assert 6 == 2 * 3", 3),
        cell("_ = plt.plot([3, 2, 1])", 4, picture, **described),
    ])


def test_nothing_is_wrong_with_a_good_notebook():
    text = execute.regular(good(), "good")
    assert check_notebooks.faults(nbformat.reads(text, 4), "good", text) == []


def source(number: int, text: str):
    return lambda notebook: notebook.cells[number].update(source=text)


def output(text: str):
    return lambda notebook: notebook.cells[2].outputs[0].update(text=text)


BROKEN = {
    "neither output nor assertion": lambda notebook: notebook.cells[2].update(outputs=[]),
    "its output is not stored": lambda notebook: notebook.cells[2].update(source="assert 1\nprint(6)", outputs=[]),
    "were they stripped": lambda notebook: [each.update(outputs=[]) for each in notebook.cells[1:]],
    "not numbered": lambda notebook: notebook.cells[3].update(execution_count=None),
    "not numbered 1, 2, 3": lambda notebook: notebook.cells[3].update(execution_count=7),
    "an output of 1": output("x" * 100_001),
    "26 lines": source(3, "assert 1\n" * 25 + "assert 1"),
    "ends in a semicolon": source(4, "plt.plot([3, 2, 1]);"),
    "reads a clock": source(3, "assert time.perf_counter() > 0"),
    "reads a clock: %time": source(3, "%time 1\nassert 1"),
    "asks where it runs": source(3, "assert os.getcwd()"),
    "prints a time: 3.2 s": output("done in 3.2 s\n"),
    "prints a time: 12:30:59": output("12:30:59 step 1\n"),
    "prints a time: it/s": output("100 % 14 it/s\n"),
    "prints a path": output("saved to /home/ada/runs\n"),
    "a path or an address": output("<object at 0x7f3e14940a40>\n"),
    "without words": lambda notebook: notebook.cells[4].metadata.clear(),
    "writes to stderr": lambda notebook: notebook.cells[2].outputs[0].update(name="stderr"),
    "failed: ValueError": lambda notebook: notebook.cells[2].outputs.append(
        v4.new_output("error", ename="ValueError", evalue="", traceback=[])),
    "not the installation guard": source(1, "%pip install instructgpt-lite"),
    "guard, tagged": lambda notebook: notebook.cells[1].metadata.clear(),
}


BROKEN |= {
    "a line of 89 columns, at most 88": source(3, f"assert {'1' * 82}"),
    "folded: give it the tag hide-input": source(3, "import math\nimport os\nfrom re import sub\n\nassert math.pi"),
    "folded: give it the tag hide-output": source(3, "from re import sub\n\nshow_source(sub)"),
    "it has 4,001 words, at most 4,000": lambda notebook: notebook.cells[0].update(source="word " * 4_001),
    "it has 11 figures, at most 10": lambda notebook: notebook.cells[4].outputs.extend(10 * notebook.cells[4].outputs),
}


@pytest.mark.parametrize("complaint", BROKEN)
def test_a_broken_notebook_is_named(complaint):
    notebook = good()
    BROKEN[complaint](notebook)
    found = check_notebooks.faults(notebook, "07_bad")
    assert [what for what in found if complaint in what], found


def test_a_file_that_was_not_written_by_the_executor_is_named():
    notebook = nbformat.reads(execute.regular(good(), "good"), 4)
    notebook.metadata["language_info"]["version"] = "3.11.7"
    found = check_notebooks.faults(copy.deepcopy(notebook), "good", nbformat.writes(notebook))
    assert found == ["the file is not as tools/execute.py writes it"]


@pytest.mark.parametrize("words", ["3.2 nats", "at 0x0", "2 in 3 seeds", "10 steps", "min 0.1", "p = 1/2, q = 3/4",
                                   "1 sentence", "runs/tiny", "a/b/home"])
def test_honest_words_are_no_times_and_no_paths(words):
    notebook = good()
    output(words)(notebook)
    assert check_notebooks.faults(notebook, "good") == []


def test_the_median_counts_code_cells_only():
    notebook = good()
    notebook.cells += [v4.new_markdown_cell("a\n" * 50), cell("assert 1\n" * 8 + "assert 1", 5)]
    assert check_notebooks.usual(notebook) == 1


def tagged(text: str, *tags: str):
    notebook = good()
    notebook.cells[3].update(source=text)
    notebook.cells[3].metadata["tags"] = list(tags)
    return check_notebooks.faults(notebook, "good")


def test_what_is_folded_is_well_and_a_cell_of_imports_need_show_nothing():
    assert tagged("import math\nimport os", "hide-input") == []
    notebook = good()
    notebook.cells[2].update(source="show_source(f)\nshow_source(g)")
    for tag, well in (("hide-output", True), ("hide-cell", True), ("hide-input", False)):
        notebook.cells[2].metadata["tags"] = [tag]
        assert (check_notebooks.faults(notebook, "good") == []) == well


def test_an_experiment_that_imports_what_it_needs_is_not_folded():
    assert tagged("import math\nfrom re import sub\n\nassert math.pi > 3") == []


def test_the_core_has_a_smaller_budget_than_what_continues_it():
    notebook = good()
    notebook.cells[0].update(source="word " * 3_501)
    assert [what for what in check_notebooks.faults(notebook, "02_core") if "3,501 words, at most 3,500" in what]
    for name in ("02b_more", "hyperparameters"):
        assert check_notebooks.faults(notebook, name) == []


@pytest.mark.parametrize("text, count", [
    ("Two words.", 2), ("```python\nno = words\n```\nOne", 1), ("(ch-a)=\n# A title", 2), ("$$\na + b\n$$\nthen", 1),
    (":::{admonition} Asked: \"Why?\"\n:class: tip\nSo it is.\n:::", 5), ("where $a + b = c$ is", 3), ("- a | b", 2),
    ("```{figure} a.svg\n:alt: Words and words\n\nA caption.\n```", 0)])
def test_words_are_counted_as_they_are_read(text, count):
    assert check_notebooks.words(v4.new_notebook(cells=[v4.new_markdown_cell(text), cell("more = 'code'", 1)])) == count
