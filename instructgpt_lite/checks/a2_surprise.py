"""Assignment 2: KL, its estimators, and which of them one may differentiate."""

from collections.abc import Callable
from math import exp, inf, log
from statistics import fmean

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import hold, tensor


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
        "averages over rows: give one number a row.": lambda p, q: plain(p, q).mean(),
        "counts all words alike: weigh each by p.": lambda p, q: (p - q).sum(dim=-1),
        "weighs by log p: take exp first.": lambda p, q: (p * (p - q)).sum(dim=-1),
        "is the cross-entropy: the surprise under p comes off.":
            lambda p, q: -(p.exp() * q).sum(dim=-1),
        "sums over the wrong axis: words are the last one.":
            lambda p, q: (p.exp() * (p - q)).sum(dim=0),
        "counts in bits: nats need no log 2.": lambda p, q: plain(p, q) / log(2)})
    none = torch.zeros(3, 4, dtype=torch.bool)
    none[0, 1] = none[2, 3] = True
    cut_p, cut_q = p.masked_fill(none, -inf), q.masked_fill(none, -inf)
    hold(student, rows, [
        ("What p excludes costs nothing: 0 log 0 is 0.", (cut_p, q)),
        ("What both exclude costs nothing either.", (cut_p, cut_q)),
        ("What p allows and q excludes costs infinity.", (p, cut_q))])


def check_estimates(student: Callable, seed: int | str = 0) -> None:
    """(k1, k2, k3): means over samples from p, given their logp_N and logq_N."""
    def means(*each: Callable) -> Callable:
        return lambda p, q: tuple(fmean(map(k, p.tolist(), q.tolist())) for k in each)

    def k1(p: float, q: float) -> float:
        return p - q

    def k2(p: float, q: float) -> float:
        return (p - q) ** 2 / 2

    def k3(p: float, q: float) -> float:
        return exp(q - p) - 1 - (q - p)

    def turned(k: Callable) -> Callable:
        return lambda p, q: k(q, p)

    draw = Draw(seed)
    hold(student, means(k1, k2, k3), [
        ("k1 = log p/q, k2 = (log p/q)^2 / 2, k3 = q/p - 1 - log q/p: each a mean.",
         *[(draw.tensor(5, low=-3, high=0), draw.tensor(5, low=-3, high=0))
           for _ in range(2)])], {
        "k1 is log p - log q: yours has the sign of log q - log p.":
            means(turned(k1), k2, k3),
        "the ratio in k3 is q / p: samples come from p.": means(k1, k2, turned(k3)),
        "k2 has one half.": means(k1, lambda p, q: (p - q) ** 2, k3),
        "k3 has - 1: it is 0 where p = q.":
            means(k1, k2, lambda p, q: exp(q - p) - (q - p)),
        "k3 is q/p - 1 - log(q/p): without the last term its mean is 0.":
            means(k1, k2, lambda p, q: exp(q - p) - 1),
        "k3 adds the logarithm in yours: it comes off.":
            means(k1, k2, lambda p, q: exp(q - p) - 1 + (q - p)),
        "k1 may be negative on a sample: no absolute value.":
            means(lambda p, q: abs(p - q), k2, k3),
        "k2 squares each sample, then takes the mean: yours squares the mean.":
            lambda p, q: (means(k1)(p, q)[0], means(k1)(p, q)[0] ** 2 / 2,
                          means(k3)(p, q)[0]),
        "these are sums: take the means over samples.":
            lambda p, q: tuple(len(p) * x for x in means(k1, k2, k3)(p, q)),
        "samples came from p already: do not weigh them by p again.":
            lambda p, q: tuple(fmean(exp(a) * k(a, b) for a, b in zip(
                p.tolist(), q.tolist())) for k in (k1, k2, k3)),
        "a trap: the three in the order k1, k2, k3.": means(k1, k3, k2)})


