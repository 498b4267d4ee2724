"""Checks of a student's own functions about the best of n: its KL, worth and cost."""

import math
from collections.abc import Callable
from itertools import combinations, product
from statistics import fmean

import torch

from instructgpt_lite.checks.grading import hold, hold_names, tensor

FACTS = {                                        # true of the best of n?, and why
    "score rises": (True, "More answers to choose from: the best score of n + 1 is "
                          "never below that of the first n."),
    "gold rises": (False, "Gold rises while the reward model is right about which "
                          "answer is better, and no longer."),
    "KL grows like n": (False, "KL grows like log n: doubling n adds at most log 2."),
    "KL below log n": (True, "log n - (n - 1)/n, and what is taken away is never "
                             "negative."),
    "needs gradients": (False, "Nothing is trained: the policy only speaks n times."),
    "ties lower KL": (True, "Where scores tie, choosing chooses less, and the formula "
                            "is only a bound."),
}


def check_best_of_n_facts(student: Callable) -> None:
    """The set of names in FACTS that are true."""
    hold_names(student, FACTS)


def by_listing(p: torch.Tensor, r: torch.Tensor, n: int) -> list[float]:
    """P(y is kept of n), ties by lot: over all n-tuples."""
    kept = [0.0] * len(p)
    for drawn in product(range(len(p)), repeat=n):
        top = max(float(r[y]) for y in drawn)
        best = [y for y in drawn if float(r[y]) == top]
        for y in best:
            kept[y] += math.prod(float(p[i]) for i in drawn) / len(best)
    return kept


def divergence(one: list[float], other: list[float]) -> float:
    """KL of one list of chances from another, in nats."""
    return sum(a * math.log(a / b) for a, b in zip(one, other) if a > 0)


def check_kl_of_best(student: Callable) -> None:
    """KL in nats of the best of n from p_V, by rewards r_V; ties by lot."""
    def kl(p: torch.Tensor, r: torch.Tensor, n: int) -> float:
        return divergence(by_listing(p, r, n), p.tolist())

    def split(p: torch.Tensor, r: torch.Tensor, n: int) -> float:
        """Ties not by lot: the later of two wins."""
        return kl(p, r + 1e-6 * torch.arange(len(r)), n)

    def powers(p: torch.Tensor, r: torch.Tensor, n: int) -> float:
        q = [float(p[r <= r[y]].sum()) ** n for y in range(len(p))]
        return divergence([x / sum(q) for x in q], p.tolist())

    three = tensor([0.5, 0.3, 0.2]), tensor([0.0, 1.0, 2.0])
    tied = tensor([0.5, 0.3, 0.2]), tensor([0.0, 1.0, 1.0])
    hold(student, kl, [
        ("List what is kept: P(r <= r_y)^n - P(r < r_y)^n, against p.",
         (*three, 1), (*three, 2), (*three, 4)),
        ("Answers of one reward share what is kept in the ratio of their p.",
         (*tied, 2), (*tied, 3))], {
        "that is the formula for many answers that never tie; here they are few: use "
        "their chances.":
            lambda p, r, n: math.log(n) - (n - 1) / n,
        "that is KL of the policy from the best of n; the best of n comes first.":
            lambda p, r, n: divergence(p.tolist(), by_listing(p, r, n)),
        "in nats, not bits.": lambda p, r, n: kl(p, r, n) / math.log(2),
        "answers that tie share what is kept; yours gives it to the last of them.":
            split,
        "P(r <= r_y)^n alone counts the worse answers too: take P(r < r_y)^n away.":
            powers,
        "log n alone is the bound on any choice among n; the best of n moves less.":
            lambda p, r, n: math.log(n),
        "that is n times the KL of the best of 2.":
            lambda p, r, n: n * kl(p, r, 2) / 2 if n > 1 else 0.0,
        "KL is not the gain in reward.": lambda p, r, n: sum(
            (q - float(x)) * float(y) for q, x, y in zip(by_listing(p, r, n), p, r))})


def check_n_for(student: Callable) -> None:
    """The largest n with log n - (n - 1)/n <= budget."""
    def n_for(budget: float, kl: Callable = lambda n: math.log(n) - (n - 1) / n) -> int:
        n = 1
        while kl(n + 1) <= budget:
            n += 1
        return n

    hold(student, n_for, [("Count up while the KL stays within the budget.",
                           (0.0,), (0.1,), (0.5,), (1.0,), (2.5,), (4.0,))], {
        "log n alone forgets - (n - 1)/n.": lambda b: n_for(b, math.log),
        "exp(budget) forgets - (n - 1)/n, and n is whole.": math.exp,
        "(n - 1)/n is taken away, not added.":
            lambda b: n_for(b, lambda n: math.log(n) + (n - 1) / n),
        "that is the first n beyond the budget.": lambda b: n_for(b) + 1,
        "one less than allowed: an n that just fits counts.":
            lambda b: max(1, n_for(b) - 1),
        "exp(budget + 1) is near for large n; n is the largest whole number that fits.":
            lambda b: math.exp(b + 1),
        "rounded down from exp(budget + 1): near for large n, wrong for small.":
            lambda b: int(math.exp(b + 1)),
        "in nats: the natural logarithm.":
            lambda b: n_for(b, lambda n: math.log2(n) - (n - 1) / n),
        "(n - 1)/n, not 1/n.": lambda b: n_for(b, lambda n: math.log(n) - 1 / n)})


