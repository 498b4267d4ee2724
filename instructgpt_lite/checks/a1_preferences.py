"""Assignment 1: strengths fitted to choices, and the loss of a reward model."""

from collections.abc import Callable
from itertools import combinations, pairwise, permutations, product
from math import log, sqrt

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import Mistakes, hold, tensor

FAR = ("Far apart, log(sigmoid) is -inf, and a clamp or 1e-8 hides who is far: use "
       "logsigmoid of the margin itself.")


def _one_side(strength: Tensor, rest: float) -> Tensor:
    """Chances on the diagonal and above it, `rest` below."""
    p = torch.sigmoid(strength[:, None] - strength)
    return torch.where(torch.ones_like(p).triu().bool(), p, rest)


def check_chances(student: Callable, seed: int | str = 0) -> None:
    """P(i is preferred to j), N by N, from strength_N; 1/2 on the diagonal."""
    def table(chance: Callable) -> Callable:
        return lambda s: tensor([[chance(x, y) for y in s.tolist()]
                                 for x in s.tolist()])

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
            (table(lambda x, y: float(x > y)), table(lambda x, y: float(x >= y)),
             lambda s: (s[:, None] - s).sign() / 2 + 0.5),
        "that is the scale of Elo, 400 and powers of 10: here it is exp.":
            (table(lambda x, y: oracles.sigmoid((x - y) / 400 * log(10))),
             table(lambda x, y: oracles.sigmoid((x - y) * log(10)))),
        "that is the normal distribution, Thurstone's: the logistic one is wanted.":
            (lambda s: torch.special.ndtr(s[:, None] - s),
             lambda s: torch.special.ndtr((s[:, None] - s) / sqrt(2))),
        "only one side of the diagonal is filled: the other is 1 - P.":
            (lambda s: _one_side(s, 0.5), lambda s: _one_side(s, 0.0),
             lambda s: _one_side(s, 0.0).fill_diagonal_(0)),
        "each by itself has no chance: one sigmoid of the difference.":
            table(lambda x, y: oracles.sigmoid(x) - oracles.sigmoid(y)),
        "against itself there is a chance, too: one half.":
            lambda s: torch.sigmoid(s[:, None] - s).fill_diagonal_(0),
        "against itself the chance is one half, not 1.":
            lambda s: torch.sigmoid(s[:, None] - s).fill_diagonal_(1)})
    hold(student, table(lambda x, y: oracles.sigmoid(x - y)), [
        ("Far apart, exp overflows or vanishes: use sigmoid.",
         *[(tensor(s),) for s in ([900.0, -900.0], [900.0, -900.0, -901.0], [0.5])])])


def _surprise(strength: Tensor, wins: Tensor,
              part: Callable = lambda lost: lost) -> Tensor:
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
    wins = [draw.tensor(n, n, low=0, high=6).round().fill_diagonal_(0) for n in (3, 4)]
    wins[0][0, 1], wins[1][2, 0], wins[1][1, 2], wins[1][0, 3] = 3, 0, 5, 2
    hold(student, mean, [
        ("Every comparison counts once: a pair as often as it was compared.",
         *[(draw.tensor(len(each)), each) for each in wins])], {
        "that is the sum: divide by the number of comparisons.": _surprise,
        "negative: a surprise is minus the logarithm.":
            lambda s, wins: -_surprise(s, wins) / wins.sum(),
        "divide by the number of comparisons, not by that of cells.":
            lambda s, wins: _surprise(s, wins) / wins.numel(),
        "divide by the number of comparisons, not by that of pairs.":
            (lambda s, wins: _surprise(s, wins) / (wins > 0).sum(),
             lambda s, wins: _surprise(s, wins) / (len(s) * (len(s) - 1)),
             lambda s, wins: _surprise(s, wins) / (len(s) * (len(s) - 1) / 2)),
        **_other_means()}, gradient_in=0)
    hold(student, mean, [
        (FAR,
         *[(tensor([-x, x]), tensor([[0.0, 2], [1, 0]])) for x in (900.0, 3.0)]),
        ("Equal strengths have a margin of 0, and count as well.",
         (tensor([0.5, 0.5]), tensor([[0.0, 2], [1, 0]]))),
        ("A pair that was never compared counts nothing.",
         (draw.tensor(3), tensor([[0.0, 2, 0], [1, 0, 3], [0, 1, 0]])))], gradient_in=0)


