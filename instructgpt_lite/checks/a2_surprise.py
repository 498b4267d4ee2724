"""Assignment 2: KL, its estimators, and which of them one may differentiate."""

from collections.abc import Callable
from itertools import permutations
from math import exp, inf, log
from statistics import fmean

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import Mistakes, hold, tensor


def check_kl_rows(student: Callable, seed: int | str = 0) -> None:
    """KL(p || q) of each row, nats, from logp_BV and logq_BV; 0 log 0 is 0."""
    def rows(logp: Tensor, logq: Tensor) -> Tensor:
        return tensor([oracles.kl(p, q) for p, q in zip(logp, logq)])

    def plain(p: Tensor, q: Tensor) -> Tensor:
        return (p.exp() * (p - q)).sum(dim=-1)

    draw = Draw(seed)
    p, q = draw.logp(3, 4), draw.logp(3, 4)
    hold(student, rows, [("Sum over the words of a row, weighed by p.", (p, q))], {
        "has the wrong sign: log p comes first.": lambda p, q: -plain(p, q),
        "has the arguments exchanged: that is KL(q || p).": lambda p, q: plain(q, p),
        "weighs by q: the expectation is under p.":
            lambda p, q: (q.exp() * (p - q)).sum(dim=-1),
        "takes the mean over words: p weighs them already.":
            lambda p, q: plain(p, q) / p.size(-1),
        "sums over rows, too: give one number a row.": lambda p, q: plain(p, q).sum(),
        "averages over everything: sum over words, and give one number a row.":
            lambda p, q: plain(p, q).mean() / p.size(-1),
        "averages over rows: give one number a row.": lambda p, q: plain(p, q).mean(),
        "counts all words alike: weigh each by p.": lambda p, q: (p - q).sum(dim=-1),
        "weighs by log p: take exp first.": lambda p, q: (p * (p - q)).sum(dim=-1),
        "is the cross-entropy: the surprise under p comes off.":
            lambda p, q: -(p.exp() * q).sum(dim=-1),
        "is the entropy of p: q is not in it.":
            lambda p, q: -(p.exp() * p).sum(dim=-1),
        "takes both directions: KL(p || q) is one of them.":
            (lambda p, q: (plain(p, q) + plain(q, p)) / 2,
             lambda p, q: plain(p, q) + plain(q, p)),
        "takes absolute values: a word that q likes more comes off.":
            lambda p, q: (p.exp() * (p - q).abs()).sum(dim=-1),
        "sums over the wrong axis: words are the last one.":
            lambda p, q: (p.exp() * (p - q)).sum(dim=0),
        "counts in bits: nats need no log 2.": lambda p, q: plain(p, q) / log(2)})
    none = torch.zeros(3, 4, dtype=torch.bool)
    none[0, 1] = none[2, 3] = True
    cut_p, cut_q = (x.masked_fill(none, -inf).log_softmax(dim=-1) for x in (p, q))
    hold(student, rows, [
        ("What p excludes costs nothing: 0 log 0 is 0.", (cut_p, q)),
        ("What both exclude costs nothing either.", (cut_p, cut_q)),
        ("What p allows and q excludes costs infinity: add nothing, drop nothing.",
         (p, cut_q), (tensor([[-inf, 0.0]]), tensor([[0.0, -inf]])))])


def _k1(p: float, q: float) -> float:
    return p - q


def _k2(p: float, q: float) -> float:
    return (p - q) ** 2 / 2


def _k3(p: float, q: float) -> float:
    return exp(q - p) - 1 - (q - p)


def _means(*each: Callable) -> Callable:
    """The means of functions of log p and log q."""
    return lambda p, q: tuple(fmean(map(k, p.tolist(), q.tolist())) for k in each)


def check_estimates(student: Callable, seed: int | str = 0) -> None:
    """(k1, k2, k3): means over samples from p, given their logp_N and logq_N."""
    draw = Draw(seed)
    hold(student, _means(_k1, _k2, _k3), [
        ("k1 = log p/q, k2 = (log p/q)^2 / 2, k3 = q/p - 1 - log q/p: each a mean.",
         *[(draw.tensor(n, low=-3, high=0), draw.tensor(n, low=-3, high=0))
           for n in (5, 4)])], _one_wrong() | _all_wrong())


