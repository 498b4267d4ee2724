"""Checks of the exercises of chapters 0 and 1: counting, choosing, averaging."""

import math
from collections.abc import Callable
from itertools import combinations
from statistics import mean

from instructgpt_lite.checks.grading import hold


def check_comparisons(student: Callable) -> None:
    """How many comparisons a list of ranks holds."""
    def right(ranks: list) -> int:
        return sum(a != b for a, b in combinations(ranks, 2))

    hold(student, right, [
        ("Count the pairs in which one rank is below the other.",
         ([1, 2, 3, 4],), ([1, 2, 2, 3, 4],), ([1, 1, 2],), ([3, 1, 2, 3],), ([2, 2],),
         ([5, 1, 3, 2, 4, 4],))], {
        "A tie makes no comparison: leave out pairs of equal rank.":
            lambda ranks: math.comb(len(ranks), 2),
        "Each pair counts once, and you have counted it from both sides.":
            lambda ranks: 2 * right(ranks),
        "Two answers that tie are still two: each is compared with all the others.":
            lambda ranks: math.comb(len(set(ranks)), 2),
        "All pairs count, not only neighbors in the order.":
            lambda ranks: len(set(ranks)) - 1,
        "An answer is compared neither with itself nor with one of its own rank.":
            lambda ranks: sum(a <= b for a in ranks for b in ranks),
        "Ranks come in any order: a pair counts whichever of the two comes first.":
            lambda ranks: sum(a < b for a, b in combinations(ranks, 2)),
        "That is the number of answers, not of pairs of them.": len,
        "A pair of equal rank is what does not count; you count only those.":
            lambda ranks: math.comb(len(ranks), 2) - right(ranks)})


def check_chosen(student: Callable) -> None:
    """The gold score of the answer with the highest reward."""
    def place(rewards: list) -> int:
        return rewards.index(max(rewards))

    hold(student, lambda rewards, gold: gold[place(rewards)], [
        ("The answer with the highest reward is chosen, and its gold score counts.",
         ([0.1, 2.0, -1.0], [0.5, 0.2, 1.0]), ([3.0, 1.0], [0.4, 0.9]),
         ([-2.0, -1.0, -3.0, -0.5], [0.1, 0.8, 0.6, 0.3]),
         ([-1.0, -3.0, -2.0], [0.7, 0.9, 0.2]))], {
        "The best is not always the second: find its place in the rewards.":
            lambda rewards, gold: gold[1],
        "The best is not always the first: find its place in the rewards.":
            lambda rewards, gold: gold[0],
        "The best is not always the last: find its place in the rewards.":
            lambda rewards, gold: gold[-1],
        "That is the worst gold score. Rewards choose, not gold scores.":
            lambda rewards, gold: min(gold),
        "That is the best gold score, which nobody knows. Let the rewards choose.":
            lambda rewards, gold: max(gold),
        "That is the answer with the lowest reward.":
            lambda rewards, gold: gold[rewards.index(min(rewards))],
        "That is the reward of the chosen answer; its gold score is wanted.":
            lambda rewards, gold: max(rewards),
        "That is the place of the chosen answer; its gold score is wanted.":
            lambda rewards, gold: place(rewards),
        "That is the mean of all gold scores; only that of the chosen counts.":
            lambda rewards, gold: mean(gold)})