def check_kl_slope(student: Callable, seed: int | str = 0) -> None:
    """Gradient of KL(p || q) in the logits z_V of p = softmax(z), given logq_V."""
    def with_p(of: Callable) -> Callable:
        def slope(z: Tensor, q: Tensor) -> Tensor:
            logp = z.log_softmax(dim=-1)
            p, ratio = logp.exp(), logp - q
            return of(p, ratio, (p * ratio).sum(), q)
        return slope

    draw = Draw(seed)
    hold(student, lambda z, q: tensor(oracles.kl_gradient(z.log_softmax(dim=-1), q)), [
        ("p (log p/q - KL), one number a logit.",
         *[(draw.tensor(4), draw.logp(4)) for _ in range(2)])], {
        "KL is missing in the bracket: the slopes must sum to 0.":
            with_p(lambda p, ratio, kl, q: p * ratio),
        "p is missing: p (log p/q - KL).": with_p(lambda p, ratio, kl, q: ratio - kl),
        "the sign is turned: that is the way downhill.":
            with_p(lambda p, ratio, kl, q: -p * (ratio - kl)),
        "that is the slope in p, log p/q + 1: go on to the logits.":
            with_p(lambda p, ratio, kl, q: ratio + 1),
        "that is p (log p/q + 1): a softmax's slopes sum to 0.":
            with_p(lambda p, ratio, kl, q: p * (ratio + 1)),
        "that is the slope of KL(q || p), p - q: the other direction.":
            with_p(lambda p, ratio, kl, q: p - q.exp()),
        "q weighs in yours: the expectation is under p.":
            with_p(lambda p, ratio, kl, q: q.exp() * (ratio - kl)),
        "KL is added in yours: it comes off.":
            with_p(lambda p, ratio, kl, q: p * (ratio + kl)),
        "that is KL itself: one number a logit.": with_p(lambda p, ratio, kl, q: kl),
        "z are logits, not log-probabilities: normalise first.":
            lambda z, q: z.exp() * (z - q - (z.exp() * (z - q)).sum()),
        "the mean of the log-ratio is under p, not plain.":
            with_p(lambda p, ratio, kl, q: p * (ratio - ratio.mean()))})


def check_sample_weights(student: Callable, seed: int | str = 0) -> None:
    """weight_N so that sum_n weight_n grad log p(x_n), x_n ~ p, estimates grad KL(p || q)
    without bias and without a baseline, from logp_N and logq_N."""
    draw = Draw(seed)
    hold(student, lambda p, q: (p - q) / len(p), [
        ("The score function: log p/q of each sample, over N.",
         *[(draw.tensor(n, low=-3, high=0), draw.tensor(n, low=-3, high=0))
           for n in (4, 6)])], {
        "that is what the gradient of k1 weighs by: its mean is 0, it teaches nothing.":
            lambda p, q: torch.ones_like(p) / len(p),
        "that is what the gradient of k3 weighs by: it leads to KL(q || p).":
            lambda p, q: (1 - (q - p).exp()) / len(p),
        "divide by the number of samples.": lambda p, q: p - q,
        "the sign is turned: this would raise KL.": lambda p, q: (q - p) / len(p),
        "samples came from p already: do not weigh by p again.":
            lambda p, q: p.exp() * (p - q) / len(p),
        "without a baseline here: nothing comes off.":
            lambda p, q: (p - q - (p - q).mean()) / len(p),
        "the mean alone forgets which sample was surprising.":
            lambda p, q: torch.full_like(p, (p - q).mean().item()) / len(p),
        "that is the ratio p/q: its logarithm is the weight.":
            lambda p, q: (p - q).exp() / len(p),
        "that is k2 itself: its slope in log p is the weight.":
            lambda p, q: (p - q) ** 2 / 2 / len(p),
        "a surprise may be negative: no absolute value.":
            lambda p, q: (p - q).abs() / len(p),
        "only what p likes more counts in yours: all samples do.":
            lambda p, q: (p - q).clamp(min=0) / len(p),
        "N, not N - 1: no mean was estimated here.":
            lambda p, q: (p - q) / (len(p) - 1)})
