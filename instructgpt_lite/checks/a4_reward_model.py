"""Assignment 4: a reward model's grouped loss, its zero, and its calibration."""

from collections.abc import Callable
from itertools import combinations, groupby, pairwise, product
from math import ceil, nan
from statistics import fmean, median, pstdev, stdev

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.a1_preferences import FAR
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import Mistakes, hold, tensor


def _grouped(mean: Callable, loss: Callable = oracles.softplus,
             alike: Callable = lambda x, y: x == y,
             counts: Callable = lambda a, b: a < b, itself: bool = False) -> Callable:
    """mean(losses of the pairs of each prompt that has any, number of prompts)."""
    def of(r: Tensor, prompt: Tensor, rank: Tensor) -> float:
        rows = [*enumerate(zip(r.tolist(), prompt.tolist(), rank.tolist()))]
        groups: dict = {p: [] for _, (_, p, _) in rows}
        for (i, (x, p, a)), (j, (y, q, b)) in product(rows, rows):
            if (itself or i != j) and alike(p, q) and counts(a, b):
                groups[p].append(loss(y - x))
        return mean([each for each in groups.values() if each], len(groups))
    return of


def _of_prompts(groups: list, prompts: int) -> float:
    return fmean(map(fmean, groups))


def _all_summed(groups: list, prompts: int) -> float:
    return sum(sum(groups, []))


def check_grouped_loss(student: Callable, seed: int | str = 0) -> None:
    """Eq. (1) from flat responses: r_N, their prompt_N and rank_N (1 the best).

    Prompts of one response, or whose responses are all tied, have no vote.
    """
    draw = Draw(seed)
    tied = draw.random.sample([1, 2, 2, 3], 4)
    ranks = [*tied, *draw.order(2), 1, *draw.order(3), 2, 2]
    rows = [*zip([5] * 4 + [2] * 2 + [7] + [0] * 3 + [3] * 2, ranks)]
    cases = []
    for _ in range(2):
        draw.random.shuffle(rows)
        prompt, rank = map(list, zip(*rows))
        cases.append((draw.tensor(12), torch.tensor(prompt), torch.tensor(rank)))
    hold(student, _grouped(_of_prompts), [
        ("Pairs of one prompt; mean over its pairs, then over prompts that have any.",
         *cases)], _other_groups() | _other_pairs(), gradient_in=0)
    hold(student, _grouped(_of_prompts), [
        (FAR,
         *[(scale * cases[0][2].double(), *cases[0][1:]) for scale in (900, 6, -6)]),
        ("A prompt of three ties has no vote; equal rewards make a margin of 0.",
         (tensor([0.5, 0.5, 0.1, 0.2, 0.3]), torch.tensor([0, 0, 1, 1, 1]),
          torch.tensor([1, 2, 1, 1, 1]))),
        ("Three of four may be tied: three pairs are left.",
         (draw.tensor(6), torch.tensor([8, 8, 3, 8, 8, 3]),
          torch.tensor([2, 1, 2, 2, 2, 1])))], gradient_in=0)


def _other_groups() -> Mistakes:
    """Mistakes of `check_grouped_loss` in what is summed, and divided by."""
    def over_ids(r: Tensor, prompt: Tensor, rank: Tensor) -> float:
        total = _grouped(lambda groups, _: sum(map(fmean, groups)))(r, prompt, rank)
        return total / (prompt.max().item() + 1)

    def possible(r: Tensor, prompt: Tensor, rank: Tensor) -> float:
        """Of all prompts, the sum over pairs by n (n - 1) / 2."""
        one, counts = _grouped(_all_summed), prompt.unique(return_counts=True)
        return fmean(one(*(x[prompt == p] for x in (r, prompt, rank))) / max(
            n * (n - 1) / 2, 1) for p, n in zip(*map(Tensor.tolist, counts)))

    return {
        "negative: a surprise is minus the logarithm.":
            _grouped(lambda *x: -_of_prompts(*x)),
        "every prompt has one vote: yours averages over all pairs at once.":
            _grouped(lambda groups, _: fmean(sum(groups, []))),
        "a prompt without pairs has no vote: it is in the number you divide by.":
            (_grouped(lambda groups, n: sum(map(fmean, groups)) / n), over_ids),
        "the mean of no pairs is nan: leave out prompts that have none.":
            lambda *case: nan,
        "sums the pairs of a prompt: take their mean.":
            (_grouped(lambda groups, _: fmean(map(sum, groups))),
             _grouped(_all_summed)),
        "sums over prompts: take their mean.":
            _grouped(lambda groups, _: sum(map(fmean, groups))),
        "divides by the pairs that so many responses would make: some are tied.":
            (possible, lambda *case: possible(*case) * len(case[1].unique()) / sum(
                len(case[2][case[1] == p].unique()) > 1 for p in case[1].unique())),
        "divides by the number of responses: prompts have the votes.":
            _grouped(lambda groups, _: sum(map(fmean, groups)) / 12),
        "divides by the pairs twice: a mean is that division.":
            _grouped(lambda groups, _: fmean(sum(x) / len(x) ** 2 for x in groups)),
        "that is the chance of the wrong order: a surprise has a logarithm.":
            _grouped(_of_prompts, loss=oracles.sigmoid),
        "that is a hinge, max(0, -margin): the loss is -log sigmoid.":
            _grouped(_of_prompts, loss=lambda x: max(x, 0.0))}


