"""Checks of a student's own functions about data: what leaks, what can be known."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean

import torch

from instructgpt_lite.checks.grading import hold, hold_names, tensor

PASSES = {                                     # does a split by author let it through?
    "the same author asks again": (False, "Both prompts are on the author's side."),
    "the same author asks in other words": (False, "Words do not matter: the author is "
                                                   "on one side."),
    "two authors ask the same": (True, "They may be on two sides; compare the prompts "
                                       "too (`check_leakage`)."),
    "one person has two accounts": (True, "Two accounts are two authors to it."),
    "an author rewrites what another asked": (True, "Neither the author nor the text "
                                                    "is the same."),
    "one labeler ranks on both sides": (True, "It splits who asks, not who ranks: for "
                                              "that, hold labelers out."),
}


def check_leaks(student: Callable) -> None:
    """The set of names in PASSES that a split by author does not stop."""
    hold_names(student, PASSES)


def check_ceiling(student: Callable) -> None:
    """The best accuracy against the label of a person drawn by lot, from q_IP."""
    def known(q: torch.Tensor, one: Callable, over: Callable = fmean) -> float:
        return over(one(column) for column in zip(*q.tolist()))

    def best(column: Sequence[float]) -> float:
        return max(fmean(column), 1 - fmean(column))

    people = tensor([[0.9, 0.95, 0.2], [0.8, 0.4, 0.1], [0.7, 0.4, 0.6]])
    hold(student, lambda q: known(q, best), [
        ("Who asks knows the mean over people of each pair, and no more.", (people,),
         (tensor([[0.5, 0.1]]),))], {
        "that is somebody who knows who will label; a model does not: average over "
        "people first.": lambda q: float(torch.maximum(q, 1 - q).mean()),
        "the likelier side of each pair, whichever it is.":
            lambda q: known(q, fmean),
        "average the best over pairs; the mean chance of all pairs hides them.":
            lambda q: max(float(q.mean()), 1 - float(q.mean())),
        "that is how often two people agree.":
            lambda q: known(q, lambda c: fmean(c) ** 2 + (1 - fmean(c)) ** 2),
        "that is the least error: 1 less it.": lambda q: 1 - known(q, best),
        "a majority of people is not the mean of their chances.": lambda q: known(
            q, lambda c: fmean(x if sum(y > 0.5 for y in c) * 2 > len(c) else 1 - x
                               for x in c)),
        "that is the surest person's chance.":
            lambda q: known(q, lambda c: max(max(x, 1 - x) for x in c)),
        "that is a sum; take the mean over pairs.": lambda q: known(q, best, sum),
        "over people and over pairs are two axes: I first, P second.":
            lambda q: known(q.T, best)})


def check_dedup(student: Callable) -> None:
    """Places of prompts whose first `length` signs, case aside, did not come before."""
    def kept(prompts: Sequence[str], length: int,
             key: Callable = str.casefold) -> tuple[int, ...]:
        starts = [key(prompt)[:length] for prompt in prompts]
        return tuple(n for n, start in enumerate(starts) if start not in starts[:n])

    def again(prompts: Sequence[str], n: int) -> list[int]:
        return [i for i in range(len(prompts)) if i not in kept(prompts, n)]

    asked = ["Name a town.", "name a town, please.", "Name a food.", "Name", "NAME",
             "Say hi.", "Name a town.", "Please, name a town."]
    hold(student, kept, [
        ("Go along; keep what no earlier prompt begins like.", (asked, 11),
         (asked, 100), (asked, 4))], {
        "case does not count.": lambda p, n: kept(p, n, str),
        "keep the first of those that begin alike, not the last.": lambda p, n: tuple(
            sorted(len(p) - 1 - place for place in kept(p[::-1], n))),
        "only the beginning counts, not the whole prompt.": lambda p, n: kept(p, 999),
        "the first `length` signs, not the last.":
            lambda p, n: kept(p, n, lambda x: x.casefold()[-n:]),
        "those are the ones to drop.": lambda p, n: tuple(again(p, n)),
        "a prompt shorter than `length` is kept unless an equal one came.":
            lambda p, n: tuple(i for i in kept(p, n) if len(p[i]) >= n),
        "places are counted from 0.": lambda p, n: tuple(i + 1 for i in kept(p, n)),
        "that drops all that begin alike, the first too.": lambda p, n: tuple(
            i for i, x in enumerate(p)
            if sum(x.casefold()[:n] == y.casefold()[:n] for y in p) == 1),
        "that is how many are kept; give their places.": lambda p, n: len(kept(p, n)),
        "nothing was dropped.": lambda p, n: tuple(range(len(p)))})


def check_author_leak(student: Callable) -> None:
    """The share of held-out prompts whose author is in training too; lists of names."""
    train, out = ["a", "b", "b", "c"], ["b", "d", "b", "e", "c"]
    hold(student, lambda t, o: fmean(name in t for name in o), [
        ("Of the held-out prompts, how many have their author in training?",
         (train, out), (train, ["d"]), (train, ["a", "a"]))], {
        "of held-out prompts, not of training prompts.":
            lambda t, o: fmean(name in o for name in t),
        "of prompts, not of authors: an author with two prompts counts twice.":
            lambda t, o: fmean(name in t for name in set(o)),
        "that is the share without one.": lambda t, o: fmean(x not in t for x in o),
        "that is their number; divide by how many are held out.":
            lambda t, o: sum(name in t for name in o),
        "of the held-out prompts, not of all.":
            lambda t, o: sum(name in t for name in o) / (len(t) + len(o)),
        "divide by the held-out prompts, not by those of training.":
            lambda t, o: sum(name in t for name in o) / len(t),
        "that is the share of authors who are on both sides.":
            lambda t, o: len({*t} & {*o}) / len({*t} | {*o}),
        "every author once in training is enough.":
            lambda t, o: fmean(min(1, Counter(t)[x] // 2) for x in o)})


def check_uncertain(student: Callable) -> None:
    """Places of the `count` pairs whose margin_P is nearest to 0, nearest first."""
    def order(margin: torch.Tensor, key: Callable, count: int) -> list[int]:
        return sorted(range(len(margin)), key=lambda n: key(float(margin[n])))[:count]

    margins = tensor([1.2, -0.1, 0.4, -2.0, 0.05, -0.7])
    hold(student, lambda m, count: tuple(order(m, abs, count)), [
        ("A margin of 0 is a chance of one half.", (margins, 3), (margins, 1),
         (margins, 6))], {
        "a large negative margin is as sure as a large positive one.":
            lambda m, count: tuple(order(m, lambda x: x, count)),
        "those are the surest.": lambda m, c: tuple(order(m, lambda x: -abs(x), c)),
        "their places, not their margins.":
            lambda m, count: tuple(float(m[n]) for n in order(m, abs, count)),
        "nearest first.": lambda m, count: tuple(order(m, abs, count)[::-1]),
        "in the order of their margins, not of their places.":
            lambda m, count: tuple(sorted(order(m, abs, count))),
        "`count` of them, no more.": lambda m, count: tuple(order(m, abs, len(m))),
        "places are counted from 0.":
            lambda m, count: tuple(n + 1 for n in order(m, abs, count)),
        "only pairs whose first is ahead? A margin has two signs.": lambda m, count:
            tuple(n for n in order(m, abs, len(m)) if m[n] > 0)[:count]})


def check_share(student: Callable) -> None:
    """(p, low, high): a share of n and its 95 % interval, p -+ 1.96 sqrt(p(1-p)/n)."""
    def interval(count: int, n: int, far: Callable = lambda p, n: p * (1 - p) / n,
                 times: float = 1.96) -> tuple[float, float, float]:
        p, reach = count / n, times * math.sqrt(far(count / n, n))
        return p, p - reach, p + reach

    hold(student, interval, [
        ("The share, and 1.96 standard errors to both sides.",
         (19, 1_000), (456, 1_000), (40, 100))], {
        "1.96 standard errors, not one.": lambda c, n: interval(c, n, times=1.0),
        "that is the spread of one prompt; a mean of n has sqrt(n) times less.":
            lambda c, n: interval(c, n, lambda p, n: p * (1 - p)),
        "p (1 - p), not p alone.": lambda c, n: interval(c, n, lambda p, n: p / n),
        "the root is missing.":
            lambda c, n: interval(c, n, lambda p, n: (p * (1 - p) / n) ** 2),
        "divide by n under the root, not outside of it.":
            lambda c, n: interval(c, n, lambda p, n: p * (1 - p) / n ** 2),
        "a share, not a percentage.":
            lambda c, n: tuple(100 * x for x in interval(c, n)),
        "the share first, then both ends.": lambda c, n: (
            interval(c, n)[1], interval(c, n)[0], interval(c, n)[2]),
        "both ends, one on each side.": lambda c, n: (
            interval(c, n)[0], interval(c, n)[0], interval(c, n)[2]),
        "that is its half width; give the two ends.":
            lambda c, n: (c / n, interval(c, n)[2] - c / n, interval(c, n)[2] - c / n),
        "that is the widest there is, of p = 1/2; use the share itself.":
            lambda c, n: interval(c, n, lambda p, n: 0.25 / n)})
