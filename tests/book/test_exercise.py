"""The verdict on an exercise."""

import pytest

from instructgpt_lite import checks
from instructgpt_lite.book.exercise import attempt
from instructgpt_lite.theory.surprise import k3, relative_surprise


def test_a_right_answer_is_told_so():
    assert attempt(checks.check_k3, k3).data == "**Right.** `k3` passes every case of `check_k3`."


def test_an_open_exercise_gets_the_sentence_of_its_check_and_no_error():
    def mine(logp, logq):
        ...
    said = attempt(checks.check_relative_surprise, mine).data
    assert said.startswith("**Not yet.** mine returned NoneType; a tensor is wanted.")
    turned_round = attempt(checks.check_relative_surprise, lambda p, q: relative_surprise(q, p)).data
    assert "the first argument" in turned_round


def test_a_slip_of_the_reader_stays_an_error():
    with pytest.raises(ZeroDivisionError):
        attempt(checks.check_k3, lambda p, q: 1 / 0)
