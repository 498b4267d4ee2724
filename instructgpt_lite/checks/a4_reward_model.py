"""Assignment 4: a reward model's grouped loss, its zero, and whether it is calibrated."""

from collections.abc import Callable
from itertools import permutations
from statistics import fmean, median

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import hold, tensor


def check_grouped_loss(student: Callable, seed: int | str = 0) -> None:
    """Eq. (1) from flat responses: r_N, their prompt_N and rank_N (1 the best).

    Prompts of one response, or whose responses are all tied, have no vote.
    """
    def of(mean: Callable, loss: Callable = oracles.softplus,
           alike: Callable = lambda x, y: x == y) -> Callable:
        def grouped(r: Tensor, prompt: Tensor, rank: Tensor) -> float:
            rows = [*zip(r.tolist(), prompt.tolist(), rank.tolist())]
            groups: dict = {p: [] for _, p, _ in rows}
            for (x, p, a), (y, q, b) in permutations(rows, 2):
                if alike(p, q) and a < b:
                    groups[p].append(loss(y - x))
            return mean([each for each in groups.values() if each], len(groups))
        return grouped

    def right(groups: list, prompts: int) -> float:
        return fmean(map(fmean, groups))

    draw = Draw(seed)
    ranks = [*draw.order(4), *draw.order(2), 1, *draw.order(3), 2, 2]
    rows = [*zip([5] * 4 + [2] * 2 + [7] + [0] * 3 + [3] * 2, ranks)]
    cases = []
    for _ in range(2):
        draw.random.shuffle(rows)
        prompt, rank = map(list, zip(*rows))
        cases.append((draw.tensor(12), torch.tensor(prompt), torch.tensor(rank)))
    hold(student, of(right), [
        ("Pairs of one prompt; mean over its pairs, then over prompts that have any.",
         *cases)], {
        "negative: a surprise is minus the logarithm.":
            of(lambda *x: -right(*x)),
        "responses to different prompts make no pair.":
            of(right, alike=lambda x, y: True),
        "every prompt has one vote: yours averages over all pairs at once.":
            of(lambda groups, _: fmean(sum(groups, []))),
        "a prompt without pairs has no vote: it is in the number you divide by.":
            of(lambda groups, n: sum(map(fmean, groups)) / n),
        "sums the pairs of a prompt: take their mean.":
            of(lambda groups, _: fmean(map(sum, groups))),
        "sums over prompts: take their mean.":
            of(lambda groups, _: sum(map(fmean, groups))),
        "divides by the number of responses: prompts have the votes.":
            of(lambda groups, _: sum(map(fmean, groups)) / 12),
        "divides by the pairs twice: a mean is that division.":
            of(lambda groups, _: fmean(sum(x) / len(x) ** 2 for x in groups)),
        "rank 1 is the best: yours raises the worst.":
            of(right, loss=lambda x: oracles.softplus(-x)),
        "that is the chance of the wrong order: a surprise has a logarithm.":
            of(right, loss=oracles.sigmoid),
        "that is a hinge, max(0, -margin): the loss is -log sigmoid.":
            of(right, loss=lambda x: max(x, 0.0))}, gradient_in=0)
    hold(student, of(right), [
        ("Far apart, log(sigmoid) is -inf: use logsigmoid.",
         (700 * cases[0][0], *cases[0][1:]))], gradient_in=0)


def check_centred_bias(student: Callable, seed: int | str = 0) -> None:
    """The bias with which demonstrations average 0, from weight_D, bias and h_MD.

    The reward of a text is h . weight + bias; h_MD are the demonstrations' last states.
    """
    def of(rule: Callable) -> Callable:
        def new(weight: Tensor, bias: float, h: Tensor) -> float:
            dots = [sum(w * x for w, x in zip(weight.tolist(), row))
                    for row in h.tolist()]
            return rule(dots, bias)
        return new

    draw = Draw(seed)
    hold(student, of(lambda dots, bias: -fmean(dots)), [
        ("With the new bias the mean of h . weight + bias over demonstrations is 0.",
         *[(draw.tensor(3), draw.number(0.5, 3), draw.tensor(n, 3, low=0.5))
           for n in (4, 5)])], {
        "that is the mean reward: the new bias takes it off.":
            of(lambda dots, bias: fmean(dots) + bias),
        "that is what to add to the old bias: give the new one, which replaces it.":
            of(lambda dots, bias: -fmean(dots) - bias),
        "the sign: then the mean would be twice as far from 0.":
            of(lambda dots, bias: fmean(dots)),
        "a mean, not a sum over demonstrations.": of(lambda dots, bias: -sum(dots)),
        "the mean of all, not the middle one.": of(lambda dots, bias: -median(dots)),
        "the mean of all, not the best one.": of(lambda dots, bias: -max(dots)),
        "0 as a bias does not make the mean 0.": of(lambda dots, bias: 0.0),
        "the old bias with its sign turned centres nothing.":
            of(lambda dots, bias: -bias),
        "nothing has moved.": of(lambda dots, bias: bias),
        "moved the wrong way: take the mean off, do not add it.":
            of(lambda dots, bias: 2 * bias + fmean(dots)),
        "the mean of h . weight: weights are missing.":
            lambda weight, bias, h: -h.mean().item(),
        "a mean over demonstrations, not over their dimensions.":
            lambda weight, bias, h: -(h @ weight).sum().item() / len(weight)})