def _other_means() -> Mistakes:
    """More mistakes of `check_mean_surprise`."""
    def pairs_alike(s: Tensor, wins: Tensor) -> Tensor:
        games = wins + wins.T
        return _surprise(s, wins / games.clamp(min=1)) / (games.triu() > 0).sum()

    return {
        "divide by the number of comparisons, not by that of items.":
            lambda s, wins: _surprise(s, wins) / len(s),
        "every comparison is counted twice: divide by the sum of wins_NN.":
            lambda s, wins: _surprise(s, wins) / wins.sum() / 2,
        "only wins on one side of the diagonal are in yours: the others count, too.":
            tuple(lambda s, wins, half=half, all=all: _surprise(s, half(wins))
                  / (wins if all else half(wins)).sum()
                  for half in (torch.triu, torch.tril) for all in (True, False)),
        "that is a squared error: the loss is -log P.":
            lambda s, wins: _surprise(s, wins, lambda x: (1 - (-x).exp()) ** 2)
            / wins.sum(),
        "the winner's strength comes first: s_i - s_j where i was preferred.":
            lambda s, wins: _surprise(s, wins.T) / wins.sum(),
        "count how often: a pair that was compared 5 times counts 5 times.":
            (lambda s, wins: _surprise(s, (wins > 0).double()) / (wins > 0).sum(),
             pairs_alike),
        "that is a mean chance: a surprise has a logarithm.":
            tuple(lambda s, wins, part=part: _surprise(s, wins, part) / wins.sum()
                  for part in (lambda x: 1 - (-x).exp(), lambda x: (-x).exp(),
                               lambda x: -(-x).exp())),
        "that is the margin: the loss is -log sigmoid of it.":
            (lambda s, wins: (wins * (s[:, None] - s)).sum() / wins.sum(),
             lambda s, wins: (wins * (s - s[:, None])).sum() / wins.sum()),
        "only the majority of each pair is in yours: all comparisons count.":
            lambda s, wins: _surprise(s, wins * (wins > wins.T)) / wins.sum(),
        "in bits: nats need no log 2.":
            lambda s, wins: _surprise(s, wins) / wins.sum() / log(2)}


def _fitted(wins: Tensor, prior: float, steps: int = 20) -> Tensor:
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
    """strength_N that makes the summed surprise + prior / 2 sum s^2 least, to .0001.

    The prior pulls to 0, so the strengths are finite and their mean is 0.
    """
    draw = Draw(seed)
    cases = [(draw.tensor(n, n, low=1, high=9).round().fill_diagonal_(0),
              draw.number(0.4, 1.5)) for n in (4, 3)]
    cases[1][0][:, 1], cases[1][0][1] = tensor([9, 0, 9]), tensor([1, 0, 1])  # weakest
    always = draw.tensor(3, 3, low=1, high=9).round().fill_diagonal_(0)
    always[:, 1] = 0
    hold(student, _fitted, [
        ("There the slope of surprise and prior is 0: too few steps, too large ones, a "
         "zero_grad forgotten, or another loss?", *cases)], _other_fits(), digits=3)
    hold(student, _fitted, [
        ("Who always wins has a finite strength, too: the prior holds it.",
         (always, draw.number(0.4, 1.5))),
        ("Who was never compared stays at 0, where the prior is least.",
         (tensor([[0.0, 7, 0], [2, 0, 0], [0, 0, 0]]), draw.number(0.4, 1.5)))],
         digits=3)


