"""Checks of a student's own functions about relative surprise and its price."""

from collections.abc import Callable

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import agree, tensor


def check_relative_surprise(student: Callable) -> None:
    """KL(p || q) from two vectors of log-probabilities."""
    p, q = tensor([0.5, 0.25, 0.25]).log(), tensor([0.1, 0.6, 0.3]).log()
    certain = tensor([1.0, 0.0, 0.0]).log()
    agree(student, oracles.kl, [
        ("A distribution is not surprised by itself.", (p, p)),
        ("Sum p (log p - log q) over all words: under p, the first argument, in nats.",
         (p, q)),
        ("KL is not symmetric.", (q, p)),
        ("What p excludes costs nothing: 0 log 0 is 0.", (certain, p)),
        ("What p allows and q excludes costs infinity.", (p, certain))])


def check_k3(student: Callable) -> None:
    """k3 of samples of pi: ref / pi - 1 - log(ref / pi), elementwise."""
    pi, ref = tensor([0.5, 0.25, 0.2]).log(), tensor([0.25, 0.5, 0.2]).log()
    agree(student, oracles.k3, [
        ("Where both give the same, nothing is surprising: 0.", (pi[2:], ref[2:])),
        ("k3 is ratio - 1 - log(ratio); the ratio is ref / pi, because the samples are "
         "those of pi.", (pi[:1], ref[:1])),
        ("It is never negative, nor clamped: elementwise, no mean.", (pi, ref))])


def check_optimum(student: Callable) -> None:
    """log pi* of the policy of highest E[r] - beta KL(pi || ref)."""
    ref, r = tensor([0.5, 0.3, 0.2]).log(), tensor([0.0, 1.0, 2.0])
    agree(student, oracles.optimum, [
        ("Equal rewards: nothing is worth leaving the reference for.",
         (ref, tensor([3.0, 3.0, 3.0]), 1.0)),
        ("ref times exp(r / beta), made to sum to 1, as log-probabilities.",
         (ref, r, 1.0)),
        ("beta is the price of a nat: a dear one keeps close to the reference.",
         (ref, r, 10.0)),
        ("A cheap one overflows exp: subtract in logarithms.", (ref, 1000 * r, 0.5))])
