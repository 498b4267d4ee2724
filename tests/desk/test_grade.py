"""Grades: right and wrong answers, partial credit, the same again, and nothing hidden told."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from desks import RIGHT, answered, cell, notebook

from instructgpt_lite.__main__ import main
from instructgpt_lite.desk import grade as desk
from instructgpt_lite.desk import sandbox
from instructgpt_lite.desk.grade import Grade, grade, grade_all, page, table
from instructgpt_lite.desk.remote import known
from instructgpt_lite.desk.sandbox import Process
from instructgpt_lite.desk.submissions import find


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def graded(folder, cells, **options):
    (folder / "ada.ipynb").write_text(notebook(cells))
    return grade(find(folder)[0], b"secret", **options)


def test_right_answers_get_all_points(folder):
    found = graded(folder, answered())
    assert (found.points, found.of) == (10, 10), found.exercises
    assert {each["said"] for each in found.exercises.values()} == {"right."}


def test_each_exercise_has_its_own_points_and_its_own_sentence(folder):
    found = graded(folder, answered(
        my_tax="def my_tax(before, after):\n    rise = after - before\n    return rise.mean(), rise.std()",
        my_text_loss="def my_text_loss(logits, token):\n    ...",
        my_mixed_step="def my_mixed_step(x, ppo, ptx, gamma, lr):\n    return x - lr * (ppo + gamma * ptx",
        my_choose_gamma=None))
    said = {name: each["said"] for name, each in found.exercises.items()}
    assert found.points == 0 and "spread of one run" in said["my_tax"]
    assert said["my_text_loss"] == "not attempted."
    assert "raised SyntaxError" in said["my_mixed_step"]
    assert said["my_choose_gamma"] == "no function my_choose_gamma is defined."


def test_what_hangs_crashes_or_ends_costs_its_own_exercise_alone(folder):
    found = graded(folder, answered(
        my_tax="def my_tax(before, after):\n    import os\n    os._exit(0)",
        my_text_loss="def my_text_loss(logits, token):\n    import ctypes\n    ctypes.string_at(0)",
        my_mixed_step="while True:\n    pass\ndef my_mixed_step(x, ppo, ptx, gamma, lr):\n    return x"))
    points = {name: each["points"] for name, each in found.exercises.items()}
    assert points == {"my_text_loss": 0, "my_mixed_step": 0, "my_tax": 0, "my_choose_gamma": 3}
    assert "ended its process" in found.exercises["my_tax"]["said"]
    assert "did not return in time" in found.exercises["my_mixed_step"]["said"]


def test_helpers_and_constants_of_other_cells_are_there(folder):
    cells = [cell("SHARE = 0.5\ndef root(x):\n    return x ** SHARE"), *answered(
        my_tax="def my_tax(before, after):\n    rise = after - before\n"
               "    return rise.mean(), rise.std() / root(len(rise))")]
    assert graded(folder, cells).points == 10


def test_answers_learned_by_heart_from_the_notebook_get_nothing(folder):
    learned = ("known = {}\ndef my_mixed_step(x, ppo, ptx, gamma, lr):\n"
               "    right = x - lr * (ppo + gamma * ptx)\n"
               "    if len(known) < 4: known[str(x)] = right\n    return known.get(str(x), x)")
    said = graded(folder, answered(my_mixed_step=learned)).exercises["my_mixed_step"]
    assert said == {"points": 0, "of": 2, "said": "my_mixed_step passes the cases of the notebook, and not others of "
                                                  "the same kind."}


def test_the_solution_of_the_package_is_not_there(folder):
    forward = "from instructgpt_lite.theory.objective import ptx_loss as my_text_loss"
    hidden = "import importlib\nmy_text_loss = importlib.import_module('instructgpt_lite.theory.objective').ptx_loss"
    for source in (forward, hidden):
        assert graded(folder, answered(my_text_loss=source)).exercises["my_text_loss"]["points"] == 0


def test_what_an_error_says_is_not_told(folder):
    telling = "def my_tax(before, after):\n    raise ValueError(f'SECRET {before}')"
    own = "def my_tax(before, after):\n    raise type('SECRET', (Exception,), {})()"
    for source in (telling, own):
        found = graded(folder, answered(my_tax=source))
        assert "SECRET" not in page(found) + table([found]) + json.dumps(found.exercises)
    assert found.exercises["my_tax"]["said"] == "my_tax raised an error of its own."


def test_a_gradient_of_nan_in_padding_is_seen(folder):
    loss = ("def my_clipped_loss(logp, old, a, mask, clip):\n    ratio = (logp - old).exp()\n"
            "    each = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)\n"
            "    return -torch.where(mask, each, 0.0).sum() / mask.sum()")
    right = loss.replace("(logp - old).exp()", "(logp - old)[mask].exp(); a = a[mask]; mask = mask[mask]")
    points = []
    for source in (loss, right):
        (folder / "ada.ipynb").write_text(notebook([cell(source, "my_clipped_loss")], "a5_ppo"))
        points.append(grade(find(folder)[0], b"s").exercises["my_clipped_loss"]["points"])
    assert points == [0, 3]


def test_the_same_again_gives_the_same(folder):
    half = ("def my_tax(before, after):\n    rise = after - before\n"
            "    return rise.mean(), rise.std() / (len(rise) ** 0.5 if before[0] > 3 else 1)")
    first, *others = (graded(folder, answered(my_tax=half)) for _ in range(3))
    assert all(each == first for each in others)


def test_a_class_is_graded_resumed_and_its_table_opens_no_formula(folder):
    for name in ("=cmd", "ada", "bob"):
        (folder / f"{name}.ipynb").write_text(notebook(answered(my_tax=None if name == "bob" else RIGHT["my_tax"])))
    out = folder.parent / "grades.csv"
    first = list(grade_all(find(folder), out))
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["student"], row["points"], row["of"]) for row in rows] == [
        ("'=cmd", "10", "10"), ("ada", "10", "10"), ("bob", "7", "10")]
    begun = time.monotonic()
    assert list(grade_all(find(folder), out)) == first and time.monotonic() - begun < 1
    pages = sorted((out.with_suffix("") / "feedback").glob("*.html"))
    assert len(pages) == 3 and "no function my_tax" in next(p.read_text() for p in pages if p.name.startswith("bob"))
    (folder / "bob.ipynb").write_text(notebook(answered()))
    assert [each.points for each in grade_all(find(folder), out)] == [10, 10, 10]


def test_a_grader_that_is_killed_goes_on_where_it_was(folder):
    for n in range(4):
        (folder / f"s{n}.ipynb").write_text(notebook(answered()))
    out = folder.parent / "grades.csv"
    command = [sys.executable, "-m", "instructgpt_lite", "grade", str(folder), "--out", str(out), "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    results = out.with_suffix("") / "results"
    until = time.monotonic() + 120
    while not list(results.glob("*.json")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 0 < len(done) < 4 and not out.exists()
    assert main(command[3:]) == 0
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert [row["points"] for row in csv.DictReader(out.read_text().splitlines())] == ["10"] * 4


def test_where_nothing_isolates_it_refuses_with_the_way_out(monkeypatch, folder, capsys):
    (folder / "ada.ipynb").write_text(notebook(answered()))
    monkeypatch.setattr(sandbox, "find_spec", lambda name: None)
    assert main(["grade", str(folder), "--out", str(folder / "g.csv")]) == 1
    told = capsys.readouterr().err
    assert "pip install sandlock" in told and "--no-isolation" in told and not (folder / "g.csv").exists()


def test_told_so_it_grades_without_isolation(folder):
    assert graded(folder, answered(), isolated=False).points == 10


def test_a_sandbox_that_does_not_start_is_an_error_and_no_grade(monkeypatch, folder):
    monkeypatch.setattr(sandbox.sys, "executable", "/usr/bin/false")
    with pytest.raises(OSError, match="do not start in the sandbox"):
        graded(folder, answered())


def test_the_table_must_be_one(folder, capsys):
    assert main(["grade", str(folder), "--out", "grades"]) == 1 and ".csv" in capsys.readouterr().err


def test_nothing_of_the_grader_outlives_it(folder):
    graded(folder, answered(my_tax="def my_tax(b, a):\n    while True: pass"))
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    assert not children.exists() or children.read_text().split() == []


def test_an_array_of_numpy_is_a_right_answer(folder):
    array = ("import numpy as np\ndef my_tax(before, after):\n    rise = (after - before).numpy()\n"
             "    return np.array([rise.mean(), rise.std(ddof=1) / len(rise) ** 0.5])")
    step = "def my_mixed_step(x, ppo, ptx, gamma, lr):\n    return (x - lr * (ppo + gamma * ptx)).numpy()"
    assert graded(folder, answered(my_tax=array, my_mixed_step=step)).points == 10


@pytest.mark.parametrize("isolated", [True, False])
def test_optimizers_of_torch_work(folder, isolated):
    fit = ("def my_fit(wins, prior):\n    s = torch.zeros(len(wins), dtype=wins.dtype, requires_grad=True)\n"
           "    steps = torch.optim.LBFGS([s], max_iter=200, line_search_fn='strong_wolfe', tolerance_grad=1e-9)\n"
           "    def loss():\n        steps.zero_grad()\n"
           "        each = wins * torch.nn.functional.logsigmoid(s[:, None] - s)\n"
           "        total = -each.sum() + prior / 2 * s.square().sum()\n        total.backward()\n"
           "        return total\n"
           "    steps.step(loss)\n    return s.detach()")
    (folder / "ada.ipynb").write_text(notebook([cell(fit, "my_fit")], "a1_preferences"))
    found = grade(find(folder)[0], b"s", isolated)
    assert found.exercises["my_fit"] == {"points": 3, "of": 3, "said": "right."}


ODD = {"a lone surrogate": "x = '\ud800'\ndef my_tax(b, a):\n    return 1",
       "nul": "def my_tax(b, a):\n    return '\x00'",
       "deep": "x = " + "-" * 3_000 + "1\ndef my_tax(b, a):\n    return 1", "brackets": "x = " + "(" * 900,
       "deep answer": "def my_tax(b, a):\n    x = []\n    for _ in range(600): x = [x]\n    return x",
       "huge": "def my_tax(b, a):\n    return 10 ** 5_000, 0",
       "text": "def my_tax(b, a):\n    return chr(55296) * 9",
       "truth": "def my_tax(b, a):\n    return True, False", "itself": "def my_tax(b, a):\n    return my_tax",
       "ragged": "def my_tax(b, a):\n    return (1, (2, 3))", "empty": "def my_tax(b, a):\n    return torch.zeros(0)",
       "sparse": "def my_tax(b, a):\n    return torch.eye(2).to_sparse()",
       "set": "def my_tax(b, a):\n    return {1, 2}"}


@pytest.mark.parametrize("name", ODD)
def test_nothing_that_one_hands_in_stops_the_others(folder, name):
    (folder / "odd.ipynb").write_text(notebook(answered(my_tax=ODD[name])))
    out = folder.parent / "grades.csv"
    found, = grade_all(find(folder), out)
    assert found.exercises["my_tax"]["points"] == 0 and found.points == 7
    assert page(found).encode() and len(out.read_text()) < 2_000


def test_files_with_odd_names_and_what_is_no_file_stop_nothing(folder):
    (folder / os.fsdecode(b"\xff\xfe.ipynb")).write_text("{}")
    (folder / "<i>&\x1b[31m.ipynb").write_text("{}")
    (folder / "folder.ipynb").mkdir()
    os.mkfifo(folder / "pipe.ipynb")
    found = list(grade_all(find(folder), folder.parent / "grades.csv"))
    assert len(found) == 4 and all("no notebook that can be read" in each.notes[0] for each in found)
    assert not any("<i>" in page(each) for each in found)


def test_a_process_that_reads_no_more_holds_nobody_up(folder):
    deaf = "import os, signal\nTEXT = '" + "x" * 150_000 + "'\n" \
           "def my_text_loss(logits, token):\n    os.kill(os.getpid(), signal.SIGSTOP)"
    begun = time.monotonic()
    found = graded(folder, answered(my_text_loss=deaf), limit=6)
    assert found.exercises["my_text_loss"]["points"] == 0 and time.monotonic() - begun < 60


def test_more_code_than_anybody_writes_is_not_read(folder):
    (folder / "ada.ipynb").write_text(notebook([cell("x = '" + "y" * 200_000 + "'")]))
    assert "characters of code" in find(folder)[0].notes[0]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", " =1", "a;=1+1", "a;\t@x", "a\n=1", "\t=1"])
def test_no_cell_of_the_table_begins_a_formula(name):
    text = table([Grade(name, name, "a6_ptx", "", exercises={}, notes=[name])])
    for cell_ in (part for row in csv.reader(text.splitlines()) for one in row for part in one.split(";")):
        assert not cell_.strip().startswith(("=", "+", "-", "@")), text


def test_names_longer_than_a_file_may_have_are_cut_and_stay_apart(folder):
    for end in "ab":
        (folder / f"{'ö' * 110}{end}.ipynb").write_text(notebook(answered()))
    found = list(grade_all(find(folder), folder.parent / "grades.csv"))
    assert [each.points for each in found] == [10, 10] and found[0].student != found[1].student
    assert len(list((folder.parent / "grades/results").iterdir())) == 2


def test_cells_that_end_one_process_after_another_are_not_tried_for_ever(folder, monkeypatch):
    begun, start = [], Process
    monkeypatch.setattr(desk, "Process", lambda *how: begun.append(how) or start(*how))
    monkeypatch.setattr(desk, "STARTS", 3)
    ends = [cell(f"import os, sys\nclass A{n}:\n    sys.stdout = os._exit(0)") for n in range(6)]
    found = graded(folder, [*ends, *answered()])
    assert len(begun) == 3 and found.points == 0
    assert "ended too many processes" in found.exercises["my_tax"]["said"]


TAX = "def my_tax(before, after):\n    rise = after - before\n    return rise.mean(), rise.std() / len(rise) ** 0.5"


@pytest.mark.parametrize("source", [
    f"{TAX}\nopen('/tmp/plot.png', 'w')", f"from google.colab import files\n{TAX}", f"name = input()\n{TAX}",
    f"{TAX}\nfor seed in range(3): checks.check_tax(my_tax, seed)", f"{TAX}\nverdict = checks.confirm(my_tax)",
    f"{TAX}\nraise SystemExit"])
def test_what_else_fails_in_a_cell_costs_nothing(folder, source):
    assert graded(folder, answered(my_tax=source)).points == 10


def test_a_helper_that_two_cells_name_alike_is_each_cells_own(folder):
    helped = TAX.replace("len(rise)", "of(rise)").replace("def my_tax", "def of(x):\n    return len(x)\ndef my_tax")
    other = RIGHT["my_choose_gamma"] + "\ndef of(x):\n    return 1"
    assert graded(folder, answered(my_tax=helped, my_choose_gamma=other)).points == 10


def test_a_function_of_an_earlier_cell_and_a_helper_of_a_later_one_can_be_called(folder):
    later = TAX.replace("len(rise)", "below(rise)")
    step = "def below(x):\n    return len(x)\n" + RIGHT["my_choose_gamma"].replace(
        "tax.mean(1)", "torch.stack([my_tax(0 * row, row)[0] for row in tax])")
    assert graded(folder, answered(my_tax=later, my_choose_gamma=step)).points == 10


def test_a_name_that_a_failing_cell_should_have_made_is_traced_to_it(folder):
    cells = [cell("SIZES = torch.load('sizes.pt')"), *answered(my_tax=TAX.replace("len(rise)", "SIZES"))]
    assert graded(folder, cells).exercises["my_tax"]["said"] == (
        "my_tax raised NameError. A cell before it raised FileNotFoundError.")


@pytest.mark.parametrize("error", [{}, [], 5, "Nonsense", None])
def test_an_error_that_is_no_name_is_an_error_of_its_own(error):
    assert known(error) == "an error of its own"
