"""Checks of a student's own functions about relative surprise and its price.

Each typical mistake is computed as well, so that the one who makes it hears of it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, tensor

LOGP = tensor([0.5, 0.3, 0.2]).log()
REF_LOGP = tensor([0.25, 0.25, 0.5]).log()
MASK = torch.tensor([[True, True, True, False], [True, True, False, False]])
TOKEN_LOGP = tensor([[-1.0, -2.0, -0.5, math.nan], [-0.3, -1.1, math.nan, math.nan]])
TOKEN_REF = tensor([[-1.6, -1.5, -0.9, math.nan], [-0.2, -0.8, math.nan, math.nan]])


def check_relative_surprise(student: Callable) -> None:
    """KL(p || q) from two vectors of log-probabilities."""
    certain, halves = tensor([1.0, 0.0, 0.0]).log(), tensor([0.5, 0.0, 0.5]).log()
    def kl(p: Tensor, q: Tensor) -> Tensor:
        return tensor(oracles.kl(p, q))

    hold(student, kl, [
        ("Sum p (log p - log q) over all words, in nats.", (LOGP, REF_LOGP)),
        ("A distribution is not surprised by itself.", (LOGP, LOGP)),
        ("KL is not symmetric.", (REF_LOGP, LOGP))], {
        "has the wrong sign: log p comes first, and log q is taken off.":
            lambda p, q: -_mean(p, p - q),
        "takes the mean over the words: p weighs them already, so sum.":
            lambda p, q: _mean(p, p - q) / len(p),
        "counts all words alike: weigh each by its probability under p.":
            lambda p, q: (p - q).sum(),
        "takes a plain mean of the log-ratios: weigh each word by p.":
            lambda p, q: (p - q).mean(),
        "weighs by q: the expectation is under p, the first argument.":
            lambda p, q: _mean(q, p - q),
        "has the arguments exchanged: this is KL(q || p).":
            lambda p, q: _mean(q, q - p),
        "weighs by log p: the arguments are logarithms, so take exp first.":
            lambda p, q: (p * (p - q)).sum(),
        "counts in bits: nats need no division by log 2.":
            lambda p, q: _mean(p, p - q) / math.log(2),
        "gives the cross-entropy: the surprise under p is still in it.":
            lambda p, q: _mean(p, -q),
        "takes absolute values: a word may be negative, and has to be.":
            lambda p, q: _mean(p, (p - q).abs()),
        "drops the negative words: they belong to the sum.":
            lambda p, q: _mean(p, (p - q).clamp(min=0)),
        "returns each word's part: sum them.": lambda p, q: p.exp() * (p - q)})
    hold(student, kl, [
        ("What p excludes costs nothing: 0 log 0 is 0.", (certain, LOGP)),
        ("What both exclude costs nothing either.", (certain, halves)),
        ("What p allows and q excludes costs infinity.", (LOGP, certain)),
        ("One word that q alone excludes is enough for infinity.", (LOGP, halves))])


def check_collapse(student: Callable) -> None:
    """[KL(one || n), KL(n || one)] of a policy that keeps one of n equal answers."""
    def told(n, first, second):
        return tensor([first(n), second(n)])

    def endless(n):
        return math.inf

    hold(student, lambda n: [math.log(n), math.inf], [
        ("The surprise of the reference at the one answer, log n; then infinity.",
         (8,)), ("With n = 2 it is one bit.", (2,))], {
        "has the two directions exchanged: the policy stands first in the first.":
            lambda n: told(n, endless, math.log),
        "gives both the same: KL is not symmetric.":
            lambda n: told(n, math.log, math.log),
        "makes both infinite: whoever drops answers pays for none of them.":
            lambda n: told(n, endless, endless),
        "counts the first in bits: log to base 2 is not in nats.":
            lambda n: told(n, math.log2, endless),
        "has a negative KL: log 1 - log(1 / n) is + log n.":
            lambda n: told(n, lambda n: -math.log(n), endless),
        "divides by n: the policy gives its one answer every time.":
            lambda n: told(n, lambda n: math.log(n) / n, endless),
        "counts the answers that were dropped: they cost nothing.":
            lambda n: told(n, lambda n: math.log(n - 1), endless),
        "finds that dropping answers is free: the one answer was surprising.":
            lambda n: told(n, lambda n: 0.0, endless),
        "lets the second cost nothing: all but one of the reference's answers "
        "would never come.": lambda n: told(n, math.log, lambda n: 0.0),
        "drops infinities: what the second excludes costs infinity.":
            lambda n: told(n, math.log, lambda n: -math.log(n) / n)})


def check_charge(student: Callable) -> None:
    """What eq. (2) takes off the score of each response: beta times its log-ratio."""
    hold(student, lambda logp, ref, mask, beta: [
        -sum(row) for row in oracles.token_rewards([0, 0], logp, ref, mask, beta)], [
        ("beta times the sum of logp - ref_logp over the counted tokens of a row; "
         "padding holds nan.", (TOKEN_LOGP, TOKEN_REF, MASK, 0.5)),
        ("beta = 0: a free move.", (TOKEN_LOGP, TOKEN_REF, MASK, 0.0))], {
        "takes the mean over tokens: then a long response drifts for nothing. Sum.":
            lambda *case: _charges(*case) / MASK.sum(dim=-1),
        "divides by the width of the batch: the other rows do not matter.":
            lambda *case: _charges(*case) / MASK.size(1),
        "has the sign of a reward: what is charged is + beta (logp - ref_logp).":
            lambda *case: -_charges(*case),
        "forgets beta.": lambda logp, ref, mask, beta: _charges(logp, ref, mask, 1.0),
        "charges the last token only: every token pays its part.":
            lambda *case: _tokens(*case)[[0, 1], [2, 1]],
        "clamps at 0: a negative token is a bonus, and belongs to the sum.":
            lambda *case: _tokens(*case).clamp(min=0).sum(dim=-1),
        "takes absolute values: a negative token is a bonus.":
            lambda *case: _tokens(*case).abs().sum(dim=-1),
        "clamps the response at 0: one sample of KL may be negative.":
            lambda *case: _charges(*case).clamp(min=0),
        "sums the whole batch: one number for each response.":
            lambda *case: _charges(*case).sum(),
        "averages the batch: one number for each response.":
            lambda *case: _charges(*case).mean(),
        "returns the tokens' parts: sum over each row.": _tokens,
        "lets padding in: nan times 0 is nan. Choose with torch.where.":
            lambda *case: _charges(*case) * math.nan})


def check_optimum(student: Callable) -> None:
    """log pi* of the policy of highest E[r] - beta KL(pi || ref)."""
    ref, r = tensor([0.5, 0.3, 0.2]).log(), tensor([0.0, 1.0, 2.0])
    hold(student, oracles.optimum, [
        ("ref times exp(r / beta), made to sum to 1, as log-probabilities.",
         (ref, r, 2.0)),
        ("Equal rewards: nothing is worth leaving the reference for.",
         (ref, tensor([3.0, 3.0, 3.0]), 1.0))], {
        "multiplies by beta: a dear nat keeps close to the reference, so divide.":
            lambda ref, r, beta: (ref + r * beta).log_softmax(dim=-1),
        "forgets beta: divide the reward by it.":
            lambda ref, r, beta: (ref + r).log_softmax(dim=-1),
        "does not sum to 1: subtract log Z.": lambda ref, r, beta: ref + r / beta,
        "returns probabilities: their logarithms are wanted.":
            lambda ref, r, beta: (ref + r / beta).softmax(dim=-1),
        "forgets the reference: it is reweighted, not replaced.":
            lambda ref, r, beta: (r / beta).log_softmax(dim=-1),
        "has the wrong sign: a high reward makes likelier.":
            lambda ref, r, beta: (ref - r / beta).log_softmax(dim=-1),
        "divides the reference by beta as well: only the reward.":
            lambda ref, r, beta: ((ref + r) / beta).log_softmax(dim=-1),
        "adds probabilities to rewards: take the logarithm of the reference.":
            lambda ref, r, beta: (ref.exp() + r / beta).log_softmax(dim=-1),
        "returns the reference: then no reward is worth anything.":
            lambda ref, r, beta: ref})
    hold(student, oracles.optimum, [
        ("A cheap nat overflows exp: stay in logarithms.", (ref, 1000 * r, 0.5))])


def check_k3(student: Callable) -> None:
    """k3 of samples of pi: ref / pi - 1 - log(ref / pi), elementwise."""
    hold(student, oracles.k3, [
        ("ratio - 1 - log(ratio), elementwise, with the ratio ref / pi.",
         (LOGP, REF_LOGP)),
        ("Where both give the same, nothing is surprising: 0.", (LOGP, LOGP))], {
        "has the ratio upside down: samples are those of pi, so divide by pi.":
            lambda p, q: oracles.k3(q, p),
        "is k1: add ratio - 1, whose mean is 0.": lambda p, q: p - q,
        "is k1 with the wrong sign, and lacks ratio - 1.": lambda p, q: q - p,
        "is k2: the square belongs to another estimate.":
            lambda p, q: (p - q).square() / 2,
        "has the wrong sign: k3 is never negative.":
            lambda p, q: -_k3(p, q),
        "adds the logarithm: it is subtracted.":
            lambda p, q: _k3(p, q) + 2 * (q - p),
        "forgets the 1: where both agree, k3 is 0.": lambda p, q: _k3(p, q) + 1,
        "lacks the logarithm: ratio - 1 alone has mean 0.":
            lambda p, q: (q - p).expm1(),
        "is the ratio alone.": lambda p, q: (q - p).exp(),
        "clamps k1: never negative, but the mean is too high.":
            lambda p, q: (p - q).clamp(min=0),
        "takes the absolute value of k1: its mean is not KL.":
            lambda p, q: (p - q).abs(),
        "takes a mean: one number for each sample.":
            lambda p, q: _k3(p, q).mean()})


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
        "log_target=True.": lambda p, q: _mean(p, p - q) * math.nan,
        "has the direction turned round: in F.kl_div the *second* argument "
        "comes first in KL.": lambda p, q: _mean(q, q - p),
        "divides by the vocabulary: p weighs the words already, so sum.":
            lambda p, q: _mean(p, p - q) / p.size(-1),
        "has not summed over the vocabulary.": lambda p, q: p.exp() * (p - q),
        "sums over places: one number for each place.":
            lambda p, q: _mean(p, p - q).sum(dim=-1),
        "is one number, a sum over rows and places: leave these apart.":
            lambda p, q: _mean(p, p - q).sum(),
        "is batchmean: divided by rows, and summed over places.":
            lambda p, q: _mean(p, p - q).sum() / len(p),
        "is one number, the mean over places: leave these apart.":
            lambda p, q: _mean(p, p - q).mean(),
        "has the wrong sign.": lambda p, q: -_mean(p, p - q),
        "counts all words alike: weigh each by its probability under pi.":
            lambda p, q: (p - q).sum(dim=-1),
        "takes probabilities of the reference for weights: samples are pi's.":
            lambda p, q: _mean(q, p - q)})


def check_clamped_mean(student: Callable) -> None:
    """Exact mean under the policy of k1 clamped at 0, from two vectors."""
    hold(student, lambda p, q: tensor(sum(
        math.exp(a) * max(a - b, 0.0) for a, b in zip(p.tolist(), q.tolist()))), [
        ("Clamp each word's log-ratio at 0, then weigh by the policy and sum.",
         (LOGP, REF_LOGP)),
        ("Equal: nothing to clamp.", (LOGP, LOGP))], {
        "is KL itself: nothing was clamped.": lambda p, q: _mean(p, p - q),
        "clamps after the mean: the library clamps every token.":
            lambda p, q: _mean(p, p - q).clamp(min=0),
        "keeps the negative side: clamp(min=0).":
            lambda p, q: _mean(p, (p - q).clamp(max=0)),
        "takes absolute values: clamped tokens count 0.":
            lambda p, q: _mean(p, (p - q).abs()),
        "counts all words alike: the mean is under the policy.":
            lambda p, q: (p - q).clamp(min=0).mean(),
        "sums without weights: the mean is under the policy.":
            lambda p, q: (p - q).clamp(min=0).sum(),
        "weighs by the reference: samples are the policy's.":
            lambda p, q: _mean(q, (p - q).clamp(min=0)),
        "has the log-ratio upside down: log pi comes first.":
            lambda p, q: _mean(p, (q - p).clamp(min=0)),
        "clamps k2, which is never negative: clamp k1.":
            lambda p, q: _mean(p, (p - q).square() / 2),
        "leaves out the clamped words and divides by the rest: they count as 0.":
            lambda p, q: _mean(p, (p - q).clamp(min=0)) / p.exp()[p > q].sum(),
        "returns each word's part: sum them.":
            lambda p, q: p.exp() * (p - q).clamp(min=0)})


HOME = {
    ("k1", "reward"): "it is the exact gradient of KL(pi || ref).",
    ("k2", "reward"): "it charges for being surprised at all, in both directions, and "
                      "so pushes the rare word out.",
    ("k3", "reward"): "far from the reference it pushes: what pi says too seldom has "
                      "the highest charge, so it is said still less.",
    ("k1", "loss"): "its mean gradient is 0, wherever the policy is.",
    ("k2", "loss"): "it is the exact gradient of KL(pi || ref).",
    ("k3", "loss"): "it is the gradient of KL(ref || pi), which is least at ref, too."}


def check_home(student: Callable) -> None:
    """{("k1", "reward"): "home", ...}: where six uses of KL alone bring a policy.

    From LOGP, with REF_LOGP as the reference; nothing but the estimate pulls.
    """
    said = student()
    assert isinstance(said, dict) and set(said) == set(HOME), (
        "One word for each of ('k1', 'reward'), ..., ('k3', 'loss'), in a dict.")
    for use, why in HOME.items():
        found = _end(*use)
        assert said[use] in ("home", "away", "stays"), "home, away or stays."
        goes = found if found == "stays" else f"goes {found}"
        assert said[use] == found, (
            f"{use[0]} in the {use[1]}: {said[use]}? It {goes}: {why}")


def _end(name: str, place: str, steps: int = 300) -> str:
    """Where descent of one expected gradient goes from LOGP: exact, on three words."""
    weights = {("k1", "reward"): lambda x: x, ("k2", "reward"): lambda x: x * x / 2,
               ("k3", "reward"): lambda x: math.expm1(-x) + x,
               ("k1", "loss"): lambda x: 1.0, ("k2", "loss"): lambda x: x,
               ("k3", "loss"): lambda x: -math.expm1(-x)}
    logits, ref = LOGP.tolist(), REF_LOGP.tolist()
    far = []
    for _ in range(steps):
        logp = [x - oracles.log_sum_exp(logits) for x in logits]
        far.append(oracles.kl(logp, ref))
        c = [weights[name, place](a - b) for a, b in zip(logp, ref)]
        mean = sum(math.exp(a) * x for a, x in zip(logp, c))
        logits = [a - 0.1 * math.exp(a) * (x - mean) for a, x in zip(logp, c)]
    return ("home" if far[-1] < far[0] / 2 else
            "away" if far[-1] > far[0] + 1e-3 else "stays")


def _k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return tensor(oracles.k3(logp, ref_logp))


def _mean(logp: Tensor, x: Tensor) -> Tensor:
    return (logp.exp() * x).sum(dim=-1)


def _tokens(logp: Tensor, ref_logp: Tensor, mask: Tensor, beta: float) -> Tensor:
    return beta * torch.where(mask, logp - ref_logp, 0)


def _charges(*case: Tensor | float) -> Tensor:
    return _tokens(*case).sum(dim=-1)
