"""Checks of a student's own functions about relative surprise and its price."""

import math
from collections.abc import Callable
from statistics import fmean
from typing import Any

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, over, tensor, whole


def logarithms(*chances: float) -> Any:
    """Of chances, 0 included."""
    return tensor([math.log(p) if p else -math.inf for p in chances])


LOGP = logarithms(0.5, 0.3, 0.2)
REF_LOGP = logarithms(0.25, 0.25, 0.5)
MASK = whole([[True, True, True, False], [True, True, False, False]])
TOKEN_LOGP = tensor([[-1.0, -2.0, -0.5, math.nan], [-0.3, -1.1, math.nan, math.nan]])
TOKEN_REF = tensor([[-1.6, -1.5, -0.9, math.nan], [-0.2, -0.8, math.nan, math.nan]])


def check_relative_surprise(student: Callable) -> None:
    """KL(p || q) from two vectors of log-probabilities."""
    certain, halves = logarithms(1.0, 0.0, 0.0), logarithms(0.5, 0.0, 0.5)
    def kl(p: Any, q: Any) -> Any:
        return tensor(oracles.kl(p, q))

    def part(p: float, q: float) -> float:
        return math.exp(p) * (p - q)

    hold(student, kl, [
        ("Sum p (log p - log q) over all words, in nats.", (LOGP, REF_LOGP)),
        ("A distribution is not surprised by itself.", (LOGP, LOGP)),
        ("KL is not symmetric.", (REF_LOGP, LOGP))], {
        "has the wrong sign: log p comes first, and log q is taken off.":
            over(lambda p, q: -part(p, q), sum),
        "takes the mean over the words: p weighs them already, so sum.": over(part),
        "counts all words alike: weigh each by its probability under p.":
            over(lambda p, q: p - q, sum),
        "takes a plain mean of the log-ratios: weigh each word by p.":
            over(lambda p, q: p - q),
        "weighs by q: the expectation is under p, the first argument.":
            over(lambda p, q: -part(q, p), sum),
        "has the arguments exchanged: this is KL(q || p).":
            over(lambda p, q: part(q, p), sum),
        "weighs by log p: the arguments are logarithms, so take exp first.":
            over(lambda p, q: p * (p - q), sum),
        "counts in bits: nats need no division by log 2.":
            over(lambda p, q: part(p, q) / math.log(2), sum),
        "gives the cross-entropy: the surprise under p is still in it.":
            over(lambda p, q: -math.exp(p) * q, sum),
        "takes absolute values: a word may be negative, and has to be.":
            over(lambda p, q: abs(part(p, q)), sum),
        "drops the negative words: they belong to the sum.":
            over(lambda p, q: max(part(p, q), 0), sum),
        "returns each word's part: sum them.": over(part, list)})
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
    def tokens(*case: Any) -> list[list[float]]:
        reward = oracles.token_rewards([0, 0], *case)
        return [[-x for x in row] for row in reward]

    def rows(total: Callable = sum) -> Callable:
        return lambda *case: [total(row) for row in tokens(*case)]

    right = rows()
    hold(student, right, [
        ("beta times the sum of logp - ref_logp over the counted tokens of a row; "
         "padding holds nan.", (TOKEN_LOGP, TOKEN_REF, MASK, 0.5)),
        ("beta = 0: a free move.", (TOKEN_LOGP, TOKEN_REF, MASK, 0.0))], {
        "takes the mean over tokens: then a long response drifts for nothing. Sum.":
            lambda *case: [x / n for x, n in zip(right(*case), (3, 2))],
        "divides by the width of the batch: the other rows do not matter.": rows(fmean),
        "has the sign of a reward: what is charged is + beta (logp - ref_logp).":
            rows(lambda row: -sum(row)),
        "forgets beta.": lambda logp, ref, mask, beta: right(logp, ref, mask, 1.0),
        "charges the last token only: every token pays its part.":
            lambda *case: [row[t] for row, t in zip(tokens(*case), (2, 1))],
        "clamps at 0: a negative token is a bonus, and belongs to the sum.":
            rows(lambda row: sum(max(x, 0) for x in row)),
        "takes absolute values: a negative token is a bonus.":
            rows(lambda row: sum(map(abs, row))),
        "clamps the response at 0: one sample of KL may be negative.":
            rows(lambda row: max(sum(row), 0)),
        "sums the whole batch: one number for each response.":
            lambda *case: sum(right(*case)),
        "averages the batch: one number for each response.":
            lambda *case: fmean(right(*case)),
        "returns the tokens' parts: sum over each row.": tokens,
        "lets padding in: nan times 0 is nan. Choose with torch.where.":
            rows(lambda row: math.nan)})


def check_optimum(student: Callable) -> None:
    """log pi* of the policy of highest E[r] - beta KL(pi || ref)."""
    def normal(x: list[float]) -> list[float]:
        return [each - oracles.log_sum_exp(x) for each in x]

    def tilted(each: Callable, total: Callable = normal) -> Callable:
        return lambda ref, r, beta: over(lambda lp, x: each(lp, x, beta), total)(ref, r)

    ref = logarithms(0.5, 0.3, 0.2)
    hold(student, oracles.optimum, [
        ("ref times exp(r / beta), made to sum to 1, as log-probabilities.",
         (ref, tensor([0.0, 1.0, 2.0]), 2.0)),
        ("Equal rewards: nothing is worth leaving the reference for.",
         (ref, tensor([3.0, 3.0, 3.0]), 1.0))], {
        "multiplies by beta: a dear nat keeps close to the reference, so divide.":
            tilted(lambda lp, x, beta: lp + x * beta),
        "forgets beta: divide the reward by it.": tilted(lambda lp, x, beta: lp + x),
        "does not sum to 1: subtract log Z.":
            tilted(lambda lp, x, beta: lp + x / beta, list),
        "returns probabilities: their logarithms are wanted.":
            tilted(lambda lp, x, beta: lp + x / beta,
                   lambda x: [*map(math.exp, normal(x))]),
        "forgets the reference: it is reweighted, not replaced.":
            tilted(lambda lp, x, beta: x / beta),
        "has the wrong sign: a high reward makes likelier.":
            tilted(lambda lp, x, beta: lp - x / beta),
        "divides the reference by beta as well: only the reward.":
            tilted(lambda lp, x, beta: (lp + x) / beta),
        "adds probabilities to rewards: take the logarithm of the reference.":
            tilted(lambda lp, x, beta: math.exp(lp) + x / beta),
        "returns the reference: then no reward is worth anything.":
            lambda ref, r, beta: ref})
    hold(student, oracles.optimum, [
        ("A cheap nat overflows exp: stay in logarithms.",
         (ref, tensor([0.0, 1000.0, 2000.0]), 0.5))])
