"""Checks of a student's own functions about what PPO and PPO-ptx minimise."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.credit import LOGP, MASK, NAN, OTHER_LOGP, VALUE
from instructgpt_lite.checks.grading import hold, tensor

OLD_VALUE = tensor([[0.5, 0.1, 0.75, NAN], [0.9, NAN, NAN, NAN], [0.2, -0.3, 0.0, 1.0]])
RETURN = tensor([[1.0, 0.2, 0.9, NAN], [0.6, NAN, NAN, NAN], [-0.3, 0.4, 0.8, 0.5]])
ADVANTAGE = tensor([[0.5, -0.3, 1.2, NAN], [0.8, NAN, NAN, NAN],
                    [-0.7, 0.0, -0.4, 0.9]])


def check_masked_mean(student: Callable) -> None:
    """Mean over the True places of a mask."""
    hold(student, oracles.masked_mean, [
        ("Without padding it is the mean.", (VALUE[2:], MASK[2:])),
        ("Over all counted tokens at once, not row by row; "
         "nan in padding must not leak.", (VALUE, MASK))], gradient_in=0)


def check_value_loss(student: Callable) -> None:
    """Half the squared error, clipped or not."""
    hold(student, oracles.value_loss, [
        ("clip = 0: half the mean squared error.",
         (VALUE, OLD_VALUE, RETURN, MASK, 0.0)),
        ("clip = 0.2: the larger of the two errors, token by token.",
         (VALUE, OLD_VALUE, RETURN, MASK, 0.2))], gradient_in=0)


def check_ptx_loss(student: Callable) -> None:
    """The language-model loss: place t predicts token t + 1."""
    logits = tensor([[[0.1, 2.0, -1.0], [1.5, 0.3, 0.2], [9.0, 0.0, 0.0]],
                     [[0.4, -1.0, 0.9], [0.0, 1.1, -0.7], [0.0, 0.0, 9.0]]])
    token = torch.tensor([[0, 1, 2], [2, 2, 0]])
    hold(student, oracles.ptx_loss, [
        ("Logits at place t are about token t + 1: the last have nothing to predict.",
         (logits[:1], token[:1])),
        ("The mean over all rows and places.", (logits, token))], gradient_in=0)


def check_policy_loss(student: Callable) -> None:
    """PPO's clipped surrogate, to be minimised."""
    right, worse = oracles.policy_loss, torch.minimum

    def usual(rho: Tensor, a: Tensor, *clip: float) -> Tensor:
        return worse(rho * a, rho.clamp(*clip) * a)

    def loss(gain: Callable = usual, ratio: Callable = torch.exp) -> Callable:
        return lambda logp, old, a, mask, clip: -gain(
            ratio((logp - old)[mask]), a[mask], 1 - clip, 1 + clip).mean()

    one, zero = torch.tensor([[True]]), tensor([[0.0]])
    hold(student, right, [
        *((f"Ratio {ratio}, advantage {a:+}, clip 0.2: "
           "look at which side the clip acts.",
           (tensor([[math.log(ratio)]]), zero, tensor([[a]]), one, 0.2))
          for ratio in (0.7, 0.9, 1.1, 1.3) for a in (1.0, -1.0)),
        ("Mean over counted tokens; nan in padding must not leak, "
         "nor into the gradient.", (LOGP, OTHER_LOGP, ADVANTAGE, MASK, 0.2))], {
        "has the sign of a gain: a loss is to be minimised.":
            lambda *case: -right(*case),
        "takes the larger of the two: then the clip acts on the wrong side.":
            loss(lambda rho, a, *clip: torch.maximum(rho * a, rho.clamp(*clip) * a)),
        "does not clip.": lambda *case: right(*case[:4], math.inf),
        "takes the clipped gain always: who moved the wrong way gets no pull back.":
            loss(lambda rho, a, *clip: rho.clamp(*clip) * a),
        "has the ratio upside down: new over old.":
            lambda new, old, *case: right(old, new, *case),
        "takes the log-ratio for the ratio: exp is missing.": loss(ratio=lambda x: x),
        "weighs log-probabilities, not ratios: 1 + log-ratio is not the ratio.":
            loss(ratio=lambda x: 1 + x),
        "clips the gain, not the ratio.":
            loss(lambda rho, a, *clip: worse(rho * a, (rho * a).clamp(*clip))),
        "clips the ratio above only: a bad token is left alone below 1 - clip.":
            loss(lambda rho, a, low, high: worse(rho * a, rho.clamp(max=high) * a)),
        "sums over tokens: take the mean.": lambda *case: right(*case) * case[3].sum()},
        gradient_in=0)
