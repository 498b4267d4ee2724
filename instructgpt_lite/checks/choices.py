"""Checks of a student's own functions about choices: a whole ranking, one game. See `grading`."""

import math

import torch

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import _agree, tensor


def elo_oracle(rating, winner, loser, k):
    """k (1 - P) points change hands, P = 1 / (1 + 10^((R_loser - R_winner) / 400))."""
    rating = [float(x) for x in rating]
    moved = k * (1 - 1 / (1 + 10 ** ((rating[loser] - rating[winner]) / 400)))
    rating[winner], rating[loser] = rating[winner] + moved, rating[loser] - moved
    return rating


def check_elo_update(student):
    """Ratings after one game from rating_N, winner, loser, k."""
    before = tensor([1500.0, 1500.0, 1100.0])
    _agree(student, elo_oracle, [
        ("Between equals half of k changes hands.", (before, 1, 0, 32.0)),
        ("The favorite gains little: k / 11 with 400 points more.", (before, 0, 2, 11.0)),
        ("An upset moves most of k: ten elevenths.", (before, 2, 1, 11.0))])
    student(before, 1, 0, 32.0)
    assert before.tolist() == [1500.0, 1500.0, 1100.0], "It changed the ratings it was given: work on a clone."


def check_plackett_luce_logp(student):
    """log P of each ranking from r_BK and rank_BK."""
    def oracle(r_BK, rank_BK):
        return [math.log(oracles.plackett_luce_oracle(r, rank)) for r, rank in zip(r_BK, rank_BK, strict=True)]

    three = tensor([[4.0, 2.0, 1.0]]).log()
    _agree(student, oracle, [
        ("Of two it is Bradley-Terry.", (tensor([[1.0, 0.0]]), torch.tensor([[1, 2]]))),
        ("4/7 for the best, then 2/3 for the second of the two that are left.", (three, torch.tensor([[1, 2, 3]]))),
        ("The best may stand anywhere: go by rank, not by place.", (three, torch.tensor([[2, 3, 1]]))),
        ("Each row by itself, one number a row.", (tensor([[0.3, -1.0, 0.8, 0.1], [0.0, 2.0, 1.0, -1.0]]),
                                                    torch.tensor([[4, 2, 1, 3], [1, 2, 3, 4]])))])