def _one_wrong() -> Mistakes:
    """Mistakes of `check_estimates` in one of the three."""
    def turned(k: Callable) -> Callable:
        return lambda p, q: k(q, p)

    def of_mean(k: Callable, k1: float) -> float:
        return k(k1, 0.0)

    return {
        "k1 is log p - log q: yours has the sign of log q - log p.":
            _means(turned(_k1), _k2, _k3),
        "the ratio in k3 is q / p: samples come from p.": _means(_k1, _k2, turned(_k3)),
        "p and q are exchanged in k1 and k3: samples come from p.":
            _means(turned(_k1), _k2, turned(_k3)),
        "k2 has one half.": _means(_k1, lambda p, q: (p - q) ** 2, _k3),
        "k2 squares the logarithm of the ratio, not the ratio.":
            (_means(_k1, lambda p, q: (exp(q - p) - 1) ** 2 / 2, _k3),
             _means(_k1, lambda p, q: (exp(p - q) - 1) ** 2 / 2, _k3),
             _means(_k1, lambda p, q: exp(q - p) ** 2 / 2, _k3)),
        "k3 has - 1: it is 0 where p = q.":
            _means(_k1, _k2, lambda p, q: exp(q - p) - (q - p)),
        "k3 is q/p - 1 - log(q/p): without the last term its mean is 0.":
            _means(_k1, _k2, lambda p, q: exp(q - p) - 1),
        "k3 adds the logarithm in yours: it comes off.":
            _means(_k1, _k2, lambda p, q: exp(q - p) - 1 + (q - p)),
        "k1 may be negative on a sample: no absolute value.":
            _means(lambda p, q: abs(p - q), _k2, _k3),
        "k2 squares each sample, then takes the mean: yours squares the mean.":
            lambda p, q: (_means(_k1)(p, q)[0], of_mean(_k2, _means(_k1)(p, q)[0]),
                          _means(_k3)(p, q)[0]),
        "k3 is the mean of each sample's k3: yours is k3 of the mean.":
            lambda p, q: (*_means(_k1, _k2)(p, q), of_mean(_k3, _means(_k1)(p, q)[0]))}


def _all_wrong() -> Mistakes:
    """Mistakes of `check_estimates` in all three."""
    three = (_k1, _k2, _k3)

    def weighed(mean: Callable) -> Callable:
        return lambda p, q: tuple(mean([exp(a) * k(a, b) for a, b in zip(
            p.tolist(), q.tolist())]) for k in three)

    return {
        "these are sums: take the means over samples.":
            lambda p, q: tuple(len(p) * x for x in _means(*three)(p, q)),
        "one number a sample: take the means over samples.":
            lambda p, q: [[*map(k, p.tolist(), q.tolist())] for k in three],
        "samples came from p already: do not weigh them by p again.":
            (weighed(fmean), weighed(sum)),
        "the order is k1, k2, k3.":
            tuple(_means(*order) for order in permutations(three))[1:]}


def _with_p(of: Callable) -> Callable:
    """of(p, log p/q, KL, log q) as a function of logits and log q."""
    def slope(z: Tensor, q: Tensor) -> Tensor:
        logp = z.log_softmax(dim=-1)
        p, ratio = logp.exp(), logp - q
        return of(p, ratio, (p * ratio).sum(), q)
    return slope


def check_kl_slope(student: Callable, seed: int | str = 0) -> None:
    """Gradient of KL(p || q) in the logits z_V of p = softmax(z), given logq_V."""
    draw = Draw(seed)
    hold(student, lambda z, q: tensor(oracles.kl_gradient(z.log_softmax(dim=-1), q)), [
        ("One number a logit; they sum to 0.",
         *[(draw.tensor(4), draw.logp(4)) for _ in range(2)])],
         _other_slopes() | _parts_of_the_slope())
    hold(student, lambda z, q: tensor([0.0]), [
        ("A single word has the slope 0.", (draw.tensor(1), tensor([0.0])))])


def _other_slopes() -> Mistakes:
    """Mistakes of `check_kl_slope`."""
    return {
        "KL is missing in the bracket: the slopes must sum to 0.":
            _with_p(lambda p, ratio, kl, q: p * ratio),
        "p is missing: it weighs the slope of each word.":
            _with_p(lambda p, ratio, kl, q: ratio - kl),
        "the sign is turned: that is the way downhill.":
            _with_p(lambda p, ratio, kl, q: -p * (ratio - kl)),
        "that is the slope in p, log p/q + 1: go on to the logits.":
            _with_p(lambda p, ratio, kl, q: ratio + 1),
        "that is p (log p/q + 1): a softmax's slopes sum to 0.":
            _with_p(lambda p, ratio, kl, q: p * (ratio + 1)),
        "that is the slope of KL(q || p), p - q: the other direction.":
            _with_p(lambda p, ratio, kl, q: p - q.exp()),
        "q weighs in yours: the expectation is under p.":
            (_with_p(lambda p, ratio, kl, q: q.exp() * (ratio - kl)),
             _with_p(lambda p, ratio, kl, q:
                     q.exp() * (ratio - (q.exp() * ratio).sum()))),
        "KL is added in yours: it comes off.":
            _with_p(lambda p, ratio, kl, q: p * (ratio + kl)),
        "that is KL itself: one number a logit.": _with_p(lambda p, ratio, kl, q: kl),
        "z are logits, not log-probabilities: normalise first.":
            (lambda z, q: z.exp() * (z - q - (z.exp() * (z - q)).sum()),
             lambda z, q: z.softmax(dim=0) * (z - q)),
        "the mean of the log-ratio is under p, not plain.":
            _with_p(lambda p, ratio, kl, q: p * (ratio - ratio.mean()))}


