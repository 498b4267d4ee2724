"""Checks of a student's own functions about the objective of PPO and PPO-ptx."""

import math
from collections.abc import Callable

import torch

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import agree, tensor

NAN = math.nan                                 # what padding holds

MASK = torch.tensor([[True, True, True, False], [True, False, False, False],
                     [True, True, True, True]])
LOGP = tensor([[-1.0, -2.0, -0.5, NAN], [-0.3, NAN, NAN, NAN],
               [-1.5, -0.2, -0.9, -2.5]])
OTHER_LOGP = tensor([[-1.2, -1.5, -0.5, NAN], [-0.7, NAN, NAN, NAN],
                     [-1.1, -0.3, -1.9, -2.4]])
ADVANTAGE = tensor([[0.5, -0.3, 1.2, NAN], [0.8, NAN, NAN, NAN],
                    [-0.7, 0.0, -0.4, 0.9]])
VALUE = tensor([[0.5, 0.6, 0.7, NAN], [0.2, NAN, NAN, NAN], [0.9, -0.4, 0.1, 0.6]])
OLD_VALUE = tensor([[0.5, 0.1, 0.75, NAN], [0.9, NAN, NAN, NAN], [0.2, -0.3, 0.0, 1.0]])
RETURN = tensor([[1.0, 0.2, 0.9, NAN], [0.6, NAN, NAN, NAN], [-0.3, 0.4, 0.8, 0.5]])


def check_masked_mean(student: Callable) -> None:
    """Mean over the True places of a mask."""
    agree(student, oracles.masked_mean, [
        ("Without padding it is the mean.", (VALUE[2:], MASK[2:])),
        ("Over all counted tokens at once, not row by row; "
         "nan in padding must not leak.", (VALUE, MASK))], gradient_in=0)


def check_token_rewards(student: Callable) -> None:
    """Per-token KL penalty and the score at the last counted token."""
    score = tensor([1.0, -0.5, 2.0])
    none = torch.zeros_like(MASK[:1])
    agree(student, oracles.token_rewards, [
        ("beta = 0: the score alone, at the last token.",
         (score[2:], LOGP[2:], OTHER_LOGP[2:], MASK[2:], 0.0)),
        ("A token likelier than under the reference is penalised: "
         "-beta (logp - ref_logp).",
         (score[2:], LOGP[2:], OTHER_LOGP[2:], MASK[2:], 0.5)),
        ("The last token is the last *counted* one; padding gets 0, "
         "though it holds nan.",
         (score[:2], LOGP[:2], OTHER_LOGP[:2], MASK[:2], 0.02)),
        ("A row without counted tokens gets nothing.",
         (score[:1], LOGP[:1], LOGP[:1], none, 0.02))])


def check_gae(student: Callable) -> None:
    """Advantages without discount."""
    whole = RETURN[2:], VALUE[2:], MASK[2:]
    agree(student, oracles.gae, [
        ("lam = 0: one-step errors reward_t + V_{t+1} - V_t, "
         "and no value after the last token.", (*whole, 0.0)),
        ("lam = 1: all later rewards minus V_t.", (*whole, 1.0)),
        ("In between, later errors count lam, lam^2, ...", (*whole, 0.95)),
        ("A response ends at its own last counted token; padding gets 0.",
         (RETURN, VALUE, MASK, 0.95))])


def check_policy_loss(student: Callable) -> None:
    """PPO's clipped surrogate, to be minimised."""
    one, zero = torch.tensor([[True]]), tensor([[0.0]])
    cases = [(f"Ratio {ratio}, advantage {a:+}, clip 0.2: "
              "look at which side the clip acts.",
              (tensor([[math.log(ratio)]]), zero, tensor([[a]]), one, 0.2))
             for ratio in (0.7, 0.9, 1.1, 1.3) for a in (1.0, -1.0)]
    cases.append(("Mean over counted tokens; nan in padding must not leak, "
                  "nor into the gradient.", (LOGP, OTHER_LOGP, ADVANTAGE, MASK, 0.2)))
    agree(student, oracles.policy_loss, cases, gradient_in=0)


def check_value_loss(student: Callable) -> None:
    """Half the squared error, clipped or not."""
    agree(student, oracles.value_loss, [
        ("clip = 0: half the mean squared error.",
         (VALUE, OLD_VALUE, RETURN, MASK, 0.0)),
        ("clip = 0.2: the larger of the two errors, token by token.",
         (VALUE, OLD_VALUE, RETURN, MASK, 0.2))], gradient_in=0)


def check_ptx_loss(student: Callable) -> None:
    """The language-model loss: place t predicts token t + 1."""
    logits = tensor([[[0.1, 2.0, -1.0], [1.5, 0.3, 0.2], [9.0, 0.0, 0.0]],
                     [[0.4, -1.0, 0.9], [0.0, 1.1, -0.7], [0.0, 0.0, 9.0]]])
    token = torch.tensor([[0, 1, 2], [2, 2, 0]])
    agree(student, oracles.ptx_loss, [
        ("Logits at place t are about token t + 1: the last have nothing to predict.",
         (logits[:1], token[:1])),
        ("The mean over all rows and places.", (logits, token))], gradient_in=0)
