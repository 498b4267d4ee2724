from types import SimpleNamespace

import pytest

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.judging.policies import Answers, gains_by_use_case, gold_gain

PROMPTS = [Prompt(f"Prompt {n}.", category) for n, category in enumerate(["chat", "chat", "extract", "extract"])]


def worth(*gold):
    return Answers(PROMPTS, [""] * len(gold), [SimpleNamespace(gold=each) for each in gold])


def test_a_gain_is_paired_by_prompt():
    """The scores spread over a whole unit, every pair differs by a tenth: the interval is that of the pairs."""
    gain = gold_gain(worth(0.1, 0.4, 0.7, 1.0), worth(0.0, 0.3, 0.6, 0.9))
    assert gain == pytest.approx((0.1, 0.1, 0.1))


def test_gains_are_told_apart_by_use_case_with_the_largest_first():
    gains = gains_by_use_case(worth(0.5, 0.5, 1.0, 0.8), worth(0.5, 0.7, 0.0, 0.2))
    assert list(gains) == ["extract", "chat"]
    assert gains["extract"].mean == pytest.approx(0.8)
    assert gains["chat"].mean == pytest.approx(-0.1)
