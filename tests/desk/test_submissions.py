"""Whose a notebook is, and which code of it counts."""

import ast
import json

import pytest
from desks import RIGHT, answered, cell, notebook

from instructgpt_lite.desk.cells import defines, definitions, is_open
from instructgpt_lite.desk.submissions import find, named


@pytest.mark.parametrize("path, student, attempt", [
    ("Ada Byron_123456_assignsubmission_file_/a6_ptx.ipynb", "Ada Byron 123456", 0),
    ("Ada Byron_123456_assignsubmission_file_a6_ptx.ipynb", "Ada Byron 123456", 0),
    ("byronada_43210_98765_a6_ptx.ipynb", "byronada 43210", 0),
    ("byronada_LATE_43210_98765_a6_ptx-2.ipynb", "byronada 43210", 2),
    ("ada/a6_ptx/a6_ptx.ipynb", "ada", 0),
    ("ada/Copy of a6_ptx (3).ipynb", "ada", 3),
    ("Copy of a6_ptx ada.ipynb", "a6_ptx ada", 0),
    ("Copy of Copy of ada (1).ipynb", "ada", 1),
    ("Ærø Müller-Lüdenscheidt_7_assignsubmission_file_/x.ipynb", "Ærø Müller-Lüdenscheidt 7", 0)])
def test_names_of_moodle_canvas_nbgrader_and_colab(tmp_path, path, student, attempt):
    assert named(tmp_path / path, tmp_path) == (student, attempt)


def hand_in(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_are_found_by_their_marks(tmp_path):
    hand_in(tmp_path, "ada/a6.ipynb", notebook(answered()))
    found, = find(tmp_path)
    assert found.notes == [] and found.assignment.name == "a6_ptx"
    assert set(RIGHT) <= set(found.cells)
    assert all("instructgpt_lite" not in source for source in found.cells.values())


def test_lost_marks_are_mended_by_name_and_said(tmp_path):
    cells = [cell(source) for source in RIGHT.values()]
    hand_in(tmp_path, "ada/a6.ipynb", notebook(cells, assignment=None))
    found, = find(tmp_path)
    assert found.assignment.name == "a6_ptx" and set(RIGHT) <= set(found.cells)
    assert "its metadata is lost: taken for a6_ptx by its functions" in found.notes
    assert sum("mark of" in note for note in found.notes) == 4


def test_of_a_cell_that_is_there_twice_the_last_that_defines_it_counts(tmp_path):
    twice = [*answered(), cell("def my_tax(before, after):\n    return 1", "my_tax"), cell("...", "my_tax")]
    hand_in(tmp_path, "ada/a6.ipynb", notebook(twice))
    found, = find(tmp_path)
    assert "return 1" in found.cells["my_tax"] and "3 times" in found.notes[0]


def test_the_last_attempt_counts_and_is_noted(tmp_path):
    for name in ("byron_43210_98765_a6-1.ipynb", "byron_43210_98764_a6.ipynb", "lovelace_43211_98766_a6.ipynb"):
        hand_in(tmp_path, name, notebook(answered()))
    assert [(each.student, each.attempt) for each in find(tmp_path)] == [("byron 43210", 1), ("lovelace 43211", 0)]
    assert "earlier attempt" in find(tmp_path)[0].notes[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"cells": 3}', '{"cells": [1]}', "[" * 5_000,
                                  '{"cells": [{"cell_type": "code", "source": 3}]}', '{"cells": [{}]}', "null"])
def test_what_is_no_notebook_is_said_and_stops_nothing(tmp_path, text):
    hand_in(tmp_path, "ada/a6.ipynb", text)
    hand_in(tmp_path, "bob/a6.ipynb", notebook(answered()))
    ada, bob = find(tmp_path)
    assert ada.assignment is None and "no notebook that can be read" in ada.notes[0]
    assert bob.assignment


@pytest.mark.parametrize("metadata", [None, [], 3, {"nbgrader": 3}, {"nbgrader": {"grade_id": ["x"]}}])
def test_odd_metadata_is_lost_metadata(tmp_path, metadata):
    cells = [cell(source) | {"metadata": metadata} for source in RIGHT.values()]
    text = json.dumps({"cells": cells, "metadata": {"instructgpt_lite": metadata}})
    hand_in(tmp_path, "ada/a6.ipynb", text)
    found, = find(tmp_path)
    assert found.assignment.name == "a6_ptx" and set(RIGHT) <= set(found.cells)


