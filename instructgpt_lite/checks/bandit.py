"""Checks of a student's own functions about RL: variance, return, surrogate loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from instructgpt_lite.checks.grading import hold, tensor


def check_gradient_variance(student: Callable) -> None:
    """Variance of (R - baseline) times score, from p, reward_2 and a baseline."""
    hold(student, lambda *case: _variance(*_terms(*case)), [
        ("Mean of the squares minus the square of the mean, weighed by p and 1 - p.",
         (tensor(0.2), tensor([0.9, 0.4]), 0.25)),
        ("A policy that always says the same has no noise.",
         (tensor(1.0), tensor([0.9, 0.4]), 0.0)),
        ("Here the two answers give one and the same estimate: no noise at all.",
         (tensor(0.5), tensor([0.8, 0.5]), 0.65))], {
        "takes the mean of the squares: subtract the square of the mean.":
            lambda *case: _mean(_terms(*case)[0].square(), case[0]),
        "gives the standard deviation: the variance is its square.":
            lambda *case: _variance(*_terms(*case)).sqrt(),
        "gives the mean of the estimate, not its variance.":
            lambda *case: _mean(*_terms(*case)),
        "gives the variance of the reward: multiply by the score first.":
            lambda p, r, b: _variance(r - b, p),
        "does not use the baseline: subtract it from the reward, before the product.":
            lambda p, r, b: _variance(*_terms(p, r, 0.0)),
        "counts both answers alike: weigh them by p and 1 - p.":
            lambda p, r, b: _variance(_terms(p, r, b)[0], tensor(0.5)),
        "has the scores exchanged: the first answer has 1 - p, the second -p.":
            lambda p, r, b: _variance(_terms(1 - p, r, b)[0], p),
        "lost a sign: the score of the second answer is -p.":
            lambda p, r, b: _variance((r - b) * torch.stack([1 - p, p]), p),
        "uses the gradient of pi: the score is that of log pi.":
            lambda p, r, b: _variance((r - b) * p * (1 - p) * tensor([1, -1]), p)})


def _terms(p: Tensor, reward_2: Tensor, baseline: float) -> tuple[Tensor, Tensor]:
    return (reward_2 - baseline) * torch.stack([1 - p, -p]), p


def _mean(x_2: Tensor, p: Tensor) -> Tensor:
    return p * x_2[0] + (1 - p) * x_2[1]


def _variance(x_2: Tensor, p: Tensor) -> Tensor:
    return _mean((x_2 - _mean(x_2, p)).square(), p)


def check_returns(student: Callable) -> None:
    """return_T from reward_T: of each token, what is still to come, with its own."""
    hold(student, lambda reward_T: [sum(reward_T[t:].tolist()) for t in range(4)], [
        ("Of each token the sum of the rewards from it to the end.",
         (tensor([-0.1, 0.4, -0.2, 0.9]),)),
        ("Only the last is paid: every token has it before it.",
         (tensor([0.0, 0.0, 0.0, 1.0]),))], {
        "sums what has been paid so far: sum what is still to come.":
            lambda r: r.cumsum(0),
        "gives every token the whole sum: what was paid before it is not its doing.":
            lambda r: r.sum().expand(4),
        "leaves out the token's own reward, which comes after it was drawn.":
            lambda r: r.flip(0).cumsum(0).flip(0) - r,
        "returns the rewards themselves: sum them from each token to the end.":
            lambda r: r,
        "has the right sums in reversed order: turn them round once more.":
            lambda r: r.flip(0).cumsum(0),
        "gives every token the last reward only: add those on the way.":
            lambda r: r[-1:].expand(4),
        "takes the mean of what is still to come: take the sum.":
            lambda r: r.flip(0).cumsum(0).flip(0) / torch.arange(4, 0, -1),
        "has the wrong sign.": lambda r: -r.flip(0).cumsum(0).flip(0)})


def check_surrogate(student: Callable) -> None:
    """Loss from logp_N, old_logp_N, reward_N, baseline: -mean(ratio (R - baseline))."""
    logp, old = tensor([0.6, 0.3, 0.4]).log(), tensor([0.4, 0.5, 0.4]).log()
    reward = tensor([1.0, 0.0, 1.0])
    hold(student, lambda *case: _surrogate(*case).item(), [
        ("Minus the mean of ratio times advantage.", (logp, old, reward, 0.25)),
        ("Where old and new agree the ratio is 1, and its gradient is the score.",
         (old, old, reward, 0.25))], {
        "has the sign of a gain: a loss is minimised, so put a minus.":
            lambda *case: -_surrogate(*case),
        "sums: take the mean, or the step grows with the batch.":
            lambda *case: 3 * _surrogate(*case),
        "divides old by new: the ratio is new over old.":
            lambda new, old, r, b: _surrogate(old, new, r, b),
        "has no ratio: these are samples of the old policy, so weigh by new over old.":
            lambda new, old, r, b: -(new * (r - b)).mean(),
        "subtracts logarithms without exp: that is the logarithm of the ratio.":
            lambda new, old, r, b: -((new - old) * (r - b)).mean(),
        "forgets the old policy: divide by its probability.":
            lambda new, old, r, b: -(new.exp() * (r - b)).mean(),
        "does not use the baseline: subtract it from the reward.":
            lambda new, old, r, b: _surrogate(new, old, r, 0.0),
        "subtracts the baseline after the product: subtract it from the reward.":
            lambda new, old, r, b: b + _surrogate(new, old, r, 0.0),
        "clips the ratio: nobody asked for that yet.":
            lambda new, old, r, b: -((new - old).exp().clamp(0.8, 1.2)
                                     * (r - b)).mean()}, gradient_in=0)


def _surrogate(logp_N: Tensor, old_logp_N: Tensor, reward_N: Tensor,
               baseline: float) -> Tensor:
    return -((logp_N - old_logp_N).exp() * (reward_N - baseline)).mean()