def _other_fits() -> Mistakes:
    """Mistakes of `check_fit`."""
    def moved(by: Callable) -> Callable:
        return lambda wins, prior: by(_fitted(wins, prior))

    def share(wins: Tensor, prior: float) -> Tensor:
        return wins.sum(1) / (wins + wins.T).sum(1)

    return {
        "the winner has the larger strength: yours are turned round.":
            moved(lambda s: -s),
        "the prior does nothing in yours: it is prior / 2 times each s_i squared.":
            tuple(lambda wins, prior, mine=mine: _fitted(wins, mine)
                  for mine in (1e-9, 0.1, 1.0)),
        "halve the prior, prior / 2 times s^2: it weighs twice as much in yours.":
            lambda wins, prior: _fitted(wins, 2 * prior),
        "beside the surprise your prior has half its weight: prior / 2 times s^2.":
            lambda wins, prior: _fitted(wins, prior / 2),
        "the surprise is summed, not averaged: beside a mean the prior weighs more.":
            lambda wins, prior: _fitted(wins, prior * wins.sum().item()),
        "the prior sums s^2 over items: yours takes the mean.":
            lambda wins, prior: _fitted(wins, prior / len(wins)),
        "the prior multiplies s^2 / 2: it is no variance to divide by.":
            (lambda wins, prior: _fitted(wins, 1 / prior),
             lambda wins, prior: _fitted(wins, 1 / prior ** 2)),
        "the prior is no number of games: it multiplies s^2 / 2.":
            lambda wins, prior: _fitted(wins + prior, 1e-9),
        "those are log odds of winning at all: whom one has beaten counts.":
            lambda wins, prior: (wins.sum(1) / wins.sum(0).clamp(min=0.5)).log(),
        "that is a share of wins, not a strength.": share,
        "those are exp(s): strengths are their logarithms.":
            (moved(torch.exp), moved(lambda s: s.softmax(dim=0))),
        "the first is no zero point: the prior sets the mean to 0.":
            moved(lambda s: s - s[0]),
        "the last is no zero point: the prior sets the mean to 0.":
            moved(lambda s: s - s[-1]),
        "the weakest is no zero point: the prior sets the mean to 0.":
            moved(lambda s: s - s.min()),
        "strengths keep their spread: do not divide by it.":
            (moved(lambda s: s / s.std()), moved(lambda s: s / s.std(correction=0))),
        **_more_fits()}


def _more_fits() -> Mistakes:
    """Mistakes of `check_fit` in what is counted, or after which nothing has moved."""
    return {
        "only who won more often counts in yours: all comparisons do.":
            lambda wins, prior: _fitted((wins > wins.T).double(), prior),
        "only wins on one side of the diagonal are in yours: the others count, too.":
            (lambda wins, prior: _fitted(wins.triu(), prior),
             lambda wins, prior: _fitted(wins.tril(), prior)),
        "one step is not the minimum: go on until the slope is 0.":
            lambda wins, prior: _fitted(wins, prior, steps=1),
        "all are 0: have they moved, and does a win count as often as it was won?":
            lambda wins, prior: 0 * wins[0]}


def _pairs(mean: Callable, counts: Callable = lambda a, b: a < b,
           loss: Callable = oracles.softplus,
           masked: Callable = lambda a, b: a and b) -> Callable:
    """mean(losses of the pairs of each prompt)."""
    def of(r: Tensor, rank: Tensor, mask: Tensor) -> float:
        return mean([[loss(x[l] - x[w]) for w, l in permutations(range(len(x)), 2)
                      if counts(ranks[w], ranks[l])
                      and masked(there[w], there[l])]
                     for x, ranks, there in zip(*map(Tensor.tolist, (r, rank, mask)))])
    return of


def _in_order(chosen: Callable) -> Callable:
    """The loss of chosen pairs of the responses in order, ties as they come."""
    def of(r: Tensor, rank: Tensor, mask: Tensor) -> float:
        rows = []
        for x, ranks, there in zip(r, rank, mask):
            order = ranks[there].argsort(stable=True)
            both = zip(ranks[there][order].tolist(), x[there][order].tolist())
            pairs = chosen([*both])
            rows.append([oracles.softplus(b - a) for a, b in pairs])
        return _nested(rows)
    return of


def _nested(rows: list) -> float:
    return sum(sum(row) / len(row) for row in rows) / len(rows)


def check_ranking_loss(student: Callable, seed: int | str = 0) -> None:
    """Eq. (1) from r_BK and rank_BK (1 the best, equal ranks are no pair), and mask_BK,
    False where a prompt has fewer than K responses; r is then anything, even nan."""
    draw = Draw(seed)
    tied = [min(x, 2) - (x == 2) for x in draw.order(3)]     # 1, 1 and 2, shuffled
    mixed = draw.random.choice([[2, 3, 1], [3, 1, 2]])       # no index of itself
    rank = torch.tensor([[*tied, 3], [*mixed, 4]])
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    r = draw.tensor(2, 4)
    other = rank.flip(0)
    other[0, 3] = 0
    hold(student, _pairs(_nested), [
        ("Mean over a prompt's pairs, then over prompts; ties are no pairs.",
         (r, rank, mask), (r + draw.tensor(2, 4), other, mask.flip(0)))],
         _other_rankings() | _other_pairs(), gradient_in=0)
    hold(student, _pairs(_nested), [
        ("What is masked may be nan or inf: take it out before the loss, not after.",
         *[(r.masked_fill(~mask, x), rank, mask) for x in (torch.nan, torch.inf)]),
        (FAR,
         *[(scale * rank.double(), rank, mask) for scale in (800, 6, -6)]),
        ("One prompt, three tied responses, two equal rewards.",
         (tensor([[0.5, 0.5, 0.0, -1.0]]), torch.tensor([[1, 2, 2, 2]]),
          torch.ones(1, 4).bool())),
        ("Those that are not there may have any place.",
         (r, rank, torch.tensor([[True, False, True, True], [False] + [True] * 3])))],
         gradient_in=0)


