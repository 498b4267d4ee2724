"""The usual mistakes of students about over-optimization: each is refused, and by the sentence it deserves."""

import math
from itertools import combinations

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.checks.overoptimization import RISES


def refused(check, mistake, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(mistake)


# What rises along a run

TRUE = {"score", "KL", "disagreement", "scores that were rare"}


@pytest.mark.parametrize("name", sorted(RISES))
def test_each_sign_that_is_taken_for_its_opposite_gets_its_sentence(name):
    checks.check_signs(lambda: TRUE)
    checks.check_signs(lambda: sorted(TRUE))
    refused(checks.check_signs, lambda: TRUE ^ {name}, name)


@pytest.mark.parametrize("said, sentence", [("score", "a set of names"), ({"length"}, "is not among")])
def test_what_is_no_set_of_these_names_is_told_so(said, sentence):
    refused(checks.check_signs, lambda: said, sentence)


# Peaks of the two curves

@pytest.mark.parametrize("mistake, sentence", [
    (lambda a, b: (a / b, 0.0), "halfway"), (lambda a, b: (a / (2 * b), a * a / (2 * b)), "the d is right"),
    (lambda a, b: (a * a / (4 * b), a / (2 * b)), "first d"), (lambda a, b: (a / b, a * a / b), "2 beta d"),
    (lambda a, b: (math.exp(a / b - 1), b * math.exp(a / b - 1)), "other form"),
    (lambda a, b: ((a / (2 * b)) ** 2, a * a / (4 * b)), "KL at the peak"),
    (lambda a, b: (b / (2 * a), b * b / (4 * a)), "not beta over alpha"),
    (lambda a, b: (a / (2 * b), a / 2), "not alpha - beta d"), (lambda a, b: (1.0, 1.0), "slope")])
def test_mistakes_in_the_peak_of_best_of_n_get_their_sentence(mistake, sentence):
    checks.check_peak_of_best_of_n(lambda alpha, beta: (alpha / (2 * beta), alpha ** 2 / (4 * beta)))
    refused(checks.check_peak_of_best_of_n, mistake, sentence)


def rl(alpha, beta, d):
    return d, d * (alpha - beta * math.log(d))


@pytest.mark.parametrize("mistake, sentence", [
    (lambda a, b: rl(a, b, math.exp(a / b)), "0 again"),
    (lambda a, b: (math.exp(a / b), b * math.exp(a / b)), "missing"),
    (lambda a, b: rl(a, b, math.exp(a / b + 1)), "with a plus"),
    (lambda a, b: (a / (2 * b), a * a / (4 * b)), "other form"),
    (lambda a, b: (a / b - 1, b * math.exp(a / b - 1)), "that is log d"),
    (lambda a, b: rl(a, b, math.exp(a / b - 1))[::-1], "first d"),
    (lambda a, b: (math.exp(a / b - 1), a * math.exp(a / b - 1)), "R there is beta d"),
    (lambda a, b: (math.exp(a / b - 1) ** 2, b * math.exp(a / b - 1)), "KL at the peak"),
    (lambda a, b: rl(a, b, 10 ** (a / b - 1)), "natural"), (lambda a, b: (1.0, 1.0), "slope")])
def test_mistakes_in_the_peak_of_rl_get_their_sentence(mistake, sentence):
    checks.check_peak_of_rl(lambda a, b: (math.exp(a / b - 1), b * math.exp(a / b - 1)))
    refused(checks.check_peak_of_rl, mistake, sentence)


# A pessimist

def pessimist(r_MB, weight):
    return r_MB.mean(dim=0) - weight * r_MB.std(dim=0, unbiased=False)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda r, w: r.mean(dim=1) - w * r.std(dim=1, unbiased=False), "over members"),
    (lambda r, w: r.mean(dim=0) + w * r.std(dim=0, unbiased=False), "not added"),
    (lambda r, w: r.mean(dim=0) - w * r.var(dim=0, unbiased=False), "not the variance"),
    (lambda r, w: r.mean(dim=0) - w * r.std(dim=0), "not by M - 1"), (lambda r, w: r.mean(dim=0), "that is the mean"),
    (lambda r, w: r.min(dim=0).values, "worst member"), (lambda r, w: pessimist(r, 1.0), "weight is missing"),
    (lambda r, w: r.median(dim=0).values - w * r.std(dim=0, unbiased=False), "not the median"),
    (lambda r, w: w * r.std(dim=0, unbiased=False), "doubt alone"), (lambda r, w: pessimist(r, w).tolist(), "tensor")])
def test_mistakes_in_the_pessimist_get_their_sentence(mistake, sentence):
    checks.check_pessimist(pessimist)
    checks.check_pessimist(lambda r_MB, weight: torch.stack([pessimist(r[:, None], weight)[0] for r in r_MB.T]))
    refused(checks.check_pessimist, mistake, sentence)


# Where to stop

def stop(kl, budget):
    place = 0
    while place + 1 < len(kl) and kl[place + 1] <= budget:
        place += 1
    return place


@pytest.mark.parametrize("mistake, sentence", [
    (lambda kl, b: min(stop(kl, b) + 1, len(kl) - 1), "first beyond"),
    (lambda kl, b: max(n for n, x in enumerate(kl) if x <= b), "comes back"),
    (lambda kl, b: next((n for n, x in enumerate(kl) if x >= b), len(kl)) - 1, "within it"),
    (lambda kl, b: kl[stop(kl, b)], "not its KL"),
    (lambda kl, b: min(range(len(kl)), key=lambda n: abs(kl[n] - b)), "nearest"),
    (lambda kl, b: stop(kl, b) + 1, "counted from 0"), (lambda kl, b: len(kl) - 1, "last of all"),
    (lambda kl, b: max(n for n in range(len(kl)) if not n or kl[n] - kl[n - 1] <= b), "not its steps"),
    (lambda kl, b: -1 if max(kl) <= b else stop(kl, b), "then the last"), (lambda kl, b: 0, "Go along")])
def test_mistakes_in_stopping_get_their_sentence(mistake, sentence):
    checks.check_stop(stop)
    refused(checks.check_stop, mistake, sentence)


# How alike answers are

def alike(texts):
    shares = []
    for each in texts:
        pairs = list(combinations(each, 2))
        shares.append(sum(a == b for a, b in pairs) / len(pairs))
    return sum(shares) / len(shares)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda texts: mean(mean(a == b for a in each for b in each) for each in texts), "with itself"),
    (lambda texts: mean(len(set(each)) / len(each) for each in texts), "that is the share of distinct"),
    (lambda texts: mean(1 - len(set(each)) / len(each) for each in texts), "does not count pairs"),
    (lambda texts: 1 - alike(texts), "pairs that differ"), (lambda texts: alike([sum(texts, [])]), "one prompt only"),
    (lambda texts: mean(mean(a == b for a, b in zip(each, each[1:])) for each in texts), "neighbours"),
    (lambda texts: mean(mean(a == each[0] for a in each[1:]) for each in texts), "with the first"),
    (lambda texts: alike(texts) * len(texts), "sum over prompts"),
    (lambda texts: mean(len(set(each)) == 1 for each in texts), "all answers equal"),
    (lambda texts: 0.0, "how many are equal")])
def test_mistakes_in_how_alike_answers_are_get_their_sentence(mistake, sentence):
    checks.check_alike(alike)
    refused(checks.check_alike, mistake, sentence)
