"""Attacks on the grader, written by somebody who had not read it: no points, nothing told, ended in time.

Each is the code of a student's cell for `my_token_logp`. Values are compared in another process, so whatever they do to
their own earns nothing.
"""

from pathlib import Path

import pytest
from desks import handed_in

from instructgpt_lite.desk import grade as desk

ATTACKS = sorted(Path(__file__).with_name("attacks").glob("*.txt"))
CANARY = "canary-7f3a"
LIMIT = 4.0
RIGHT = "def my_token_logp(x, t):\n    return x.log_softmax(-1).gather(-1, t[..., None])[..., 0]"


@pytest.fixture(autouse=True)
def planted(monkeypatch, tmp_path):
    """Things to find, for whoever can get out: in the environment, in the home folder, at a door."""
    monkeypatch.setenv("GRADE_CANARY", CANARY)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "canary.txt").write_text(CANARY)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/canary").write_text(CANARY)
    monkeypatch.setattr(desk, "SECONDS", 2.0)


def test_there_are_sixty_and_more():
    assert len(ATTACKS) >= 60


def test_the_right_answer_gets_its_points():
    assert desk.grade(handed_in(RIGHT), b"s", limit=LIMIT).points == 10


@pytest.mark.parametrize("path", ATTACKS, ids=lambda path: path.stem)
def test_an_attack_gets_nothing(path):
    submission = handed_in(path.read_text(encoding="utf-8"))
    found = desk.grade(submission, b"s", limit=LIMIT)
    said = found.exercises["my_token_logp"]["said"]
    assert found.points == 0 and found.exercises["my_token_logp"]["points"] == 0
    assert CANARY not in desk.page(found) + desk.table([found])
    assert len(said) < 2_000 and said.isprintable()
    assert left_behind() == []


def left_behind() -> list[str]:
    places = [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/"), Path.home(), Path.cwd()]
    return [str(found) for place in places for found in place.glob("*attack_marker*")]
