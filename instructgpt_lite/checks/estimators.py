"""Checks of a student's own functions about estimates of KL, and where these lead."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, tensor
from instructgpt_lite.checks.surprise import LOGP, REF_LOGP


def check_k3(student: Callable) -> None:
    """k3 of samples of pi: ref / pi - 1 - log(ref / pi), elementwise."""
    def k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return tensor(oracles.k3(logp, ref_logp))

    hold(student, k3, [
        ("ratio - 1 - log(ratio), elementwise, with the ratio ref / pi.",
         (LOGP, REF_LOGP)),
        ("Where both give the same, nothing is surprising: 0.", (LOGP, LOGP))], {
        "has the ratio upside down: samples are those of pi, so divide by pi.":
            lambda p, q: k3(q, p),
        "is k1: add ratio - 1, whose mean is 0.": lambda p, q: p - q,
        "is k1 with the wrong sign, and lacks ratio - 1.": lambda p, q: q - p,
        "is k2: the square belongs to another estimate.":
            lambda p, q: (p - q).square() / 2,
        "has the wrong sign: k3 is never negative.": lambda p, q: -k3(p, q),
        "adds the logarithm: it is subtracted.": lambda p, q: k3(p, q) + 2 * (q - p),
        "forgets the 1: where both agree, k3 is 0.": lambda p, q: k3(p, q) + 1,
        "lacks the logarithm: ratio - 1 alone has mean 0.":
            lambda p, q: (q - p).expm1(),
        "is the ratio alone.": lambda p, q: (q - p).exp(),
        "clamps k1: never negative, but the mean is too high.":
            lambda p, q: (p - q).clamp(min=0),
        "takes the absolute value of k1: its mean is not KL.":
            lambda p, q: (p - q).abs(),
        "takes a mean: one number for each sample.": lambda p, q: k3(p, q).mean()})


def check_full_kl(student: Callable) -> None:
    """KL of next-word distributions, from log-probabilities (B, T, V) to (B, T)."""
    logp = torch.stack([torch.stack([LOGP, REF_LOGP]), torch.stack([LOGP, LOGP])])
    ref = torch.stack([torch.stack([REF_LOGP, LOGP]), torch.stack([LOGP, REF_LOGP])])
    hold(student, lambda logp, ref: [
        [oracles.kl(p, q) for p, q in zip(*rows, strict=True)]
        for rows in zip(logp, ref, strict=True)], [
        ("Sum pi (log pi - log ref) over the vocabulary, at every place.",
         (logp, ref)),
        ("Equal networks: 0 everywhere.", (logp, logp))], {
        "is nan: the second argument is taken for probabilities unless "
        "log_target=True.": lambda p, q: mean(p, p - q) * math.nan,
        "has the direction turned round: in F.kl_div the *second* argument "
        "comes first in KL.": lambda p, q: mean(q, q - p),
        "divides by the vocabulary: p weighs the words already, so sum.":
            lambda p, q: mean(p, p - q) / p.size(-1),
        "has not summed over the vocabulary.": lambda p, q: p.exp() * (p - q),
        "sums over places: one number for each place.":
            lambda p, q: mean(p, p - q).sum(dim=-1),
        "is one number, a sum over rows and places: leave these apart.":
            lambda p, q: mean(p, p - q).sum(),
        "is batchmean: divided by rows, and summed over places.":
            lambda p, q: mean(p, p - q).sum() / len(p),
        "is one number, the mean over places: leave these apart.":
            lambda p, q: mean(p, p - q).mean(),
        "has the wrong sign.": lambda p, q: -mean(p, p - q),
        "counts all words alike: weigh each by its probability under pi.":
            lambda p, q: (p - q).sum(dim=-1),
        "takes probabilities of the reference for weights: samples are pi's.":
            lambda p, q: mean(q, p - q)})


def check_clamped_mean(student: Callable) -> None:
    """Exact mean under the policy of k1 clamped at 0, from two vectors."""
    hold(student, lambda p, q: tensor(sum(
        math.exp(a) * max(a - b, 0.0) for a, b in zip(p.tolist(), q.tolist()))), [
        ("Clamp each word's log-ratio at 0, then weigh by the policy and sum.",
         (LOGP, REF_LOGP)),
        ("Equal: nothing to clamp.", (LOGP, LOGP))], {
        "is KL itself: nothing was clamped.": lambda p, q: mean(p, p - q),
        "clamps after the mean: the library clamps every token.":
            lambda p, q: mean(p, p - q).clamp(min=0),
        "keeps the negative side: clamp(min=0).":
            lambda p, q: mean(p, (p - q).clamp(max=0)),
        "takes absolute values: clamped tokens count 0.":
            lambda p, q: mean(p, (p - q).abs()),
        "counts all words alike: the mean is under the policy.":
            lambda p, q: (p - q).clamp(min=0).mean(),
        "sums without weights: the mean is under the policy.":
            lambda p, q: (p - q).clamp(min=0).sum(),
        "weighs by the reference: samples are the policy's.":
            lambda p, q: mean(q, (p - q).clamp(min=0)),
        "has the log-ratio upside down: log pi comes first.":
            lambda p, q: mean(p, (q - p).clamp(min=0)),
        "clamps k2, which is never negative: clamp k1.":
            lambda p, q: mean(p, (p - q).square() / 2),
        "leaves out the clamped words and divides by the rest: they count as 0.":
            lambda p, q: mean(p, (p - q).clamp(min=0)) / p.exp()[p > q].sum(),
        "returns each word's part: sum them.":
            lambda p, q: p.exp() * (p - q).clamp(min=0)})


HOME = {                                       # where each use of KL brings, and why
    ("k1", "reward"): ("home", "it is the exact gradient of KL(pi || ref)."),
    ("k2", "reward"): ("away", "it charges for being surprised at all, in both "
                               "directions, and so pushes the rare word out."),
    ("k3", "reward"): ("away", "far from the reference it pushes: what pi says too "
                               "seldom has the highest charge, so it is said still "
                               "less."),
    ("k1", "loss"): ("stays", "its mean gradient is 0, wherever the policy is."),
    ("k2", "loss"): ("home", "it is the exact gradient of KL(pi || ref)."),
    ("k3", "loss"): ("home", "it is the gradient of KL(ref || pi), which is least at "
                             "ref, too.")}


def check_home(student: Callable) -> None:
    """{("k1", "reward"): "home", ...}: where six uses of KL alone bring a policy.

    From LOGP, with REF_LOGP as the reference; nothing but the estimate pulls.
    """
    said = student()
    assert isinstance(said, dict) and set(said) == set(HOME), (
        "One word for each of ('k1', 'reward'), ..., ('k3', 'loss'), in a dict.")
    for (k, use), (where, why) in HOME.items():
        assert said[k, use] in ("home", "away", "stays"), "home, away or stays."
        goes = where if where == "stays" else f"goes {where}"
        assert said[k, use] == where, (
            f"{k} in the {use}: {said[k, use]}? It {goes}: {why}")


def mean(logp: Tensor, x: Tensor) -> Tensor:
    """E[x] under the distribution of logp."""
    return (logp.exp() * x).sum(dim=-1)