def _other_pairs() -> Mistakes:
    """Mistakes of `check_grouped_loss` in which pairs count."""
    def best_and_worst(r: Tensor, prompt: Tensor, rank: Tensor) -> float:
        ends = [(min(rows), max(rows)) for p in set(prompt.tolist()) for rows in [
            [*zip(rank[prompt == p].tolist(), r[prompt == p].tolist())]]]
        return fmean(oracles.softplus(y - x) for (a, x), (b, y) in ends if a < b)

    def neighbours(r: Tensor, prompt: Tensor, rank: Tensor) -> float:
        """Responses grouped as if those of a prompt stood together."""
        runs = [n for n, (_, group) in enumerate(groupby(prompt.tolist()))
                for _ in group]
        one = _grouped(lambda groups, _: _of_prompts(groups, _) if groups else 0.0)
        return one(r, torch.tensor(runs), rank)

    return {
        "responses to different prompts make no pair.":
            tuple(_grouped(mean, alike=lambda x, y: True) for mean in (
                _of_prompts, lambda groups, _: fmean(sum(groups, [])))),
        "rank 1 is the best: yours raises the worst.":
            _grouped(_of_prompts, loss=lambda x: oracles.softplus(-x)),
        "ties are no pairs: they count in yours.":
            tuple(_grouped(_of_prompts, counts=lambda a, b: a <= b, itself=itself)
                  for itself in (False, True)),
        "responses of a prompt may stand apart: sort, or compare ids.": neighbours,
        "only the best against the worst: all pairs count.": best_and_worst,
        "only the best against each other one: all pairs count.":
            _grouped(_of_prompts, counts=lambda a, b: a == 1 < b),
        "only neighbours in the ranking: all pairs count.":
            _grouped(_of_prompts, counts=lambda a, b: b - a == 1)}


def _bias(rule: Callable) -> Callable:
    """rule(h . weight of each demonstration, old bias)."""
    def new(weight: Tensor, bias: float, h: Tensor) -> float:
        dots = [sum(w * x for w, x in zip(weight.tolist(), row))
                for row in h.tolist()]
        return rule(dots, bias)
    return new


def check_centred_bias(student: Callable, seed: int | str = 0) -> None:
    """The bias with which demonstrations average 0, from weight_D, bias and h_MD.

    The reward of a text is h . weight + bias; h_MD are the demonstrations' last states.
    """
    draw = Draw(seed)
    cases = []
    for places in ([1, 3, 0, 2], [1, 4, 0, 2, 3]):     # no extreme first or last
        weight, bias = draw.tensor(3), draw.number(0.5, 3)
        h = draw.tensor(len(places), 3, low=0.5)
        cases.append((weight, bias, h[(h @ weight).argsort()[places]]))
    cases.append((-weight, bias, cases[-1][2][1:4]))   # once above 0, once below
    hold(student, _bias(lambda dots, bias: -fmean(dots)), [
        ("With the new bias the mean of h . weight + bias over demonstrations is 0.",
         *cases)], _other_biases())


