"""Checks of a student's own functions about labelers: a day's work, how two agree."""

from collections.abc import Callable
from statistics import fmean

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, tensor


def check_labeling_day(student: Callable) -> None:
    """Independent comparisons a day from K, the cost of a prompt, and the day."""
    def day(K: float, prompt: float, units: float) -> float:
        return units / (prompt + K) * 3 * K * (K - 1) / 2 / (K + 1)

    hold(student, day, [
        ("Rankings a day times the worth of one.",
         (9, 1.0, 90.0), (4, 6.0, 100.0), (2, 0.5, 60.0), (3, 2.0, 7.0))], {
        "The pairs of a ranking repeat each other: each is worth 3 / (K + 1).":
            lambda K, prompt, units: units / (prompt + K) * K * (K - 1) / 2,
        "The prompt must be read, too.": lambda K, prompt, units: day(K, 0, units),
        "Answers must be read, too: K units a prompt.":
            lambda K, prompt, units: day(K, prompt, units) * (prompt + K) / prompt,
        "The prompt is read once, not with every answer.":
            lambda K, prompt, units: day(K, prompt * K, units),
        "Each pair need not be read afresh: K answers are read once.":
            lambda K, prompt, units: day(K, 0, units) * K / (prompt + K * (K - 1)),
        "That is one ranking: how many fit into a day?":
            lambda K, prompt, units: 3 * K * (K - 1) / 2 / (K + 1),
        "That is the worth of one pair: a ranking has K (K - 1) / 2.":
            lambda K, prompt, units: units / (prompt + K) * 3 / (K + 1),
        "That is how many rankings: each is worth 3 K (K - 1) / 2 / (K + 1).":
            lambda K, prompt, units: units / (prompt + K),
        "K (K - 1) counts every pair twice.":
            lambda K, prompt, units: 2 * day(K, prompt, units),
        "That is the best method's worth: here pairs are counted as in eq. (1).":
            lambda K, prompt, units: units / (prompt + K) *
            2 * (K - sum(1 / k for k in range(1, K + 1))),
        "A day need not be a whole number of rankings: use /, not //.":
            lambda K, prompt, units: units // (prompt + K) * day(K, 0, K)})


def check_two_labelers(student: Callable) -> None:
    """(agreement of two labelers, accuracy of one who knows) from margin_P."""
    def both(first: Callable, second: Callable) -> Callable:
        return lambda margin: tuple(
            fmean(of(oracles.sigmoid(x)) for x in margin) for of in (first, second))

    def alike(q: float) -> float:
        return q ** 2 + (1 - q) ** 2

    def best(q: float) -> float:
        return max(q, 1 - q)

    hold(student, both(alike, best), [
        ("Exactly, from the chances: nothing is drawn.",
         (tensor([0.0]),), (tensor([2.0, -0.5, -3.0, 1.0]),))], {
        "These are the two the wrong way round: agreement first.": both(best, alike),
        "They may also agree on the second: add (1 - q) ** 2.":
            both(lambda q: q * q, best),
        "That is how often they disagree.": both(lambda q: 1 - alike(q), best),
        "The second labeler errs as well: q is one labeler alone.":
            both(lambda q: q, best),
        "That is how often the first is chosen: the model takes the likelier one.":
            both(alike, lambda q: q),
        "A model that knows the margins does not know the choice: it errs, too.":
            both(alike, lambda q: 1.0),
        "That model is as noisy as a labeler: let it take the likelier one.":
            both(alike, alike),
        "That is the accuracy of both: two labelers err more often than one.":
            both(best, best),
        "Pairs differ: average at the end, not the chances first.":
            lambda margin: tuple(of(fmean(map(oracles.sigmoid, margin)))
                                 for of in (alike, best))})