def check_best_of(student: Callable) -> None:
    """What the best of n by score_N is worth (value_N), over all draws of n from N."""
    def pairs(score: torch.Tensor, value: torch.Tensor) -> list[tuple[float, float]]:
        return sorted(zip(score.tolist(), value.tolist()))

    def mean_best(score: torch.Tensor, value: torch.Tensor, n: int,
                  draws: Callable = combinations, best: Callable = max) -> float:
        return fmean(best(drawn)[1] for drawn in draws(pairs(score, value), n))

    def again(items: list, n: int) -> product:
        return product(items, repeat=n)

    five = tensor([0.3, -1.0, 2.0, 0.5, 0.1]), tensor([1.0, 2.0, -3.0, 5.0, 0.5])
    hold(student, mean_best, [("The mean over all ways to draw n of the N answers.",
                               (*five, 1), (*five, 2), (*five, 3), (*five, 5))], {
        "that is the first n only: all draws of n of the N count.":
            lambda s, v, n: max(list(zip(s.tolist(), v.tolist()))[:n])[1],
        "draw without replacement: C(N, n) draws, not N^n.":
            lambda s, v, n: mean_best(s, v, n, again),
        "the best by score is kept, whatever it is worth; yours keeps the worthiest.":
            lambda s, v, n: fmean(max(x[1] for x in d)
                                  for d in combinations(pairs(s, v), n)),
        "that is its score; give what it is worth.": lambda s, v, n: fmean(
            max(d)[0] for d in combinations(pairs(s, v), n)),
        "the highest score is kept, not the lowest.":
            lambda s, v, n: mean_best(s, v, n, best=min),
        "that is the best of all N.": lambda s, v, n: max(pairs(s, v))[1],
        "that is the mean of the n best.":
            lambda s, v, n: fmean(x[1] for x in pairs(s, v)[-n:]),
        "that is the mean of all N, the best of 1.":
            lambda s, v, n: fmean(v.tolist()),
        "that is a sum over draws; take their mean.": lambda s, v, n:
            mean_best(s, v, n) * math.comb(len(s), n)})


def check_top_chance(student: Callable) -> None:
    """The chance that the best of n is among the best `share` of all answers."""
    hold(student, lambda n, share: 1 - (1 - share) ** n, [
        ("It is not only if all n miss.", (1, 0.1), (4, 0.1), (64, 0.01), (20, 0.1))], {
        "that is the chance that all n are; one is enough.": lambda n, s: s ** n,
        "chances of overlapping events do not add up.": lambda n, s: n * s,
        "cut at 1, the sum is still not the chance.": lambda n, s: min(1.0, n * s),
        "that is the chance that none is.": lambda n, s: (1 - s) ** n,
        "n - 1 misses are not enough.": lambda n, s: 1 - (1 - s) ** (n - 1),
        "that is the chance of exactly one.":
            lambda n, s: n * s * (1 - s) ** (n - 1),
        "the share is of the best: 1 - share miss it.": lambda n, s: 1 - s ** n,
        "that is where the best stands on average, n/(n + 1).":
            lambda n, s: n / (n + 1)})


def check_break_even(student: Callable) -> None:
    """Answers after which a training of `train` seconds costs less than best of n."""
    def even(train: float, draw: float, score: float, n: int) -> float:
        return train / (n * (draw + score) - draw)

    hold(student, even, [
        ("Each answer of the trained policy is one draw; of the best of n, n draws and "
         "n scores.", (60.0, 0.01, 0.002, 16), (60.0, 0.01, 0.0, 2))], {
        "the trained policy draws once as well: take it away.":
            lambda t, d, s, n: t / (n * (d + s)),
        "every one of the n answers is scored.": lambda t, d, s, n: t / (n * d + s - d),
        "all n are scored, not only the one that is kept.":
            lambda t, d, s, n: t / (n * d - d + s),
        "the trained policy needs no score when it answers.":
            lambda t, d, s, n: t / ((n - 1) * (d + s)),
        "the other way round: training over what an answer saves.":
            lambda t, d, s, n: (n * (d + s) - d) / t,
        "that is what so many answers cost; divide.":
            lambda t, d, s, n: t * (n * (d + s) - d),
        "what an answer saves grows with n, not with log n.":
            lambda t, d, s, n: t / (math.log(n) * (d + s)),
        "the cost of one answer: divide the training by what each saves.":
            lambda t, d, s, n: n * (d + s) - d})
