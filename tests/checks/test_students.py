"""A class's answers: right ones of any form pass, wrong ones hear what is wrong. Run, it prints what they hear."""

import re
import sys
from pathlib import Path

import pytest

from instructgpt_lite import checks

sys.path.append(str(Path(__file__).parents[2]))

from tests.checks.students import RIGHT, WRONG

TABLE = Path(__file__).parents[2] / "assignments" / "mistakes.md"
ANSWERS = [pytest.param(exercise, answer, id=f"{exercise}-{n}")
           for exercise, answers in RIGHT.items() for n, answer in enumerate(answers)]
MISTAKES = [pytest.param(exercise, answer, hears, id=f"{exercise}: {does}")
            for exercise, answers in WRONG.items() for does, answer, hears in answers]


def check(exercise, answer, seed):
    getattr(checks, f"check_{exercise}")(answer, seed)


def heard(exercise, answer, seed=0):
    """What the author of a wrong answer reads."""
    with pytest.raises(AssertionError) as said:
        check(exercise, answer, seed)
    name = getattr(answer, "__name__", "your function")
    return str(said.value).removeprefix(name).lstrip(": ")


def table():
    """Every wrong answer and what it hears, without the numbers, in Markdown."""
    lines = ["# What a wrong answer hears", "",
             "Made by `python tests/checks/test_students.py`; numbers that were returned are left out.", "",
             "| exercise | wrong answer | message |", "|---|---|---|"]
    for exercise, answers in WRONG.items():
        for does, answer, _ in answers:
            message = re.sub(r"(returned|has the gradient) .* is right\.", r"\1 ...; ... is right.",
                             heard(exercise, answer))
            lines.append(f"| {exercise} | {does} | {message} |".replace("p || q", r"p \|\| q").replace(
                "q || p", r"q \|\| p").replace("pi || ref", r"pi \|\| ref"))
    return "\n".join(lines) + "\n"


def test_every_exercise_has_right_and_wrong_answers():
    exercises = {name.removeprefix("check_") for name, check in vars(checks).items()
                 if re.search(r"\.a\d_", getattr(check, "__module__", ""))}
    assert set(RIGHT) == set(WRONG) == exercises
    assert {name for name in exercises if len(RIGHT[name]) < 5 or len(WRONG[name]) < 8} == set()


@pytest.mark.parametrize("exercise, answer", ANSWERS)
def test_a_right_answer_is_right_for_every_seed(exercise, answer):
    for seed in (0, 1, 2, "hidden"):
        check(exercise, answer, seed)


@pytest.mark.parametrize("exercise, answer, hears", MISTAKES)
def test_a_wrong_answer_hears_of_its_own_mistake(exercise, answer, hears):
    for seed in (0, 1, 2):
        assert hears in heard(exercise, answer, seed)


def test_the_table_of_mistakes_is_the_one_made_from_the_answers():
    assert TABLE.read_text() == table()


if __name__ == "__main__":
    print(table(), end="")
