"""Checks of a student's own functions about over-optimization: peaks, doubt, signs."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import fmean, median

import torch

from instructgpt_lite.checks.grading import hold, hold_names, tensor

RISES = {                                      # along a run at beta 0?, and why
    "score": (True, "It is what PPO is paid for."),
    "gold": (False, "It rises while the reward model is right about what changes, then "
                    "falls far below where it began."),
    "KL": (True, "Nothing holds the policy, so it walks on."),
    "disagreement": (True, "Members of an ensemble agree where they were trained; the "
                           "policy leaves that place."),
    "score and gold agree": (False, "Late in the run the score says nothing about gold "
                                    "any more: their correlation goes to 0 or below."),
    "scores that were rare": (True, "Late answers score higher than nearly all that "
                                    "the start says; few such were ever ranked."),
}


def check_signs(student: Callable) -> None:
    """The set of names in RISES that grow from the first to the last iteration."""
    hold_names(student, RISES)


def check_peak_of_best_of_n(student: Callable) -> None:
    """(d, R) where R(d) = d (alpha - beta d) is highest."""
    hold(student, lambda a, b: (a / (2 * b), a * a / (4 * b)), [
        ("Set the slope alpha - 2 beta d to 0.", (0.5, 0.1), (0.2, 0.15))], {
        "that is where R is 0 again; the peak is halfway.": lambda a, b: (a / b, 0.0),
        "the d is right; R there is alpha^2 / (4 beta).":
            lambda a, b: (a / (2 * b), a * a / (2 * b)),
        "first d, then R.": lambda a, b: (a * a / (4 * b), a / (2 * b)),
        "the slope of beta d^2 is 2 beta d.": lambda a, b: (a / b, a * a / b),
        "that is the peak of the other form, d (alpha - beta log d).":
            lambda a, b: (math.exp(a / b - 1), b * math.exp(a / b - 1)),
        "d is the root of KL; that is KL at the peak.":
            lambda a, b: ((a / (2 * b)) ** 2, a * a / (4 * b)),
        "alpha over beta, not beta over alpha.":
            lambda a, b: (b / (2 * a), b * b / (4 * a)),
        "R at the peak is d times (alpha - beta d), not alpha - beta d.":
            lambda a, b: (a / (2 * b), a / 2)})


def check_peak_of_rl(student: Callable) -> None:
    """(d, R) where R(d) = d (alpha - beta log d) is highest."""
    def at(a: float, b: float, d: float) -> tuple[float, float]:
        return d, d * (a - b * math.log(d))

    hold(student, lambda a, b: at(a, b, math.exp(a / b - 1)), [
        ("The slope is alpha - beta log d - beta.", (0.5, 0.2), (0.2, 0.15))], {
        "that is where R is 0 again.": lambda a, b: at(a, b, math.exp(a / b)),
        "the slope of d log d is log d + 1: the 1 is missing.":
            lambda a, b: (math.exp(a / b), b * math.exp(a / b)),
        "the slope of d log d is log d + 1, with a plus.":
            lambda a, b: at(a, b, math.exp(a / b + 1)),
        "that is the peak of the other form, d (alpha - beta d).":
            lambda a, b: (a / (2 * b), a * a / (4 * b)),
        "that is log d; take exp of it.":
            lambda a, b: (a / b - 1, b * math.exp(a / b - 1)),
        "first d, then R.": lambda a, b: at(a, b, math.exp(a / b - 1))[::-1],
        "the d is right; R there is beta d.":
            lambda a, b: (math.exp(a / b - 1), a * math.exp(a / b - 1)),
        "d is the root of KL; that is KL at the peak.":
            lambda a, b: (math.exp(a / b - 1) ** 2, b * math.exp(a / b - 1)),
        "the natural logarithm.": lambda a, b: at(a, b, 10 ** (a / b - 1))})


def check_pessimist(student: Callable) -> None:
    """Mean over members less `weight` standard deviations (over M), r_MB to r_B."""
    def mean_less(r: torch.Tensor, by: Callable) -> list[float]:
        return [by(column) for column in zip(*r.tolist())]

    def deviation(column: Sequence[float], less: int = 0) -> float:
        middle = fmean(column)
        return math.sqrt(sum((x - middle) ** 2 for x in column) / (len(column) - less))

    def pessimist(r: torch.Tensor, weight: float) -> list[float]:
        return mean_less(r, lambda c: fmean(c) - weight * deviation(c))

    three = tensor([[1.0, 2.0, -1.0, 4.0], [3.0, 2.0, 0.0, -4.0], [5.0, 2.0, 4.0, 3.0]])
    hold(student, pessimist, [
        ("Where members disagree, the score is less.", (three, 1.0), (three, 0.5))], {
        "over members, not over responses.":
            lambda r, w: r.mean(dim=1) - w * r.std(dim=1, unbiased=False),
        "doubt is taken away, not added.":
            lambda r, w: mean_less(r, lambda c: fmean(c) + w * deviation(c)),
        "the deviation, not the variance.":
            lambda r, w: mean_less(r, lambda c: fmean(c) - w * deviation(c) ** 2),
        "divide by M, not by M - 1.":
            lambda r, w: mean_less(r, lambda c: fmean(c) - w * deviation(c, 1)),
        "that is the mean: nothing is taken away for doubt.":
            lambda r, w: mean_less(r, fmean),
        "that is the worst member.": lambda r, w: mean_less(r, min),
        "the weight is missing.":
            lambda r, w: mean_less(r, lambda c: fmean(c) - deviation(c)),
        "the mean, not the median.":
            lambda r, w: mean_less(r, lambda c: median(c) - w * deviation(c)),
        "that is the doubt alone.":
            lambda r, w: mean_less(r, lambda c: w * deviation(c))})


def check_stop(student: Callable) -> None:
    """The last checkpoint before KL first exceeds the budget, by its place in kl_N."""
    def stop(kl: Sequence[float], budget: float) -> int:
        return next((n for n, x in enumerate(kl) if x > budget), len(kl)) - 1

    rising, dips = [0.0, 0.4, 1.1, 2.5, 6.0], [0.0, 0.9, 2.2, 1.8, 3.0]
    hold(student, stop, [
        ("Go along until one is above the budget; the one before it.",
         (rising, 2.0), (rising, 9.0), (rising, 0.4), (dips, 2.0))], {
        "that is the first beyond the budget.":
            lambda kl, b: min(stop(kl, b) + 1, len(kl) - 1),
        "a run that comes back below the budget was beyond it all the same: stop at "
        "the first.": lambda kl, b: max(n for n, x in enumerate(kl) if x <= b),
        "a KL equal to the budget is within it.":
            lambda kl, b: next((n for n, x in enumerate(kl) if x >= b), len(kl)) - 1,
        "its place, not its KL.": lambda kl, b: kl[stop(kl, b)],
        "the nearest to the budget may be beyond it.":
            lambda kl, b: min(range(len(kl)), key=lambda n: abs(kl[n] - b)),
        "places are counted from 0.": lambda kl, b: stop(kl, b) + 1,
        "that is the last of all.": lambda kl, b: len(kl) - 1,
        "the budget bounds KL, not its steps.": lambda kl, b: max(
            n for n in range(len(kl)) if not n or kl[n] - kl[n - 1] <= b),
        "no checkpoint is beyond it: then the last.":
            lambda kl, b: -1 if max(kl) <= b else stop(kl, b)})


def check_alike(student: Callable) -> None:
    """The share of pairs of answers to one prompt that are equal, over prompts."""
    def equal(answers: Sequence[str]) -> float:
        return fmean(a == b for a, b in combinations(answers, 2))

    one = [["a", "a", "b"], ["c", "d", "e"], ["f", "f", "f"]]
    two = [["x", "y", "y", "y"], ["y", "x", "z", "z"]]
    hold(student, lambda texts: fmean(map(equal, texts)), [
        ("Of all pairs of answers to one prompt, how many are equal?",
         (one,), (two,))], {
        "an answer is no pair with itself.": lambda texts: fmean(
            fmean(a == b for a in each for b in each) for each in texts),
        "that is the share of distinct answers.": lambda texts: fmean(
            len(set(each)) / len(each) for each in texts),
        "one less the share of distinct answers does not count pairs.":
            lambda texts: fmean(1 - len(set(each)) / len(each) for each in texts),
        "that is the share of pairs that differ.":
            lambda texts: 1 - fmean(map(equal, texts)),
        "answers to one prompt only: equal answers to two prompts are no sign.":
            lambda texts: equal(sum(texts, [])),
        "all pairs, not only neighbours.": lambda texts: fmean(
            fmean(a == b for a, b in zip(each, each[1:])) for each in texts),
        "all pairs, not only those with the first.": lambda texts: fmean(
            fmean(a == each[0] for a in each[1:]) for each in texts),
        "that is a sum over prompts; take the mean.":
            lambda texts: sum(map(equal, texts)),
        "that is the share of prompts with all answers equal.": lambda texts: fmean(
            len(set(each)) == 1 for each in texts)})
