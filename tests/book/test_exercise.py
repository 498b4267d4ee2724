"""The verdict on an exercise."""

import traceback

import pytest

from instructgpt_lite import checks
from instructgpt_lite.book.exercise import attempt
from instructgpt_lite.checks.verdict import OPEN, confirm
from instructgpt_lite.theory.surprise import k3, relative_surprise


def blank(logp, logq):
    ...


def described(logp, logq):
    """What it should do."""
    ...


def with_a_comment(logp, logq):
    # First the ratio.
    pass


def returned(logp, logq):
    return ...


def without_return(logp, logq):
    logp.exp() * (logp - logq)


def constant(logp, logq):
    return 0.5


def never(answer):
    raise RuntimeError("the check was run")


def test_a_right_answer_is_told_so():
    assert attempt(checks.check_k3, k3).data == "**Right.** `k3` passes every case of `check_k3`."


@pytest.mark.parametrize("answer", [blank, described, with_a_comment, returned, None, ..., lambda p, q: ...])
def test_before_the_first_attempt_there_is_no_verdict_and_no_hint(answer):
    assert attempt(never, answer).data == OPEN == "Replace `...` and run the cell."


@pytest.mark.parametrize("answer, hint", [(without_return, "returned NoneType; a tensor is wanted."),
                                          (constant, "returned float; a tensor is wanted."),
                                          (lambda p, q: relative_surprise(q, p), "the arguments exchanged")])
def test_an_attempt_hears_the_sentence_of_its_check_and_is_no_error(answer, hint):
    said = attempt(checks.check_relative_surprise, answer).data
    assert said.startswith("**Not yet.** ") and hint in said


def test_an_answer_may_be_a_value():
    def check_half(answer):
        assert answer == 0.5, "Half of them."
    assert attempt(check_half, 0.5).data == "**Right.** It passes every case of `check_half`."
    assert attempt(check_half, 0.0).data.startswith("**Not yet.** Half of them.")
    assert attempt(check_half, ...).data == OPEN


def test_a_slip_of_the_reader_stays_an_error():
    with pytest.raises(ZeroDivisionError):
        attempt(checks.check_k3, lambda p, q: 1 / 0)


# Tests of assignments

def check_double(student, seed=0):
    if student(2) != 4:
        raise AssertionError("double: twice as much.")


def test_an_assignments_test_says_right_or_fails_with_the_sentence_alone():
    assert confirm(check_double, lambda x: 2 * x, 3) == "Right."
    for answer, said in ((lambda x: x, "double: twice as much."), (lambda x: ..., OPEN), (..., OPEN)):
        with pytest.raises(AssertionError, match=said) as failed:
            confirm(check_double, answer)
        assert failed.value._render_traceback_() == [f"Not yet. {said}"]


def test_an_error_of_the_students_own_is_shown_from_their_code_on():
    with pytest.raises(ZeroDivisionError) as failed:
        confirm(checks.check_mixed_step, lambda *case: 1 / 0)
    frames = [frame.name for frame in traceback.extract_tb(failed.value.__traceback__)]
    assert frames[-2:] == ["confirm", "<lambda>"] and "hold" not in frames