def _parts_of_the_slope() -> Mistakes:
    """Mistakes of `check_kl_slope` that leave something out."""
    def entropy(p: Tensor) -> Tensor:
        return (p * p.log()).sum()

    return {
        "that is log p/q alone: words have weights, and the slopes must sum to 0.":
            _with_p(lambda p, ratio, kl, q: ratio),
        "that is 0: a detached p leaves nothing to differentiate.":
            _with_p(lambda p, ratio, kl, q: torch.zeros_like(p)),
        "a logit moves every chance, not only its own: p (1 - p) is not all.":
            (_with_p(lambda p, ratio, kl, q: p * (1 - p) * ratio),
             _with_p(lambda p, ratio, kl, q: p * (1 - p) * (ratio + 1))),
        "that is the slope of the cross-entropy: the one of p log p is missing.":
            _with_p(lambda p, ratio, kl, q: p * ((p * q).sum() - q)),
        "that is the slope of sum p log p: q is missing.":
            _with_p(lambda p, ratio, kl, q: p * (p.log() - entropy(p))),
        "KL is a sum over words: yours is the slope of their mean.":
            _with_p(lambda p, ratio, kl, q: p * (ratio - kl) / len(p))}


def _whitened(correction: int, by_n: bool) -> Callable:
    """log p/q with mean 0 and deviation 1, over N or not."""
    def weights(p: Tensor, q: Tensor) -> Tensor:
        k = p - q
        return (k - k.mean()) / k.std(correction=correction) / (len(k) if by_n else 1)
    return weights


def check_sample_weights(student: Callable, seed: int | str = 0) -> None:
    """weight_N so that sum_n weight_n grad log p(x_n), x_n ~ p, estimates the gradient
    of KL(p || q) without bias and without a baseline, from logp_N and logq_N."""
    draw = Draw(seed)
    hold(student, lambda p, q: (p - q) / len(p), [
        ("The gradient of a mean over p, by the score function.",
         *[(draw.tensor(n, low=-3, high=0), draw.tensor(n, low=-3, high=0))
           for n in (4, 6)])], {
        "that is what the gradient of k1 weighs by: its mean is 0, it teaches nothing.":
            (lambda p, q: torch.ones_like(p) / len(p), lambda p, q: torch.ones_like(p)),
        "that is what the gradient of k3 weighs by: it leads to KL(q || p).":
            (lambda p, q: (1 - (q - p).exp()) / len(p), lambda p, q: 1 - (q - p).exp()),
        "divide by the number of samples.": lambda p, q: p - q,
        "the sign is turned: this would raise KL.": lambda p, q: (q - p) / len(p),
        "samples came from p already: do not weigh by p again.":
            (lambda p, q: p.exp() * (p - q) / len(p), lambda p, q: p.exp() * (p - q)),
        "the 1 has a mean of 0 and adds only noise: leave it out.":
            lambda p, q: (p - q + 1) / len(p),
        "without a baseline here: nothing comes off.":
            (lambda p, q: (p - q - (p - q).mean()) / len(p),
             lambda p, q: (p - q - (p - q).mean()) / (len(p) - 1)),
        "no whitening here: the size of log p/q is what counts.":
            tuple(_whitened(correction, by_n) for correction in (0, 1)
                  for by_n in (True, False)),
        "q is missing: that weighs by log p alone.": lambda p, q: p / len(p),
        "that is k3 itself: as a reward its gradient is not that of KL.":
            lambda p, q: ((q - p).exp() - 1 - (q - p)) / len(p),
        "the mean alone forgets which sample was surprising.":
            lambda p, q: torch.full_like(p, (p - q).mean().item()) / len(p),
        "that is the ratio p/q: KL is the mean of something else.":
            lambda p, q: (p - q).exp() / len(p),
        "that is k2 itself: its slope in log p is the weight.":
            lambda p, q: (p - q) ** 2 / 2 / len(p),
        "a surprise may be negative: no absolute value.":
            lambda p, q: (p - q).abs() / len(p),
        "only what p likes more counts in yours: all samples do.":
            lambda p, q: (p - q).clamp(min=0) / len(p),
        "N, not N - 1: no mean was estimated here.":
            lambda p, q: (p - q) / (len(p) - 1)})
    hold(student, lambda p, q: (p - q) / len(p), [
        ("One sample weighs, too.", (tensor([-1.0]), tensor([-0.5])))])
