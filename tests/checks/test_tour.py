"""The exercises of chapters 0 and 1: what is right passes, and every wrong answer hears about its own mistake."""

import math
from itertools import combinations
from statistics import mean

import pytest

from instructgpt_lite import checks

COUNTS = [math.comb(K, 2) for K in range(4, 10)]


def best(rewards):
    return max(range(len(rewards)), key=rewards.__getitem__)


def updates(left, a):
    return math.log(left) / math.log(a)


WRONG = {
    checks.check_comparisons: (lambda r: sum(a < b for a in r for b in r), [
        (lambda r: len(r) * (len(r) - 1) // 2, "A tie makes no comparison"),
        (lambda r: sum(a != b for a in r for b in r), "counted it from both sides"),
        (lambda r: math.comb(len(set(r)), 2), "are still two"),
        (lambda r: sum(a != b for a, b in zip(sorted(r), sorted(r)[1:])), "not only neighbors"),
        (lambda r: sum(a <= b for a in r for b in r), "neither with itself"),
        (lambda r: sum(a < b for a, b in combinations(r, 2)), "whichever of the two comes first"),
        (len, "the number of answers"),
        (lambda r: sum(a == b for a, b in combinations(r, 2)), "you count only those"),
        (lambda r: 6, "returned 6 for [1, 2, 2, 3, 4]; 9 is right"),
        (lambda r: None, "returned None; ")]),
    checks.check_chosen: (lambda r, g: g[best(r)], [
        (lambda r, g: g[1], "not always the second"),
        (lambda r, g: g[0], "not always the first"),
        (lambda r, g: g[-1], "not always the last"),
        (lambda r, g: min(g), "worst gold score"),
        (lambda r, g: max(g), "which nobody knows"),
        (lambda r, g: g[min(range(len(r)), key=r.__getitem__)], "lowest reward"),
        (lambda r, g: max(r), "the reward of the chosen"),
        (lambda r, g: best(r), "the place of the chosen"),
        (lambda r, g: sum(g) / len(g), "the mean of all"),
        (lambda r, g: 0.2, "returned 0.2 for [3.0, 1.0], [0.4, 0.9]; 0.4 is right")]),
    checks.check_expected_comparisons: (lambda n: n * sum(COUNTS) / 6, [
        (lambda n: 116, "let it grow with n"),
        (lambda n: 116 * n, "divide by the six values"),
        (lambda n: 116 * n / 5, "not five"),
        (lambda n: n * mean(COUNTS[:5]), "range(4, 9) ends at 8"),
        (lambda n: n * 17.875, "are not the mean of the pairs"),
        (lambda n: 21 * n, "The middle of 6 and 36"),
        (lambda n: n * mean(K * (K - 1) for K in range(4, 10)), "counts each pair twice"),
        (lambda n: n * mean(K * (K + 1) / 2 for K in range(4, 10)), "with itself"),
        (lambda n: 6.5 * n, "the number of answers"),
        (lambda n: 10 * n, "the paper's round number"),
        (lambda n: None, "returned None; ")]),
    checks.check_updates_until: (updates, [
        (lambda left, a: math.log(a) / math.log(left), "Turned round"),
        (lambda left, a: math.log(left, 1 - a), "not 1 - a"),
        (lambda left, a: math.log(1 - left, a), "not what has been renewed"),
        (lambda left, a: -updates(left, a), "A count is positive"),
        (lambda left, a: 1 / (1 - a), "depends on left"),
        (lambda left, a: -math.log(left) / (1 - a), "Nearly"),
        (lambda left, a: a ** left, "not their number"),
        (lambda left, a: (1 - left) / (1 - a), "by a factor"),
        (lambda left, a: math.ceil(updates(left, a)), "Do not round"),
        (lambda left, a: 2, "returned 2 for 0.5, 0.992; 86.29")]),
    checks.check_agreement_and_best: (lambda c: (c + (1 - c) / 2, c + (1 - c) / 2), [
        (lambda c: c, "Return two numbers"),
        (lambda c: None, "Return two numbers"),
        (lambda c: (c, (1 + c) / 2), "add that to the clear pairs"),
        (lambda c: ((1 + c) / 2, c), "right half of the time"),
        (lambda c: (c, c), "missing in both"),
        (lambda c: ((1 + c) / 2, 1), "Nobody predicts a coin"),
        (lambda c: ((1 + c) / 2, (1 + c ** 0.5) / 2), "the upper end"),
        (lambda c: ((1 + c) / 2, 0.5), "you left it at one half"),
        (lambda c: (c + (1 - c) / 4, (1 + c) / 2), "not a quarter"),
        (lambda c: ((1 + c * c) / 2, (1 + c) / 2), "do not square"),
        (lambda c: (1, (1 + c) / 2), "counted twice"),
        (lambda c: ((1 + c) / 2, 0.726), "returned (1.0, 0.726) for 1.0; (1.0, 1.0) is right")]),
}


@pytest.mark.parametrize("check", WRONG, ids=lambda check: check.__name__)
def test_what_is_right_passes(check):
    check(WRONG[check][0])


@pytest.mark.parametrize("check, wrong, sentence", [(check, *each) for check, (_, wrong) in WRONG.items()
                                                    for each in wrong])
def test_every_wrong_answer_hears_about_its_own_mistake(check, wrong, sentence):
    with pytest.raises(AssertionError) as said:
        check(wrong)
    assert sentence in str(said.value)


def test_every_exercise_has_eight_wrong_answers_with_a_sentence_each():
    for _, wrong in WRONG.values():
        assert len({sentence for _, sentence in wrong if "returned " not in sentence}) >= 8
