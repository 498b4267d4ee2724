"""The exercises of the assignments: each usual mistake hears its own sentence, whatever numbers are drawn."""

from unittest import mock

import pytest

from instructgpt_lite import checks
from instructgpt_lite.checks import grading

MODULES = ("a1_preferences", "a2_surprise", "a3_sft", "a4_reward_model", "a5_ppo", "a6_ptx")
CHECKS = {name: check for name, check in vars(checks).items()
          if name.startswith("check_") and check.__module__.rpartition(".")[2] in MODULES}


def held(check, seed):
    """What a check hands to `hold`: (oracle, mistakes) of each call."""
    calls = []

    def record(student, oracle, cases, mistakes=None, **options):
        calls.append((oracle, mistakes or {}))

    with mock.patch(f"{check.__module__}.hold", record):
        check(None, seed)
    return calls


def forms(mistake):
    """Each form of a mistake."""
    return mistake if isinstance(mistake, tuple) else (mistake,)


USUAL = [(name, sentence, n) for name, check in CHECKS.items()
         for sentence, mistake in held(check, 0)[0][1].items() for n in range(len(forms(mistake)))]


def test_every_assignment_has_four_exercises_and_each_at_least_ten_usual_mistakes():
    for module in MODULES:
        assert sum(check.__module__.endswith(module) for check in CHECKS.values()) == 4
    assert {name: len(held(check, 0)[0][1]) for name, check in CHECKS.items() if len(held(check, 0)[0][1]) < 10} == {}


@pytest.mark.parametrize("seed", [0, 1, 2, "hidden"])
@pytest.mark.parametrize("name, sentence, n", USUAL)
def test_a_usual_mistake_is_told_its_own_sentence(name, sentence, n, seed):
    mistake = forms(held(CHECKS[name], seed)[0][1][sentence])[n]
    with pytest.raises(AssertionError) as said:
        CHECKS[name](mistake, seed)
    assert sentence in str(said.value)


@pytest.mark.parametrize("name", CHECKS)
def test_cases_are_the_same_for_a_seed_and_others_for_another(name):
    def cases(seed):
        found = []
        with mock.patch(f"{CHECKS[name].__module__}.hold", lambda s, o, cases, *_, **__: found.append(cases)):
            CHECKS[name](None, seed)
        return str(found)

    assert cases(3) == cases(3) != cases(4)


def test_three_digits_are_enough_where_three_are_asked_for():
    grading.hold(lambda x: x + 4e-4, lambda x: x, [("", (1.0,))], digits=3)
    with pytest.raises(AssertionError, match="is right"):
        grading.hold(lambda x: x + 4e-3, lambda x: x, [("", (1.0,))], digits=3)


def test_none_is_an_answer_where_it_is_the_right_one():
    grading.hold(lambda x: None, lambda x: None, [("", (1,))])
    with pytest.raises(AssertionError, match="returned 3; None is right"):
        grading.hold(lambda x: 3, lambda x: None, [("", (1,))])