def test_a_link_is_not_followed(tmp_path):
    hand_in(tmp_path / "elsewhere", "secret.ipynb", notebook(answered()))
    (tmp_path / "in/ada").mkdir(parents=True)
    (tmp_path / "in/ada/a6.ipynb").symlink_to(tmp_path / "elsewhere/secret.ipynb")
    found, = find(tmp_path / "in")
    assert found.assignment is None and "a link" in found.notes[0]


def test_an_empty_folder_or_none_is_an_error_with_the_way_out(tmp_path):
    with pytest.raises(ValueError, match="unpack the archive first"):
        find(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        find(tmp_path / "none")


def test_a_notebook_of_nothing_of_ours_says_so(tmp_path):
    hand_in(tmp_path, "ada/essay.ipynb", notebook([cell("x = 1")], assignment=None))
    assert find(tmp_path)[0].notes == ["defines no function of any assignment"]


def test_of_other_cells_only_what_defines_counts():
    source = ("import math\nfrom instructgpt_lite import checks\nEPS = 1e-6\nsign = -1.0\nHALF = 1 / 2\n"
              "BOTH = (1, [2])\nruns = train()\n"
              "%time x\n!ls\ndef helper(x):\n    return x\nclass Box: pass\nf = lambda x: x\n"
              "helper(3)\nfor i in range(9): go()")
    kept = definitions(source)
    assert defines(kept) == {"EPS", "sign", "HALF", "BOTH", "helper", "Box", "f"} and "import math" in kept
    assert "instructgpt_lite" not in kept and "go()" not in kept and "helper(3)" not in kept


def test_of_a_cell_with_an_exercise_all_counts_but_bare_calls():
    source = "table = [0] * 3\nif True:\n    def my_tax(b, a):\n        return 1\nprint(my_tax(1, 2))\n%%time"
    assert "table" in definitions(source, whole=True) and "print" not in definitions(source, whole=True)


def test_a_broken_cell_is_kept_so_that_its_error_is_told():
    source = "def my_tax(before, after):\n    return ((1"
    assert defines(source) == {"my_tax"} and definitions(source, whole=True) == source and definitions(source) == ""


@pytest.mark.parametrize("body, is_it", [("...", True), ("\"\"\"Tax.\"\"\"\n    ...", True), ("pass", False),
                                         ("return ...", False), ("return 1", False)])
def test_an_exercise_that_nobody_has_begun(body, is_it):
    assert is_open(f"def my_tax(b, a):\n    {body}", "my_tax") is is_it
    assert not is_open("", "my_tax")


def test_of_notebooks_side_by_side_each_is_its_names_and_two_of_one_name_are_two(tmp_path):
    for name in ("a6/ann.ipynb", "a6/bob.ipynb", "cem/a6_ptx.ipynb", "cem/a6_ptx (1).ipynb",
                 "Ann Lee_111_assignsubmission_file_/a.ipynb", "Ann Lee_222_assignsubmission_file_/a.ipynb"):
        hand_in(tmp_path, name, notebook(answered()))
    assert [each.student for each in find(tmp_path)] == ["Ann Lee 111", "Ann Lee 222", "ann", "bob", "cem"]


def test_the_variant_of_a_notebook_is_read(tmp_path):
    for student, variant in (("ann", 7), ("bob", "7"), ("cem", None)):
        text = json.loads(notebook(answered()))
        text["metadata"]["instructgpt_lite"]["variant"] = variant
        hand_in(tmp_path, f"{student}.ipynb", json.dumps(text))
    assert [each.variant for each in find(tmp_path)] == [7, 0, 0]


@pytest.mark.parametrize("name, student", [
    ("ADA.IPYNB", "ADA"), ("ada.ipynb.txt", "ada"), ("ada.ipynb.json", "ada"), ("-1.ipynb", "-1.ipynb"),
    ("(2).ipynb", "(2).ipynb")])
def test_notebooks_that_a_browser_or_a_hand_renamed_are_read(tmp_path, name, student):
    hand_in(tmp_path, name, notebook(answered()))
    assert [(each.student, each.assignment.name) for each in find(tmp_path)] == [(student, "a6_ptx")]


def test_nobody_can_hand_in_for_another(tmp_path):
    hand_in(tmp_path, "ann/a6_ptx.ipynb", notebook(answered()))
    hand_in(tmp_path, "ann/bob-9.ipynb", notebook([]))
    hand_in(tmp_path, "bob/a6_ptx.ipynb", notebook(answered()))
    bob = [each for each in find(tmp_path) if each.student.startswith("bob")]
    assert [each.cells["my_tax"] != "" for each in bob] == [True]


def test_two_folders_with_one_name_are_both_graded_and_said(tmp_path):
    for place in ("one", "two"):
        for name in ("bob.ipynb", "cat.ipynb", "dan.ipynb"):
            hand_in(tmp_path / place, name, notebook(answered()))
    found = find(tmp_path)
    assert [each.student for each in found] == [f"{name} ({place})" for name in ("bob", "cat", "dan")
                                                for place in ("one", "two")]
    assert all("another folder has one of this name" in each.notes[0] for each in found)


def test_the_solution_in_a_new_cell_counts_where_the_given_one_is_open(tmp_path):
    cells = answered(my_tax="def my_tax(before, after):\n    ...") + [cell(RIGHT["my_tax"])]
    hand_in(tmp_path, "ada.ipynb", notebook(cells))
    found, = find(tmp_path)
    assert "rise" in found.cells["my_tax"] and "is as it was given" in found.notes[0]


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "ada.ipynb").write_text(notebook(answered()), encoding="utf-8-sig")
    assert find(tmp_path)[0].assignment.name == "a6_ptx"


