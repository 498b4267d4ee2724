"""Assignment 1: strengths fitted to choices, and the loss of a reward model."""

from collections.abc import Callable
from itertools import permutations
from math import log

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import hold, tensor


def check_chances(student: Callable, seed: int | str = 0) -> None:
    """P(i is preferred to j), N by N, from strength_N; 1/2 on the diagonal."""
    def table(chance: Callable) -> Callable:
        return lambda s: tensor([[chance(x, y) for y in s.tolist()] for x in s.tolist()])

    draw = Draw(seed)
    hold(student, table(lambda x, y: oracles.sigmoid(x - y)), [
        ("Row i, column j: the chance that i is preferred to j.",
         (draw.tensor(3),), (draw.tensor(4),))], {
        "row i is the chance of i: yours is the chance of j.":
            table(lambda x, y: oracles.sigmoid(y - x)),
        "that is the difference: the logistic function makes a chance of it.":
            table(lambda x, y: x - y),
        "that is the odds, exp(s_i - s_j): p = odds / (1 + odds).":
            table(lambda x, y: tensor(x - y).exp()),
        "strengths are logarithms: exp(s_i) / (exp(s_i) + exp(s_j)).":
            lambda s: s[:, None] / (s[:, None] + s),
        "every column is a choice among all; here two are compared.":
            lambda s: s.softmax(dim=0).expand(len(s), -1),
        "a chance of all against all: of each pair alone.":
            lambda s: (s[:, None] - s).softmax(dim=1),
        "that is the logarithm of the chance: leave log out.":
            table(lambda x, y: log(oracles.sigmoid(x - y))),
        "that is who is stronger: a choice is a matter of chance.":
            table(lambda x, y: float(x > y)),
        "each by itself has no chance: one sigmoid of the difference.":
            table(lambda x, y: oracles.sigmoid(x) - oracles.sigmoid(y)),
        "against itself there is a chance, too: one half.":
            lambda s: torch.sigmoid(s[:, None] - s).fill_diagonal_(0)})
    hold(student, table(lambda x, y: oracles.sigmoid(x - y)), [
        ("Far apart, exp overflows: use sigmoid.", (tensor([900.0, -900.0]),))])


def _surprise(strength: Tensor, wins: Tensor, part: Callable = lambda lost: lost) -> Tensor:
    """Summed over pairs: wins_ij -log sigmoid(s_i - s_j)."""
    margin = strength[:, None] - strength
    return (wins * part(-logsigmoid(margin))).sum()


def check_mean_surprise(student: Callable, seed: int | str = 0) -> None:
    """Mean of -log P over all comparisons; wins_NN[i, j]: how often i was preferred."""
    def mean(strength: Tensor, wins: Tensor) -> float:
        lost = [(w, oracles.softplus(strength[j].item() - strength[i].item()))
                for i, row in enumerate(wins.tolist()) for j, w in enumerate(row)]
        return sum(w * x for w, x in lost) / sum(w for w, _ in lost)

    draw = Draw(seed)
    wins = [draw.tensor(n, n, low=0, high=6).round().fill_diagonal_(0) for n in (3, 3)]
    wins[0][0, 1], wins[1][2, 0], wins[1][1, 2] = 3, 0, 5
    hold(student, mean, [
        ("Every comparison counts once: a pair as often as it was compared.",
         *[(draw.tensor(3), each) for each in wins])], {
        "that is the sum: divide by the number of comparisons.": _surprise,
        "negative: a surprise is minus the logarithm.":
            lambda s, wins: -_surprise(s, wins) / wins.sum(),
        "divide by the number of comparisons, not by that of cells.":
            lambda s, wins: _surprise(s, wins) / wins.numel(),
        "divide by the number of comparisons, not by that of pairs.":
            lambda s, wins: _surprise(s, wins) / (len(s) * (len(s) - 1)),
        "the winner's strength comes first: s_i - s_j where i was preferred.":
            lambda s, wins: _surprise(s, wins.T) / wins.sum(),
        "count how often: a pair that was compared 5 times counts 5 times.":
            lambda s, wins: _surprise(s, (wins > 0).double()) / (wins > 0).sum(),
        "that is the chance of the other outcome: a surprise has a logarithm.":
            lambda s, wins: _surprise(s, wins, lambda x: 1 - (-x).exp()) / wins.sum(),
        "that is the margin: the loss is -log sigmoid of it.":
            lambda s, wins: (wins * (s[:, None] - s)).sum() / wins.sum(),
        "only the majority of each pair is in yours: all comparisons count.":
            lambda s, wins: _surprise(s, wins * (wins > wins.T)) / wins.sum(),
        "in bits: nats need no log 2.":
            lambda s, wins: _surprise(s, wins) / wins.sum() / log(2)}, gradient_in=0)
    hold(student, mean, [
        ("Far apart, log(sigmoid) is -inf: use logsigmoid.",
         (tensor([-900.0, 900.0]), tensor([[0.0, 2], [1, 0]])))], gradient_in=0)


def _fitted(wins: Tensor, prior: float, steps: int = 60) -> Tensor:
    """Newton's method on the convex loss of `check_fit`."""
    s = wins.new_zeros(len(wins))
    games = wins + wins.T
    for _ in range(steps):
        p = torch.sigmoid(s[:, None] - s)
        slope = prior * s - (wins * (1 - p)).sum(1) + (wins * (1 - p)).sum(0)
        bend = games * p * (1 - p)
        full = torch.diag(bend.sum(1) + prior) - bend
        s = s - torch.linalg.solve(full, slope)
    return s