def _other_biases() -> Mistakes:
    """Mistakes of `check_centred_bias`."""
    return {
        "that is the mean reward: the new bias takes it off.":
            _bias(lambda dots, bias: fmean(dots) + bias),
        "that is what to add to the old bias: give the new one, which replaces it.":
            _bias(lambda dots, bias: -fmean(dots) - bias),
        "the sign: then the mean would be twice as far from 0.":
            _bias(lambda dots, bias: fmean(dots)),
        "the mean may be above 0 or below: no absolute values.":
            (_bias(lambda dots, bias: abs(fmean(dots))),
             _bias(lambda dots, bias: -abs(fmean(dots)))),
        "a mean, not a sum over demonstrations.": _bias(lambda dots, bias: -sum(dots)),
        "the mean of all, not the middle one.": _bias(lambda dots, bias: -median(dots)),
        "the mean of all, not the best one.": _bias(lambda dots, bias: -max(dots)),
        "the old bias is still in yours: the new one replaces it.":
            _bias(lambda dots, bias: bias - fmean(dots)),
        "the mean of all, not one demonstration.":
            (_bias(lambda dots, bias: -dots[0]), _bias(lambda dots, bias: -dots[-1])),
        "centred only: do not divide by the spread.":
            (_bias(lambda dots, bias: -fmean(dots) / stdev(dots)),
             _bias(lambda dots, bias: -fmean(dots) / pstdev(dots))),
        "0 as a bias does not make the mean 0.": _bias(lambda dots, bias: 0.0),
        "the old bias with its sign turned centres nothing.":
            _bias(lambda dots, bias: -bias),
        "nothing has moved.": _bias(lambda dots, bias: bias),
        "moved the wrong way: take the mean off, do not add it.":
            _bias(lambda dots, bias: 2 * bias + fmean(dots)),
        "the mean of h . weight: weights are missing.":
            (lambda weight, bias, h: -h.mean().item(),
             lambda weight, bias, h: -h.mean(dim=0).sum().item()),
        "a mean over demonstrations, not over their dimensions.":
            (lambda weight, bias, h: -(h @ weight).sum().item() / len(weight),
             lambda weight, bias, h: -(h * weight).mean().item())}


def _usual_bin(p: float, b: int, bins: int) -> bool:
    return min(int(p * bins), bins - 1) == b


def _table(inside: Callable = _usual_bin,
           row: Callable = lambda p, won, at: [fmean(p), fmean(won), float(len(p))],
           empty: list | None = None, more: int = 0) -> Callable:
    """Rows of bins; at: (number of the bin, how many there are)."""
    def of(p: Tensor, won: Tensor, bins: int) -> tuple:
        out = []
        for b in range(bins + more):
            here = [(x, float(w)) for x, w in zip(p.tolist(), won.tolist())
                    if inside(x, b, bins)]
            out += [row(*zip(*here), (b, bins))] if here else [empty] * bool(empty)
        return tuple(out)
    return of


def check_reliability(student: Callable, seed: int | str = 0) -> None:
    """[[mean p, share of won, count], ...] of the bins that hold anything, in order.

    p_N is the chance that the model gave, won_N whether it came true; bin b of `bins`
    holds b / bins <= p < (b + 1) / bins, the last one p = 1, too.
    """
    draw = Draw(seed)
    cases = []
    for bins in (8, 5):
        p = draw.tensor(9, low=0.02, high=0.98)
        p[:5] = tensor([1.0, 0.03, 0.5, 1 - 0.5 / bins, 0.6])
        p[(p >= 1 / bins) & (p < 2 / bins)] = 0.03               # a bin that is empty
        p += 0.003 * (bins == 5) * (p < 1)     # fifths have no exact number: no edges
        won = torch.tensor(draw.integers(9, 0, 1)).bool()
        won[:5] = torch.tensor([True, False, True, True, False])
        cases.append((p, won, bins))
    hold(student, _table(), [
        ("Of each bin that holds anything: mean chance, share won, count.", *cases)],
        _other_bins() | _other_columns())
    hold(student, _table(), [
        ("p = 0 is in bin 0, and the last bin may be empty.",
         (tensor([0.3, 0.0, 0.1]), torch.tensor([True, False, True]), 4)),
        ("There may be one bin.",
         (tensor([0.4, 1.0]), torch.tensor([True, False]), 1))])