def check_expected_comparisons(student: Callable) -> None:
    """Comparisons of n prompts when K is 4 to 9, equally often."""
    pairs = [math.comb(K, 2) for K in range(4, 10)]
    hold(student, lambda n: n * mean(pairs), [
        ("One prompt of each K makes 6 + 10 + 15 + 21 + 28 + 36 comparisons.",
         (6,), (1,), (33_207,))], {
        "That is right for six prompts only: let it grow with n.": lambda n: sum(pairs),
        "Each prompt has one K: divide by the six values that it may have.":
            lambda n: n * sum(pairs),
        "From 4 to 9 there are six values of K, not five.":
            lambda n: n * sum(pairs) / 5,
        "K = 9 is missing: range(4, 9) ends at 8.": lambda n: n * mean(pairs[:-1]),
        "The pairs of the mean K are not the mean of the pairs: average 6, 10, ... 36.":
            lambda n: n * 6.5 * 5.5 / 2,
        "The middle of 6 and 36 is not the mean of all six numbers.": lambda n: n * 21,
        "K (K - 1) counts each pair twice.": lambda n: 2 * n * mean(pairs),
        "K (K + 1) / 2 also compares each answer with itself.":
            lambda n: n * mean(math.comb(K + 1, 2) for K in range(4, 10)),
        "That is the number of answers, not of pairs of them.": lambda n: n * 6.5,
        "Ten times is the paper's round number; what does the mean over K say?":
            lambda n: 10 * n})


def check_updates_until(student: Callable) -> None:
    """Updates until the given share of a moving average is still the start."""
    def right(left: float, a: float) -> float:
        return math.log(left) / math.log(a)

    hold(student, right, [
        ("After n updates the share a ** n is left.",
         (0.25, 0.5), (0.5, 0.992), (0.01, 0.9), (0.1, 0.999))], {
        "Turned round: a ** n = left, so log(left) is on top.":
            lambda left, a: 1 / right(left, a),
        "The start keeps the share a at each update, not 1 - a.":
            lambda left, a: math.log(left) / math.log(1 - a),
        "left is what is still the start, not what has been renewed.":
            lambda left, a: math.log(1 - left) / math.log(a),
        "A count is positive: both logarithms are negative, so divide them.":
            lambda left, a: -right(left, a),
        "1 / (1 - a) is how long it takes to 1/e; here it depends on left.":
            lambda left, a: 1 / (1 - a),
        "Nearly: -log(a) is 1 - a only when a is close to 1.":
            lambda left, a: -math.log(left) / (1 - a),
        "That is the share that is left after so many updates, not their number.":
            lambda left, a: a ** left,
        "Shares shrink by a factor, not by a difference: take logarithms.":
            lambda left, a: (1 - left) / (1 - a),
        "Do not round: the exact number of updates is wanted.":
            lambda left, a: math.ceil(right(left, a) - 1e-9)})


def check_agreement_and_best(student: Callable) -> None:
    """How often labelers agree, and how often the best model agrees with one."""
    def half(clear: float) -> float:
        return (1 + clear) / 2

    cases = [(1.0,), (0.0,), (0.452,), (0.2,), (0.75,)]
    assert all(isinstance(student(*case), tuple | list) and len(student(*case)) == 2
               for case in cases), "Return two numbers: the agreement, the best model."
    hold(student, lambda clear: (half(clear), half(clear)), [
        ("Clear pairs: always. The others: half of the time.", *cases)], {
        "Two coins agree half of the time: add that to the clear pairs.":
            lambda clear: (clear, half(clear)),
        "On the hard pairs, too, the best model is right half of the time.":
            lambda clear: (half(clear), clear),
        "The hard pairs are missing in both: there, half of the answers fit.":
            lambda clear: (clear, clear),
        "Nobody predicts a coin: on the hard pairs the best model is right in half.":
            lambda clear: (half(clear), 1.0),
        "That is the upper end, where all pairs are alike; here some are clear.":
            lambda clear: (half(clear), (1 + math.sqrt(clear)) / 2),
        "On clear pairs the best model is always right; you left it at one half.":
            lambda clear: (half(clear), 0.5),
        "Two coins agree in two of four ways, so half of the time, not a quarter.":
            lambda clear: (clear + (1 - clear) / 4, half(clear)),
        "A pair is clear to both labelers at once: do not square the share.":
            lambda clear: (half(clear ** 2), half(clear)),
        "Whether they agree by chance is counted twice: clear + (1 - clear) / 2.":
            lambda clear: (clear + (1 - clear), half(clear))})
