"""Checks of a student's own functions about PPO-ptx: gamma, its step, and the EMA."""

import math
from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

from instructgpt_lite.checks.grading import hold, tensor


def check_weight_of_start(student: Callable) -> None:
    """Share of the start in an average of weights, from its decay and the updates."""
    hold(student, lambda decay, n: decay ** n, [
        ("Each update leaves the start a share `decay` of what it had.",
         (0.992, 125), (0.9, 12), (0.5, 3), (0.992, 0))], {
        "that is the share of all that came after: the start keeps the rest.":
            lambda decay, n: 1 - decay ** n,
        "each update multiplies what is left by decay: a power, not a product.":
            lambda decay, n: decay * n,
        "one update too few: after the first the start has decay, not 1.":
            lambda decay, n: decay ** (n - 1),
        "one update too many: before the first the start has 1.":
            lambda decay, n: decay ** (n + 1),
        "that is the share of the new weights to the power of n: decay is what stays.":
            lambda decay, n: (1 - decay) ** n,
        "losing 1 - decay of the *first* value each time would end below 0: of what "
        "is left, a share is lost.": lambda decay, n: 1 - n * (1 - decay),
        "exp(-n (1 - decay)) is close for decay near 1, but not equal.":
            lambda decay, n: math.exp(-n * (1 - decay)),
        "that is the horizon, the number of updates that count: it has no n.":
            lambda decay, n: 1 / (1 - decay),
        "give a share, not per cent.": lambda decay, n: 100 * decay ** n})


def check_gamma_for_sums(student: Callable) -> None:
    """gamma for a loss summed over a row, from gamma for a mean and the row's length.

    A row of `length` tokens predicts length - 1 of them.
    """
    hold(student, lambda gamma, length: gamma / (length - 1), [
        ("Both losses shall pull alike.", (0.2, 65), (27.8, 1024), (1.0, 3))], {
        "the wrong way round: a sum is larger than a mean, so its gamma is smaller.":
            lambda gamma, length: gamma * (length - 1),
        "the first token has nothing before it and is not predicted: length - 1.":
            lambda gamma, length: gamma / length,
        "the wrong way round, and the first token is not predicted.":
            lambda gamma, length: gamma * length,
        "gamma changes: the gradient of a sum is (length - 1) times that of a mean.":
            lambda gamma, length: gamma,
        "one token too many: a row of length tokens has length - 1 predictions.":
            lambda gamma, length: gamma / (length + 1),
        "two tokens too few: only the first is not predicted.":
            lambda gamma, length: gamma / (length - 2),
        "a sum has length - 1 terms of equal weight: no square root.":
            lambda gamma, length: gamma / math.sqrt(length - 1),
        "that is the number of predictions, without gamma.":
            lambda gamma, length: 1 / (length - 1),
        "divided twice.": lambda gamma, length: gamma / (length - 1) ** 2})


def check_gamma_of_mix(student: Callable) -> None:
    """gamma of eq. (2) that a mix (1 - c) L_PPO + c L_text amounts to, from c."""
    hold(student, lambda c: c / (1 - c), [
        ("How much does the text weigh, per unit of PPO?", (0.9,), (0.5,), (0.1,))], {
        "c weighs the text in a mix whose PPO part has shrunk: divide by its weight.":
            lambda c: c,
        "that is the weight of PPO.": lambda c: 1 - c,
        "upside down: gamma weighs the text, per unit of PPO.": lambda c: (1 - c) / c,
        "multiplied where it must be divided: pull (1 - c) out of the bracket.":
            lambda c: c * (1 - c),
        "the text has weight c, not 1.": lambda c: 1 / (1 - c),
        "PPO has weight 1 - c, not 1 + c.": lambda c: c / (1 + c),
        "no logarithm: these are the odds, not the log-odds.":
            lambda c: math.log(c / (1 - c)),
        "(1 - c) is pulled out once.": lambda c: c / (1 - c) ** 2,
        "the difference of two weights is no ratio.": lambda c: 2 * c - 1})


def check_ptx_step(student: Callable) -> None:
    """One update of PPO-ptx: student(optimizer, policy_loss, text_loss, gamma).

    Before it, gradients of an earlier update may be left over.
    """
    def after(update: Callable) -> Callable:
        return wraps(update)(lambda: _after(update))

    def steps(*losses: Callable, clear: bool = True) -> Callable:
        def update(optimizer: torch.optim.Optimizer, *case: Tensor | float) -> None:
            for loss in losses:
                if clear:
                    optimizer.zero_grad()
                loss(*case).backward()
                optimizer.step()
        return after(update)

    def right(a: Tensor, b: Tensor, gamma: float) -> Tensor:
        return a + gamma * b

    hold(after(student), steps(right), [
        ("These are the weights it left: they want the gradient of policy_loss plus "
         "gamma times that of text_loss, in one step.", ())], {
        "the weights did not move: backward fills the gradients, optimizer.step() uses "
        "them.": steps(),
        "two steps, one for each loss: the second starts where the first has moved the "
        "weights. Add the gradients, then take one step.":
            steps(lambda a, b, gamma: a, lambda a, b, gamma: gamma * b),
        "gradients of an earlier update were left over: clear them first.":
            steps(right, clear=False),
        "the text is not in it.": steps(lambda a, b, gamma: a),
        "only the text is in it: were the gradients of the policy's loss cleared in "
        "between?": steps(lambda a, b, gamma: gamma * b),
        "gamma is not in it.": steps(lambda a, b, gamma: a + b),
        "gamma weighs the text, not the policy's loss.":
            steps(lambda a, b, gamma: gamma * a + b),
        "both are losses, to be minimised: add them.":
            steps(lambda a, b, gamma: a - gamma * b),
        "a mix of 1 - gamma and gamma is not eq. (2): the policy's loss keeps weight "
        "1.": steps(lambda a, b, gamma: (1 - gamma) * a + gamma * b)})


def _after(update: Callable) -> Tensor:
    """Two weights after two updates with Adam, from gradients left over."""
    weight = tensor([0.5, -0.3]).requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.grad = tensor([5.0, -7.0])
    for target in (tensor([1.0, 0.2]), tensor([0.1, 0.9])):
        policy_loss = (weight - target).square().sum()
        text_loss = (weight * tensor([3.0, -1.0])).exp().mean()
        update(optimizer, policy_loss, text_loss, 0.7)
    return weight.detach()
