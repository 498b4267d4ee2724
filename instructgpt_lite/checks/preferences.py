"""Checks of a student's own functions about choices between two, and the loss."""

import math
from collections.abc import Callable

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