def _other_bins() -> Mistakes:
    """Mistakes of `check_reliability` in who is in a bin."""
    def quantiles(p: Tensor, won: Tensor, bins: int) -> list:
        parts = [part.tolist() for part in p.argsort().tensor_split(bins)]
        return [[p[part].mean().item(), won[part].double().mean().item(), len(part)]
                for part in parts]

    def stretched(p: Tensor, won: Tensor, bins: int) -> list:
        place = (p - p.min()) / (p.max() - p.min())
        table = _table(lambda x, b, n: _usual_bin(x[0], b, n),
                       lambda both, won, at: [fmean(p for _, p in both), fmean(won),
                                              float(len(both))])
        return table(torch.stack([place, p], dim=1), won, bins)

    return {
        "bins that hold nothing are left out.":
            (_table(empty=[0.0] * 3), _table(empty=[nan, nan, 0.0])),
        "p = 1 belongs to the last bin.":
            (_table(lambda p, b, n: int(p * n) == b),
             _table(lambda p, b, n: int(p * n) == b, more=1)),
        "a bin holds its lower edge, not its upper one.":
            _table(lambda p, b, n: max(ceil(p * n) - 1, 0) == b),
        "bins are equally wide, not equally full.": quantiles,
        "bins cut 0 to 1, not the least chance to the largest.": stretched,
        "p * bins is cut off, not rounded.":
            _table(lambda p, b, n: min(round(p * n), n - 1) == b),
        "one bin for all: sort by chance first.": _table(lambda p, b, n: b == 0),
        "the last bin comes last: yours are turned round.":
            lambda *case: _table()(*case)[::-1]}


def _other_columns() -> Mistakes:
    """Mistakes of `check_reliability` in the three numbers of a bin."""
    def first(of: Callable) -> Callable:
        return _table(row=lambda p, won, at: [of(*at), fmean(won), float(len(p))])

    return {
        "the first number is the mean chance, not the middle of the bin.":
            first(lambda b, bins: (b + 0.5) / bins),
        "the first number is the mean chance, not an edge of the bin.":
            (first(lambda b, bins: b / bins), first(lambda b, bins: (b + 1) / bins)),
        "the first number is the mean chance, not the bin's number.":
            (first(lambda b, bins: b), first(lambda b, bins: b + 1)),
        "won comes second, the chance first.":
            _table(row=lambda p, won, at: [fmean(won), fmean(p), float(len(p))]),
        "won is a share: divide by the count.":
            _table(row=lambda p, won, at: [fmean(p), sum(won), float(len(p))]),
        "chances are averaged: divide by the count.":
            _table(row=lambda p, won, at: [sum(p), fmean(won), float(len(p))]),
        "the third is a count, not a share of all.":
            _table(row=lambda p, won, at: [fmean(p), fmean(won), len(p) / 9]),
        "that is how often the likelier won: the share that came true is wanted.":
            lambda p, won, bins: _table()(p, (p >= 0.5) == won, bins),
        "that is the share that was lost.":
            _table(row=lambda p, won, at: [fmean(p), 1 - fmean(won), float(len(p))]),
        "the gap is for the reader: give chance and share.":
            _table(row=lambda p, won, at: [
                fmean(p) - fmean(won), fmean(won), float(len(p))]),
        "the median is no mean.":
            _table(row=lambda p, won, at: [median(p), fmean(won), float(len(p))])}


def _points(mean: Callable = lambda rows: fmean(sum(rows, [])), tie: float = 0.5,
            counts: Callable = lambda a, b: a < b,
            won: Callable = lambda x, y: x > y) -> Callable:
    """mean(points of the pairs of each prompt)."""
    def of(r: Tensor, rank: Tensor) -> float:
        rows = [[*zip(x, k)] for x, k in zip(r.tolist(), rank.tolist())]
        return mean([[tie if x == y else float(won(x, y))
                      for i, (x, a) in enumerate(row) for j, (y, b) in enumerate(row)
                      if i != j and counts(a, b)] for row in rows])
    return of


def _ordered(chosen: Callable) -> Callable:
    """The points of chosen pairs of responses in order, ties as they come."""
    def of(r: Tensor, rank: Tensor) -> float:
        pairs = [pair for x, k in zip(r.tolist(), rank.tolist())
                 for pair in chosen(sorted(zip(k, x), key=lambda row: row[0]))]
        return fmean(0.5 if x == y else float(x > y) for (_, x), (_, y) in pairs)
    return of