def check_fit(student: Callable, seed: int | str = 0) -> None:
    """strength_N that makes the summed surprise + prior / 2 sum s^2 least, to 3 digits.

    The prior pulls to 0, so the strengths are finite and their mean is 0.
    """
    draw = Draw(seed)
    cases = [draw.tensor(4, 4, low=1, high=9).round().fill_diagonal_(0),
             draw.tensor(3, 3, low=1, high=9).round().fill_diagonal_(0)]
    cases[1][:, 1], cases[1][1] = 0, 4                      # one that always wins
    hold(student, _fitted, [
        ("The minimum of surprise and prior together, to three digits.",
         *[(wins, draw.number(0.4, 1.5)) for wins in cases])], {
        "the winner has the larger strength: yours are turned round.":
            lambda wins, prior: -_fitted(wins, prior),
        "the prior is missing.": lambda wins, prior: _fitted(wins, 1e-9),
        "the prior is halved: prior / 2 times s^2 has the slope prior times s.":
            lambda wins, prior: _fitted(wins, 2 * prior),
        "the prior is prior / 2 times s^2; yours counts half of that.":
            lambda wins, prior: _fitted(wins, prior / 2),
        "the surprise is summed, not averaged: beside a mean the prior weighs more.":
            lambda wins, prior: _fitted(wins, prior * wins.sum().item()),
        "those are log odds of winning at all: whom one has beaten counts.":
            lambda wins, prior: (wins.sum(1) / wins.sum(0).clamp(min=0.5)).log(),
        "that is a share of wins, not a strength.":
            lambda wins, prior: wins.sum(1) / (wins + wins.T).sum(1),
        "those are exp(s): strengths are their logarithms.":
            lambda wins, prior: _fitted(wins, prior).exp(),
        "the first is no zero point: the prior sets the mean to 0.":
            lambda wins, prior: _fitted(wins, prior) - _fitted(wins, prior)[0],
        "one step is not the minimum: go on until the slope is 0.":
            lambda wins, prior: _fitted(wins, prior, steps=1),
        "nothing has moved from 0.": lambda wins, prior: 0 * wins[0]}, digits=3)


def check_ranking_loss(student: Callable, seed: int | str = 0) -> None:
    """Eq. (1) from r_BK and rank_BK (1 the best, equal ranks are no pair), and mask_BK,
    False where a prompt has fewer than K responses; r is then anything, even nan."""
    def pairs(mean: Callable, counts: Callable = lambda a, b: a < b,
              loss: Callable = oracles.softplus, masked: bool = True) -> Callable:
        def of(r: Tensor, rank: Tensor, mask: Tensor) -> float:
            return mean([[loss(x[l] - x[w]) for w, l in permutations(range(len(x)), 2)
                          if counts(ranks[w], ranks[l])
                          and (not masked or there[w] and there[l])]
                         for x, ranks, there in zip(*map(Tensor.tolist, (r, rank, mask)))])
        return of

    def nested(rows: list) -> float:
        return sum(sum(row) / len(row) for row in rows) / len(rows)

    draw = Draw(seed)
    tied = [min(x, 2) - (x == 2) for x in draw.order(3)]     # 1, 1 and 2, shuffled
    rank = torch.tensor([[*tied, 3], [*draw.order(3), 4]])
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    r = draw.tensor(2, 4)
    cases = [("Mean over a prompt's pairs, then over prompts; ties are no pairs.",
              (r, rank, mask), (r + draw.tensor(2, 4), rank.flip(0), mask.flip(0)))]
    hold(student, pairs(nested), cases, {
        "negative: a surprise is minus the logarithm.":
            pairs(lambda rows: -nested(rows)),
        "rank 1 is the best: yours raises the worst.":
            pairs(nested, lambda a, b: a > b),
        "every prompt has one vote: yours averages over all pairs at once.":
            pairs(lambda rows: sum(map(sum, rows)) / sum(map(len, rows))),
        "divides by K (K - 1) / 2 twice: the mean over pairs is that division.":
            pairs(lambda rows: sum(sum(x) / len(x) ** 2 for x in rows) / len(rows)),
        "ties are no pairs: they count in yours.":
            pairs(nested, lambda a, b: a <= b),
        "sums the pairs of a prompt: take their mean.":
            pairs(lambda rows: sum(map(sum, rows)) / len(rows)),
        "divides by the pairs that K responses would make: some are tied or missing.":
            pairs(lambda rows: sum(map(sum, rows)) / 6 / len(rows)),
        "only the best against each other one: all pairs count.":
            pairs(nested, lambda a, b: a == 1 < b),
        "only neighbours in the ranking: all pairs count.":
            pairs(nested, lambda a, b: b - a == 1),
        "responses that are not there count: use the mask.":
            pairs(nested, masked=False),
        "that is the chance of the wrong order: a surprise has a logarithm.":
            pairs(nested, loss=oracles.sigmoid)}, gradient_in=0)
    unknown = r.masked_fill(~mask, torch.nan)
    hold(student, pairs(nested), [
        ("What is masked may be nan: pick pairs, do not multiply by the mask.",
         (unknown, rank, mask)),
        ("Far apart, log(sigmoid) is -inf: use logsigmoid.",
         (800 * r, rank, mask))], gradient_in=0)