def test_so_many_cells_or_an_old_format_are_said(tmp_path):
    hand_in(tmp_path, "many.ipynb", notebook([cell("")] * 1_001))
    hand_in(tmp_path, "old.ipynb", json.dumps({"worksheets": [{"cells": []}]}))
    many, old = find(tmp_path)
    assert "more than 1,000 cells" in many.notes[0] and "open it in Jupyter and save it" in old.notes[0]


@pytest.mark.parametrize("kept", [
    "DTYPE = torch.float64", "INF = float('inf')", "HALF: float = 0.5", "F = torch.nn.functional", "D = {'a': 1}",
    "EYE = torch.eye(3).double()", "N = len([1, 2])", "SEED = torch.Generator().manual_seed(0)"])
def test_a_constant_is_what_calls_nothing_of_the_notebook(kept):
    assert definitions(kept) != ""


@pytest.mark.parametrize("left", [
    "fit = my_fit(wins, 1.0)", "runs = [train(n) for n in range(9)]", "x: float", "x = model.generate()", "train()",
    "try:\n    import a\n    train()\nexcept ImportError: pass"])
def test_an_experiment_is_no_constant(left):
    assert definitions(left) == ""


def test_an_import_that_may_fail_is_kept():
    assert "import scipy" in definitions("try:\n    import scipy\nexcept ImportError:\n    scipy = None")


@pytest.mark.parametrize("source", [
    "%%time\ndef f(x):\n    return x", "%%capture out\ndef f(x):\n    return x",
    "torch.sigmoid?\ndef f(x):\n    return x", "?torch\ndef f(x):\n    return x",
    "!pip list\r\ndef f(x):\r\n    return x",
    "%matplotlib inline\rdef f(x):\r    return x"])
def test_what_only_notebooks_understand_is_left_out(source):
    assert definitions(source, whole=True) == "def f(x):\n    return x"


@pytest.mark.parametrize("source", ["%%bash\ndef f(x):\n    return x", "%%writefile f.py\ndef f(x):\n    return x"])
def test_a_cell_in_another_language_defines_nothing(source):
    assert defines(source) == set()


@pytest.mark.parametrize("source", [
    "def f(x, y):\n    return (\n        x\n        != y\n    )",
    "def f(x, n):\n    return (\n        x\n        % n\n    )",
    "def f():\n    return \"\"\"\n%time\n\"\"\"", "def f():  # a\u2028b\n    return 'a\x0cb'"])
def test_a_program_is_never_changed(source):
    assert ast.dump(ast.parse(definitions(source))) == ast.dump(ast.parse(source))