def check_pair_accuracy(student: Callable, seed: int | str = 0) -> None:
    """Share of the ranked pairs whose better has the larger reward; equal ones half.

    r_BK, rank_BK; equal ranks are no pair, and every pair counts the same.
    """
    draw = Draw(seed)
    rank = torch.tensor([draw.order(4) for _ in range(3)])
    rank[0, rank[0] == 4] = 3
    cases = []
    for _ in range(4):
        r = draw.tensor(3, 4)
        r[1, 0] = r[1, 1]                                        # a tie of rewards
        r[2] = -rank[2] / 2 + draw.number() / 100
        cases.append((r, rank))
    hold(student, _points(), [
        ("All ranked pairs, each once; equal rewards are half right.", *cases)],
        _other_points() | _other_shares())
    hold(student, _points(), [
        ("Equal rewards of a ranked pair are half right, equal ranks are no pair.",
         (tensor([[0.0, 0, 1]]), torch.tensor([[1, 2, 3]])),
         (tensor([[1.0, 1, 0]]), torch.tensor([[1, 1, 2]]))),
        ("Nearly equal is not equal.",
         (tensor([[1.0, 1.0001]]), torch.tensor([[2, 1]]))),
        ("A prompt whose responses are all tied has no pair.",
         (draw.tensor(2, 3), torch.tensor([[1, 1, 1], [2, 1, 3]])))])


def _other_points() -> Mistakes:
    """Mistakes of `check_pair_accuracy` in which pairs count, and how much."""
    return {
        "equal rewards are half right, not wrong.": _points(tie=0.0),
        "equal rewards are half right, not right.": _points(tie=1.0),
        "equal rewards are half right: yours leaves them out.":
            _points(lambda rows: fmean(x for x in sum(rows, []) if x != 0.5)),
        "rank 1 is the best: yours counts pairs in the wrong order.":
            _points(won=lambda x, y: x < y),
        "equal ranks are no pair.":
            (_points(counts=lambda a, b: a <= b),
             _ordered(lambda row: combinations(row, 2)),
             _ordered(lambda row: [(x, y) for x, y in product(row, row)
                                   if x[0] <= y[0]])),
        "each pair once: both ways round it is one half.":
            _points(counts=lambda a, b: a != b),
        "only the best against each other one: all pairs count.":
            _points(counts=lambda a, b: a == 1 < b),
        "only neighbours in the ranking: all pairs count.":
            (_points(counts=lambda a, b: b - a == 1),
             _ordered(lambda row: [(x, y) for x, y in pairwise(row) if x[0] < y[0]])),
        "responses to different prompts make no pair.":
            lambda r, rank: _points()(r.view(1, -1), rank.view(1, -1))}


def _other_shares() -> Mistakes:
    """Mistakes of `check_pair_accuracy` in what is averaged."""
    def total(r: Tensor, rank: Tensor) -> float:
        return _points(lambda rows: sum(sum(rows, [])))(r, rank)

    def best(r: Tensor, rank: Tensor) -> float:
        return fmean(float(x[ranks.index(1)] == max(x))
                     for x, ranks in zip(r.tolist(), rank.tolist()))

    def mean_chance(r: Tensor, rank: Tensor) -> Tensor:
        margin = r[:, :, None] - r[:, None]
        return margin.sigmoid()[rank[:, :, None] < rank[:, None]].mean()

    return {
        "every pair counts the same: yours averages prompts.":
            _points(lambda rows: fmean(map(fmean, rows))),
        "that is how many: divide by the pairs.": total,
        "divides by all places, not by pairs.":
            (lambda r, rank: total(r, rank) / r.numel(),
             lambda r, rank: total(r, rank) / r.numel() / r.size(1)),
        "divides by K (K - 1) / 2 a prompt: equal ranks are no pair.":
            lambda r, rank: total(r, rank) / (len(r) * 6),
        "that is how often the best has the largest reward: all pairs count.":
            (best, lambda r, rank: (r.argmax(1) == rank.argmin(1)).double().mean()),
        "that is the mean chance: count whose reward is larger.": mean_chance,
        "that is Kendall's tau, from -1 to 1: the share is (1 + tau) / 2.":
            lambda r, rank: 2 * _points()(r, rank) - 1,
        "nothing is wrong in yours: rewards decide, not ranks.":
            _points(lambda rows: 1.0)}
