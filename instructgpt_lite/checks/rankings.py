"""Checks of a student's own functions about rankings, ratings, duels that go round."""

import math
from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import Mistakes, hold, tensor


def check_plackett_luce_logp(student: Callable) -> None:
    """log P of each ranking from r_BK and rank_BK."""
    ranks, three = torch.tensor, tensor([[4.0, 2.0, 1.0]]).log()

    def right(r: Tensor, rank: Tensor) -> list[float]:
        return [*map(oracles.plackett_luce, r, rank)]

    hold(student, right, [
        ("Of two it is Bradley-Terry.", (tensor([[1.0, 0.0]]), ranks([[1, 2]]))),
        ("4/7 for the best, then 2/3 for the second of the two that are left.",
         (three, ranks([[1, 2, 3]]))),
        ("The best may be anywhere: go by rank, not by place.",
         (three, ranks([[2, 3, 1]])))], {
        sentence: lambda r, rank, mistake=mistake: tensor([mistake(
            r[0][rank[0].argsort()].tolist(), r[0], rank[0])])
        for sentence, mistake in _plackett_luce_mistakes().items()})
    hold(student, right, [
        ("Each row by itself, one number a row.",
         (tensor([[0.3, -1.0, 0.8, 0.1], [0.0, 2.0, 1.0, -1.0]]),
          ranks([[4, 2, 1, 3], [1, 2, 3, 4]]))),
        *((f"{where}, exp is not to be trusted: use logsumexp.",
           (tensor([r]), ranks([rank]))) for where, r, rank in (
            ("Far apart", [800.0, 0.0, -800.0], [2, 1, 3]),
            ("Where the best is far ahead", [800.0, -800.0, -801.0], [1, 2, 3]),
            ("At a high level", [1000.0, 1001.0, 999.0], [2, 1, 3]),
            ("At a low level", [-1000.0, -1001.0, -999.0], [2, 1, 3])))])


def _plackett_luce_mistakes() -> Mistakes:
    """Of one row: s has its rewards from the best on, r by place."""
    def logp(s: list[float] | Tensor) -> float:
        return oracles.plackett_luce(s, range(len(s)))

    def chosen(s: list[float], among: Callable) -> float:
        return sum(x - oracles.log_sum_exp(among(k)) for k, x in enumerate(s))

    return {
        "Those are the pairs of eq. (1): a ranking is drawn, the best first.":
            lambda s, *_: -sum(oracles.softplus(y - x) for x, y in combinations(s, 2)),
        "That is the best alone: the others are drawn after it.":
            lambda s, *_: s[0] - oracles.log_sum_exp(s),
        "Who was drawn leaves: each sum runs over those that are left.":
            lambda s, *_: chosen(s, lambda k: s),
        "The one drawn was among the candidates: its own sum contains it.":
            lambda s, *_: chosen(s, lambda k: s[k + 1:] or s[k:]),
        "That draws the worst first: rank 1 is the best.": lambda s, *_: logp(s[::-1]),
        "Go by rank, not by place: sort the rewards first.": lambda s, r, _: logp(r),
        "A rank is not an index: argsort of the ranks says who comes first.":
            lambda s, r, rank: logp(r[rank - 1]),
        "That is the probability: its logarithm is wanted.":
            lambda s, *_: math.exp(logp(s)),
        "That is the surprise: leave the minus out.": lambda s, *_: -logp(s),
        "That is a mean over ranks: the logarithm of a product is a sum.":
            lambda s, *_: logp(s) / len(s)}


def check_elo_update(student: Callable) -> None:
    """Ratings after one game from rating_N, winner, loser, k."""
    before = tensor([1500.0, 1500.0, 1100.0])

    def moved(gain: Callable, loss: Callable | None = None) -> Callable:
        def after(rating: Tensor, winner: int, loser: int, k: float) -> Tensor:
            ahead, new = (rating[winner] - rating[loser]).item(), rating.clone()
            new[winner] += k * gain(ahead)
            new[loser] -= k * (loss or gain)(ahead)
            return new
        return after

    def right(ahead: float) -> float:
        return 1 / (1 + 10 ** (ahead / 400))

    hold(student, oracles.elo, [
        ("Between equals half of k changes hands.", (before, 1, 0, 32.0)),
        ("The favorite gains little: k / 11 with 400 points more.",
         (before, 0, 2, 11.0)),
        ("An upset moves most of k: ten elevenths.", (before, 2, 1, 11.0))], {
        "400 points are odds of ten to one: not of e to one.":
            moved(lambda ahead: oracles.sigmoid(-ahead / 400)),
        "Always half: what moves depends on how far ahead the winner was.":
            moved(lambda ahead: 0.5),
        "All of k moves: only the unexpected part of it should.":
            moved(lambda ahead: 1.0),
        "That moves the expected part: an upset moves most.":
            moved(lambda ahead: 1 - right(ahead)),
        "The loser pays what the winner gains.": moved(right, lambda ahead: 0.0),
        "The loser's rating rises: it has to pay.":
            moved(right, lambda ahead: -right(ahead)),
        "The loser pays as much as the winner gains, not the rest of k.":
            moved(right, lambda ahead: 1 - right(ahead)),
        "Winner and loser are swapped.": moved(lambda ahead: -right(ahead))})


def check_goes_round(student: Callable) -> None:
    """P(three duels of three items go round) from s_N, N = 3."""
    def beats(s: Tensor, i: int, j: int) -> float:
        return oracles.sigmoid((s[i] - s[j]).item())

    def around(s: Tensor) -> tuple[float, float]:
        one = [beats(s, 0, 1), beats(s, 1, 2), beats(s, 2, 0)]
        return math.prod(one), math.prod(1 - p for p in one)

    hold(student, lambda s: sum(around(s)), [
        ("Each direction is a product of three chances.",
         (tensor([0.0, 0.0, 0.0]),), (tensor([1.0, 0.3, -0.9]),))], {
        "A trio can go round in two directions: add the other one.":
            lambda s: around(s)[0],
        "The two directions exclude each other: add them.":
            lambda s: math.prod(around(s)),
        "That is the chance that it does not go round.": lambda s: 1 - sum(around(s)),
        "One quarter is for equals: use the strengths.": lambda s: 0.25,
        "That is the order of the strengths: a cycle ends with the last over the "
        "first.": lambda s: beats(s, 0, 1) * beats(s, 1, 2) * beats(s, 0, 2),
        "Three duels, three factors: the last meets the first.":
            lambda s: beats(s, 0, 1) * beats(s, 1, 2) + beats(s, 1, 0) * beats(s, 2, 1),
        "The three duels are independent: multiply their chances.":
            lambda s: beats(s, 0, 1) + beats(s, 1, 2) + beats(s, 2, 0),
        "One of eight outcomes is for equals, and two of them go round.":
            lambda s: 0.125})
