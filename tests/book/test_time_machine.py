"""The slider over the checkpoints of a run: what it says, and what it refuses."""

import pytest

from instructgpt_lite.book.widgets import TimeMachine

STEPS = [0, 4, 8]
MEASURES = [["score", [1.0, 1.5, 2.25], 2], ["gold", [0.5, 0.75, 0.25], 2], ["KL", [0.0, 1.0, 20.0], 1]]
ANSWERS = [["Say hi.", ["Hi.", "Hello.", ""], [1.0, 0.5, 0.0]]]


@pytest.mark.parametrize("place, want", [
    (0, "Iteration 0: score 1.00, gold 0.50, KL 0.0."),
    (1, "Iteration 4: score 1.50 (+0.50), gold 0.75 (+0.25), KL 1.0 (+1.0)."),
    (2, "Iteration 8: score 2.25 (+1.25), gold 0.25 (\u22120.25), KL 20.0 (+20.0).")])
def test_each_place_says_its_measures_and_how_far_they_have_moved(javascript, place, want):
    assert javascript("machine.js", f"m.told(given[0], given[1], {place})", [STEPS, MEASURES]) == want


def test_the_peak_is_the_first_of_the_highest(javascript):
    assert javascript("machine.js", "given.map(m.peak)", [[0.5, 0.75, 0.25], [1, 1, 0], [0, 0, 2]]) == [1, 0, 2]


def test_it_holds_what_it_was_given_and_starts_at_the_start():
    machine = TimeMachine(steps=STEPS, measures=MEASURES, answers=ANSWERS)
    assert (machine.place, machine.steps, machine.answers[0][1][2]) == (0, STEPS, "")


@pytest.mark.parametrize("change, name", [
    ({"steps": [0, 4]}, "score"), ({"answers": [["Say hi.", ["Hi."], [1.0]]]}, "Say hi."),
    ({"measures": [["KL", [0.0], 1]]}, "KL")])
def test_a_list_that_is_too_short_is_named(change, name):
    with pytest.raises(ValueError, match=f"'{name}' has .* steps: give one for each"):
        TimeMachine(**{"steps": STEPS, "measures": MEASURES, "answers": ANSWERS} | change)
