"""Checks of a student's own functions about relative surprise and its price."""

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
            lambda p, q: -mean(p, p - q),
        "takes the mean over the words: p weighs them already, so sum.":
            lambda p, q: mean(p, p - q) / len(p),
        "counts all words alike: weigh each by its probability under p.":
            lambda p, q: (p - q).sum(),
        "takes a plain mean of the log-ratios: weigh each word by p.":
            lambda p, q: (p - q).mean(),
        "weighs by q: the expectation is under p, the first argument.":
            lambda p, q: mean(q, p - q),
        "has the arguments exchanged: this is KL(q || p).": lambda p, q: mean(q, q - p),
        "weighs by log p: the arguments are logarithms, so take exp first.":
            lambda p, q: (p * (p - q)).sum(),
        "counts in bits: nats need no division by log 2.":
            lambda p, q: mean(p, p - q) / math.log(2),
        "gives the cross-entropy: the surprise under p is still in it.":
            lambda p, q: mean(p, -q),
        "takes absolute values: a word may be negative, and has to be.":
            lambda p, q: mean(p, (p - q).abs()),
        "drops the negative words: they belong to the sum.":
            lambda p, q: mean(p, (p - q).clamp(min=0)),
        "returns each word's part: sum them.": lambda p, q: p.exp() * (p - q)})
    hold(student, kl, [
        ("What p excludes costs nothing: 0 log 0 is 0.", (certain, LOGP)),
        ("What both exclude costs nothing either.", (certain, halves)),
        ("What p allows and q excludes costs infinity.", (LOGP, certain)),
        ("One word that q alone excludes is enough for infinity.", (LOGP, halves))])


def check_collapse(student: Callable) -> None:
    """[KL(one || n), KL(n || one)] of a policy that keeps one of n equal answers."""
    def endless(n: int) -> float:
        return math.inf

    def both(first: Callable, second: Callable = endless) -> Callable:
        return lambda n: [first(n), second(n)]

    hold(student, both(math.log), [
        ("The surprise of the reference at the one answer, log n; then infinity.",
         (8,)), ("With n = 2 it is one bit.", (2,))], {
        "has the two directions exchanged: the policy stands first in the first.":
            both(endless, math.log),
        "gives both the same: KL is not symmetric.": both(math.log, math.log),
        "makes both infinite: whoever drops answers pays for none of them.":
            both(endless),
        "counts the first in bits: log to base 2 is not in nats.": both(math.log2),
        "has a negative KL: log 1 - log(1 / n) is + log n.":
            both(lambda n: -math.log(n)),
        "divides by n: the policy gives its one answer every time.":
            both(lambda n: math.log(n) / n),
        "counts the answers that were dropped: they cost nothing.":
            both(lambda n: math.log(n - 1)),
        "finds that dropping answers is free: the one answer was surprising.":
            both(lambda n: 0.0),
        "lets the second cost nothing: all but one of the reference's answers "
        "would never come.": both(math.log, lambda n: 0.0),
        "drops infinities: what the second excludes costs infinity.":
            both(math.log, lambda n: -math.log(n) / n)})


def check_charge(student: Callable) -> None:
    """What eq. (2) takes off the score of each response: beta times its log-ratio."""
    def tokens(logp: Tensor, ref: Tensor, mask: Tensor, beta: float) -> Tensor:
        return -tensor(oracles.token_rewards([0, 0], logp, ref, mask, beta))

    def right(*case: Tensor | float) -> Tensor:
        return tokens(*case).sum(dim=-1)

    hold(student, right, [
        ("beta times the sum of logp - ref_logp over the counted tokens of a row; "
         "padding holds nan.", (TOKEN_LOGP, TOKEN_REF, MASK, 0.5)),
        ("beta = 0: a free move.", (TOKEN_LOGP, TOKEN_REF, MASK, 0.0))], {
        "takes the mean over tokens: then a long response drifts for nothing. Sum.":
            lambda *case: right(*case) / MASK.sum(dim=-1),
        "divides by the width of the batch: the other rows do not matter.":
            lambda *case: right(*case) / MASK.size(1),
        "has the sign of a reward: what is charged is + beta (logp - ref_logp).":
            lambda *case: -right(*case),
        "forgets beta.": lambda logp, ref, mask, beta: right(logp, ref, mask, 1.0),
        "charges the last token only: every token pays its part.":
            lambda *case: tokens(*case)[[0, 1], [2, 1]],
        "clamps at 0: a negative token is a bonus, and belongs to the sum.":
            lambda *case: tokens(*case).clamp(min=0).sum(dim=-1),
        "takes absolute values: a negative token is a bonus.":
            lambda *case: tokens(*case).abs().sum(dim=-1),
        "clamps the response at 0: one sample of KL may be negative.":
            lambda *case: right(*case).clamp(min=0),
        "sums the whole batch: one number for each response.":
            lambda *case: right(*case).sum(),
        "averages the batch: one number for each response.":
            lambda *case: right(*case).mean(),
        "returns the tokens' parts: sum over each row.": tokens,
        "lets padding in: nan times 0 is nan. Choose with torch.where.":
            lambda *case: right(*case) * math.nan})


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


def mean(logp: Tensor, x: Tensor) -> Tensor:
    """E[x] under the distribution of logp."""
    return (logp.exp() * x).sum(dim=-1)