def _other_rankings() -> Mistakes:
    """Mistakes of `check_ranking_loss` in what is summed, and divided by."""
    def divided(by: Callable) -> Callable:
        """The summed losses of a prompt, divided by a number for how many there are."""
        return lambda r, rank, mask: sum(
            _pairs(lambda rows: sum(rows[0]))(r[b:b + 1], rank[b:b + 1], mask[b:b + 1])
            / by(mask[b].sum().item()) for b in range(len(r))) / len(r)

    return {
        "negative: a surprise is minus the logarithm.":
            _pairs(lambda rows: -_nested(rows)),
        "rank 1 is the best: yours raises the worst.":
            _pairs(_nested, lambda a, b: a > b),
        "every prompt has one vote: yours averages over all pairs at once.":
            _pairs(lambda rows: sum(map(sum, rows)) / sum(map(len, rows))),
        "sums over prompts: take their mean.":
            _pairs(lambda rows: len(rows) * _nested(rows)),
        "divides by K (K - 1) / 2 twice: the mean over pairs is that division.":
            _pairs(lambda rows: sum(sum(x) / len(x) ** 2 for x in rows) / len(rows)),
        "sums the pairs of a prompt: take their mean.":
            _pairs(lambda rows: sum(map(sum, rows)) / len(rows)),
        "divides by the pairs that K responses would make: some are tied or missing.":
            (divided(lambda k: 6), divided(lambda k: k * (k - 1) / 2)),
        "divides by all K x K places: only pairs count.":
            (divided(lambda k: 16), divided(lambda k: k * k)),
        "that is the chance of the wrong order: a surprise has a logarithm.":
            _pairs(_nested, loss=oracles.sigmoid),
        "that is a hinge: the loss is -log sigmoid of the margin.":
            (_pairs(_nested, loss=lambda x: max(0, 1 + x)),
             _pairs(_nested, loss=lambda x: max(0, x)))}


def _other_pairs() -> Mistakes:
    """Mistakes of `check_ranking_loss` in which pairs count."""
    def listed(r: Tensor, rank: Tensor, mask: Tensor) -> float:
        return _in_order(lambda x: combinations([r for _, r in x], 2))(
            r, torch.ones_like(rank), mask)

    def indexed(r: Tensor, rank: Tensor, mask: Tensor) -> float:
        return listed(r.gather(1, (rank - 1) % rank.size(1)), rank, mask)

    def filled(rule: Callable, x: float | None) -> Callable:
        return lambda r, rank, mask: _pairs(_nested, masked=rule)(
            r if x is None else r.masked_fill(~mask, x), rank, mask)

    return {
        "ties are no pairs: they count in yours.":
            (_pairs(_nested, lambda a, b: a <= b),
             _in_order(lambda x: combinations([r for _, r in x], 2)),
             _in_order(lambda x: [(a, b) for (i, a), (j, b) in product(x, x)
                                  if i <= j])),
        "only the best against each other one: all pairs count.":
            (_pairs(_nested, lambda a, b: a == 1 < b),
             _in_order(lambda x: [(x[0][1], b) for i, b in x if i > x[0][0]])),
        "only neighbours in the ranking: all pairs count.":
            (_pairs(_nested, lambda a, b: b - a == 1),
             _in_order(lambda x: [(a, b) for (i, a), (j, b) in pairwise(x) if i < j])),
        "only the best against the worst: all pairs count.":
            _in_order(lambda x: [(x[0][1], x[-1][1])]),
        "responses come in any order: their ranks say which is better.": listed,
        "rank_BK[b, k] is the rank of response k, no index of a response.": indexed,
        "responses that are not there count: use the mask, on both of a pair.":
            tuple(filled(rule, x) for x in (None, 0.0, -1e9) for rule in (
                lambda a, b: True, lambda a, b: a, lambda a, b: b))}
