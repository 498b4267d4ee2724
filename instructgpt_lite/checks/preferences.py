"""Checks of a student's own functions about choices: a pair, a ranking, a game."""

import math
from collections.abc import Callable

import torch

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import agree, tensor


def check_preference_probability(student: Callable) -> None:
    """P(first > second) from two rewards of equal shape."""
    agree(student, lambda first, second: [*map(oracles.sigmoid, first - second)], [
        ("Equal rewards: nobody knows.", (tensor([2.0]), tensor([2.0]))),
        ("Only the difference counts: 3:1 odds at log 3.",
         (tensor([math.log(3), 5.0]), tensor([0.0, 7.0]))),
        ("Far apart, exp overflows: use sigmoid.",
         (tensor([800.0, -800.0]), tensor([-800.0, 800.0])))])


def check_reward_loss(student: Callable) -> None:
    """Eq. (1) from r_BK and rank_BK."""
    ranks = torch.tensor
    agree(student, oracles.reward_loss, [
        ("One pair: -log sigmoid(r_w - r_l), and rank 1 is the best.",
         (tensor([[1.0, 0.0]]), ranks([[1, 2]]))),
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


def check_plackett_luce_logp(student: Callable) -> None:
    """log P of each ranking from r_BK and rank_BK."""
    three = tensor([[4.0, 2.0, 1.0]]).log()
    agree(student, lambda *rows: [*map(oracles.plackett_luce, *rows)], [
        ("Of two it is Bradley-Terry.", (tensor([[1.0, 0.0]]), torch.tensor([[1, 2]]))),
        ("4/7 for the best, then 2/3 for the second of the two that are left.",
         (three, torch.tensor([[1, 2, 3]]))),
        ("The best may be anywhere: go by rank, not by place.",
         (three, torch.tensor([[2, 3, 1]]))),
        ("Each row by itself, one number a row.",
         (tensor([[0.3, -1.0, 0.8, 0.1], [0.0, 2.0, 1.0, -1.0]]),
          torch.tensor([[4, 2, 1, 3], [1, 2, 3, 4]]))),
        ("Far apart, exp overflows: use logsumexp.",
         (tensor([[800.0, 0.0, -800.0]]), torch.tensor([[2, 1, 3]])))])


def check_elo_update(student: Callable) -> None:
    """Ratings after one game from rating_N, winner, loser, k."""
    before = tensor([1500.0, 1500.0, 1100.0])
    agree(student, oracles.elo, [
        ("Between equals half of k changes hands.", (before, 1, 0, 32.0)),
        ("The favorite gains little: k / 11 with 400 points more.",
         (before, 0, 2, 11.0)),
        ("An upset moves most of k: ten elevenths.", (before, 2, 1, 11.0))])
    student(before, 1, 0, 32.0)
    assert before.tolist() == [1500.0, 1500.0, 1100.0], (
        "It changed the ratings it was given: work on a clone.")