def check_reliability(student: Callable, seed: int | str = 0) -> None:
    """[[mean p, share of won, count], ...] of the bins that hold anything, in order.

    p_N is the chance that the model gave, won_N whether it came true; bin b of `bins`
    holds b / bins <= p < (b + 1) / bins, the last one p = 1, too.
    """
    def of(inside: Callable = lambda p, b, n: min(int(p * n), n - 1) == b,
           row: Callable = lambda p, won: [fmean(p), fmean(won), float(len(p))],
           empty: bool = False) -> Callable:
        def table(p: Tensor, won: Tensor, bins: int) -> list:
            out = []
            for b in range(bins):
                here = [(x, float(w)) for x, w in zip(p.tolist(), won.tolist())
                        if inside(x, b, bins)]
                out += [row(*zip(*here))] if here else [[0.0] * 3] * empty
            return tensor(out)
        return table

    draw = Draw(seed)
    cases = []
    for bins in (4, 5):
        p = draw.tensor(9, low=0.02, high=0.98)
        p[:4] = tensor([1.0, 0.03, 0.5, 1 - 0.5 / bins])
        p[(p >= 1 / bins) & (p < 2 / bins)] = 0.03               # a bin that is empty
        won = torch.tensor(draw.integers(9, 0, 1)).bool()
        won[:4] = torch.tensor([True, False, True, True])
        cases.append((p, won, bins))
    hold(student, of(), [
        ("Of each bin that holds anything: mean chance, share won, count.", *cases)], {
        "bins that hold nothing are left out.": of(empty=True),
        "p = 1 belongs to the last bin.": of(lambda p, b, n: int(p * n) == b),
        "the first number is the mean chance, not the middle of the bin.":
            of(row=lambda p, won: [
                (min(int(p[0] * 5), 4) + 0.5) / 5, fmean(won), float(len(p))]),
        "won comes second, the chance first.":
            of(row=lambda p, won: [fmean(won), fmean(p), float(len(p))]),
        "won is a share: divide by the count.":
            of(row=lambda p, won: [fmean(p), sum(won), float(len(p))]),
        "chances are averaged: divide by the count.":
            of(row=lambda p, won: [sum(p), fmean(won), float(len(p))]),
        "the third is a count, not a share of all.":
            of(row=lambda p, won: [fmean(p), fmean(won), len(p) / 9]),
        "that is the share that was lost.":
            of(row=lambda p, won: [fmean(p), 1 - fmean(won), float(len(p))]),
        "one bin for all: sort by chance first.":
            of(lambda p, b, n: b == 0),
        "the last bin comes last: yours are turned round.":
            lambda *case: of()(*case).flip(0),
        "the gap is for the reader: give chance and share.":
            of(row=lambda p, won: [fmean(p) - fmean(won), fmean(won), float(len(p))]),
        "the median is no mean.":
            of(row=lambda p, won: [median(p), fmean(won), float(len(p))])})


def check_pair_accuracy(student: Callable, seed: int | str = 0) -> None:
    """Share of the ranked pairs whose better has the larger reward; equal ones half.

    r_BK, rank_BK; equal ranks are no pair, and every pair counts the same.
    """
    def of(mean: Callable = lambda rows: fmean(sum(rows, [])), tie: float = 0.5,
           counts: Callable = lambda a, b: a < b,
           won: Callable = lambda x, y: x > y) -> Callable:
        return lambda r, rank: mean([[tie if x[w] == x[l] else float(won(x[w], x[l]))
                                      for w, l in permutations(range(len(x)), 2)
                                      if counts(ranks[w], ranks[l])]
                                     for x, ranks in zip(r.tolist(), rank.tolist())])

    draw = Draw(seed)
    rank = torch.tensor([draw.order(4) for _ in range(3)])
    rank[0, rank[0] == 4] = 3
    cases = []
    for _ in range(4):
        r = draw.tensor(3, 4)
        r[1, 0] = r[1, 1]                                        # a tie of rewards
        r[2] = -rank[2] / 2 + draw.number() / 100
        cases.append((r, rank))
    hold(student, of(), [
        ("All ranked pairs, each once; equal rewards are half right.", *cases)], {
        "equal rewards are half right, not wrong.": of(tie=0.0),
        "equal rewards are half right, not right.": of(tie=1.0),
        "rank 1 is the best: yours counts pairs in the wrong order.":
            of(won=lambda x, y: x < y),
        "equal ranks are no pair.": of(counts=lambda a, b: a <= b),
        "every pair counts the same: yours averages prompts.":
            of(lambda rows: fmean(map(fmean, rows))),
        "each pair once: both ways round it is one half.":
            of(counts=lambda a, b: a != b),
        "that is how many: divide by the pairs.": of(lambda rows: sum(sum(rows, []))),
        "only the best against each other one: all pairs count.":
            of(counts=lambda a, b: a == 1 < b),
        "only neighbours in the ranking: all pairs count.":
            of(counts=lambda a, b: b - a == 1),
        "divides by all places, not by pairs.":
            lambda r, rank: of(lambda rows: sum(sum(rows, [])))(r, rank) / r.numel(),
        "that is how often the best has the largest reward: all pairs count.":
            lambda r, rank: fmean(float(x[ranks.index(1)] == max(x))
                                  for x, ranks in zip(r.tolist(), rank.tolist())),
        "nothing is wrong in yours: rewards decide, not ranks.":
            of(lambda rows: 1.0)})
