"""Checks of a student's own functions about what PPO and PPO-ptx minimise."""

import math
from collections.abc import Callable

import torch

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, tensor

NAN = math.nan                                 # what padding holds

MASK = torch.tensor([[True, True, True, False], [True, False, False, False],
                     [True, True, True, True]])
VALUE = tensor([[0.5, 0.6, 0.7, NAN], [0.2, NAN, NAN, NAN], [0.9, -0.4, 0.1, 0.6]])
OLD_VALUE = tensor([[0.5, 0.1, 0.75, NAN], [0.9, NAN, NAN, NAN], [0.2, -0.3, 0.0, 1.0]])
RETURN = tensor([[1.0, 0.2, 0.9, NAN], [0.6, NAN, NAN, NAN], [-0.3, 0.4, 0.8, 0.5]])


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
