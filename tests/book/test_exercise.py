"""The verdict on an exercise."""

import pytest

from instructgpt_lite import checks
from instructgpt_lite.book.exercise import attempt
from instructgpt_lite.checks.verdict import OPEN
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
