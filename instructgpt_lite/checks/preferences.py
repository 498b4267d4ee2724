"""Checks of a student's own functions about choices between two, and what they cost."""

import math
from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, tensor

FAR_APART = ("Far apart, exp overflows: use sigmoid.",
             (tensor([800.0, -800.0]), tensor([-800.0, 800.0])))


def check_preference_probability(student: Callable) -> None:
    """P(first > second) from two rewards of equal shape."""
    hold(student, _chance, [
        ("Equal rewards: nobody knows.", (tensor([2.0]), tensor([2.0]))),
        ("Only the difference counts: 3:1 odds at log 3.",
         (tensor([math.log(3), 5.0]), tensor([0.0, 7.0])))], {
        "That is the chance of the second: first less second.":
            lambda first, second: torch.sigmoid(second - first),
        "That is the difference: the logistic function makes a chance of it.":
            lambda first, second: first - second,
        "Rewards are logarithms of tickets: p = exp(s).":
            lambda first, second: first / (first + second),
        "That is its logarithm: leave log out.":
            lambda first, second: (first - second).sigmoid().log(),
        "That is the odds: p / (1 - p) is not yet p.":
            lambda first, second: (first - second).exp(),
        "That is who is ahead: a choice is a matter of chance.":
            lambda first, second: (first > second).double(),
        "That is Thurstone's normal noise: Bradley-Terry's is logistic.":
            lambda first, second: torch.special.ndtr(first - second),
        "That runs from -1 to 1: tanh is not the logistic function.":
            lambda first, second: torch.tanh(first - second),
        "Each by itself has no chance: one sigmoid of the difference.":
            lambda first, second: first.sigmoid() - second.sigmoid()})
    hold(student, _chance, [FAR_APART])


def _chance(first: Tensor, second: Tensor) -> list[float]:
    return [*map(oracles.sigmoid, first - second)]


def check_reward_loss(student: Callable) -> None:
    """Eq. (1) from r_BK and rank_BK."""
    ranks, right = torch.tensor, oracles.reward_loss
    hold(student, right, [
        ("One pair: -log sigmoid(r_w - r_l), and rank 1 is the best.",
         (tensor([[1.0, 0.0]]), ranks([[1, 2]])))], {
        "That is negative: a surprise is minus the logarithm.":
            lambda *case: -right(*case),
        "That is the chance of the wrong order: a surprise has a logarithm.":
            lambda *case: 1 - math.exp(-right(*case)),
        "That is the chance of the right order: take minus its logarithm.":
            lambda *case: math.exp(-right(*case)),
        "That is the margin: the loss is -log sigmoid of it.":
            lambda r, rank: r[0, 0] - r[0, 1]}, gradient_in=0)
    hold(student, right, [
        ("The better response may be the second.",
         (tensor([[1.0, 0.0]]), ranks([[2, 1]]))),
        ("K = 4 makes six pairs; take their mean.",
         (tensor([[2.0, 1.0, 0.0, -1.0]]), ranks([[1, 2, 3, 4]]))),
        ("A tie makes no pair and does not count in the mean.",
         (tensor([[2.0, 1.0, 0.5]]), ranks([[1, 1, 2]]))),
        ("Average inside each prompt first, then over prompts.",
         (tensor([[2.0, 1.0, 0.5], [0.0, 3.0, 1.0]]), ranks([[1, 1, 2], [1, 2, 3]]))),
        ("Far apart, log(sigmoid) is -inf: use logsigmoid.",
         (tensor([[-1000.0, 1000.0]]), ranks([[1, 2]])))], gradient_in=0)


def check_push(student: Callable) -> None:
    """d loss / d r_w of single pairs, from the rewards of winners and losers."""
    def push(w: Tensor, l: Tensor) -> list[float]:
        return [-p for p in _chance(l, w)]

    hold(student, push, [
        ("At a margin of 0 the push is one half.", (tensor([1.0]), tensor([1.0]))),
        ("A wrong pair is pushed by nearly 1, a settled one hardly.",
         (tensor([1.2, -0.3, 0.0]), tensor([-0.4, 0.5, 3.0])))], {
        "That is for the loser: a step against the gradient must raise the winner.":
            lambda w, l: torch.sigmoid(l - w),
        "That grows as the pair is settled: the chance of the other outcome pushes.":
            lambda w, l: -torch.sigmoid(w - l),
        "That is the slope of the chance: the loss has a logarithm.":
            lambda w, l: -torch.sigmoid(w - l) * torch.sigmoid(l - w),
        "That is the slope in the chance: go on to r_w by the chain rule.":
            lambda w, l: -1 / torch.sigmoid(w - l),
        "That is the loss itself: differentiate it.":
            lambda w, l: -torch.log(torch.sigmoid(w - l)),
        "All pairs pushed alike: settled ones are pushed less.":
            lambda w, l: -torch.ones_like(w),
        "Only wrong pairs pushed: right ones are pushed too, a little.":
            lambda w, l: -(w < l).double(),
        "That is a mean: give one number a pair.":
            lambda w, l: -torch.sigmoid(l - w).mean()})
    hold(student, push, [FAR_APART])


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
