"""The usual mistakes of students about the best of n: each is refused, and by the sentence it deserves."""

import math
from itertools import combinations

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.checks.best_of_n import FACTS


def refused(check, mistake, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(mistake)


# What is true of it

TRUE = {"score rises", "KL below log n", "ties lower KL"}


@pytest.mark.parametrize("name", sorted(FACTS))
def test_each_fact_that_is_taken_for_its_opposite_gets_its_sentence(name):
    checks.check_best_of_n_facts(lambda: TRUE)
    checks.check_best_of_n_facts(lambda: sorted(TRUE))
    refused(checks.check_best_of_n_facts, lambda: TRUE ^ {name}, name)


@pytest.mark.parametrize("said, sentence", [("score rises", "a set of names"), ({"it rises"}, "is not among"),
                                            (7, "a set of names")])
def test_what_is_no_set_of_these_names_is_told_so(said, sentence):
    refused(checks.check_best_of_n_facts, lambda: said, sentence)


# KL of the best of n

def kept(p_V, r_V, n):
    below_V = (p_V * (r_V < r_V[:, None])).sum(dim=1)
    level_V = (p_V * (r_V == r_V[:, None])).sum(dim=1)
    return p_V * ((below_V + level_V) ** n - below_V ** n) / level_V


def kl(p_V, r_V, n):
    q_V = kept(p_V, r_V, n)
    return (q_V * (q_V / p_V).log()).sum()


def powers(p_V, r_V, n):
    q_V = (p_V * (r_V <= r_V[:, None])).sum(dim=1) ** n
    q_V = q_V / q_V.sum()
    return (q_V * (q_V / p_V).log()).sum()


@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, r, n: math.log(n) - (n - 1) / n, "never tie"),
    (lambda p, r, n: (p * (p / kept(p, r, n)).log()).sum(), "best of n comes first"),
    (lambda p, r, n: kl(p, r, n) / math.log(2), "not bits"),
    (lambda p, r, n: kl(p, r + 1e-6 * torch.arange(len(r)), n), "tie share"), (powers, "counts the worse answers too"),
    (lambda p, r, n: math.log(n), "log n alone"), (lambda p, r, n: n * kl(p, r, 2) / 2 if n > 1 else 0.0, "n times"),
    (lambda p, r, n: ((kept(p, r, n) - p) * r).sum(), "not the gain"),
    (lambda p, r, n: kl(p, r, n) + 0.01, "is right")])
def test_mistakes_in_the_kl_get_their_sentence(mistake, sentence):
    checks.check_kl_of_best(kl)
    refused(checks.check_kl_of_best, mistake, sentence)


# n for a budget

def n_for(budget, of=lambda n: math.log(n) - (n - 1) / n):
    n = 1
    while of(n + 1) <= budget:
        n += 1
    return n


@pytest.mark.parametrize("mistake, sentence", [
    (lambda b: n_for(b, math.log), "log n alone"), (math.exp, "n is whole"),
    (lambda b: n_for(b, lambda n: math.log(n) + (n - 1) / n), "not added"), (lambda b: n_for(b) + 1, "first n beyond"),
    (lambda b: max(1, n_for(b) - 1), "just fits"), (lambda b: math.exp(b + 1), "near for large n"),
    (lambda b: int(math.exp(b + 1)), "rounded down"),
    (lambda b: n_for(b, lambda n: math.log2(n) - (n - 1) / n), "natural logarithm"),
    (lambda b: n_for(b, lambda n: math.log(n) - 1 / n), "not 1/n"), (lambda b: 2, "is right|is not")])
def test_mistakes_in_n_get_their_sentence(mistake, sentence):
    checks.check_n_for(n_for)
    checks.check_n_for(lambda b: torch.tensor(n_for(b)))
    with pytest.raises(AssertionError) as told:
        checks.check_n_for(mistake)
    assert sentence.startswith("is right") or sentence in str(told.value)


# The best of n from N

def best_of(score_N, value_N, n):
    N = len(score_N)
    weight_N = torch.tensor([math.comb(i, n - 1) / math.comb(N, n) for i in range(N)], dtype=value_N.dtype)
    return (weight_N * value_N[score_N.argsort()]).sum()


def all_draws(score_N, value_N, n):
    total = [value_N[max(drawn, key=lambda i: score_N[i])] for drawn in combinations(range(len(score_N)), n)]
    return sum(total) / len(total)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda s, v, n: v[:n][s[:n].argmax()], "the first n only"),
    (lambda s, v, n: (torch.tensor([((i + 1) ** n - i ** n) / len(s) ** n for i in range(len(s))], dtype=v.dtype)
                      * v[s.argsort()]).sum(), "without replacement"),
    (lambda s, v, n: best_of(v, v, n), "keeps the worthiest"), (lambda s, v, n: best_of(s, s, n), "that is its score"),
    (lambda s, v, n: best_of(-s, v, n), "not the lowest"), (lambda s, v, n: v[s.argmax()], "best of all N"),
    (lambda s, v, n: v[s.argsort()[-n:]].mean(), "n best"), (lambda s, v, n: v.mean(), "mean of all N"),
    (lambda s, v, n: best_of(s, v, n) * math.comb(len(s), n), "take their mean"),
    (lambda s, v, n: best_of(s, v, n) + 1, "best_of|returned|is")])
def test_mistakes_in_the_best_of_n_get_their_sentence(mistake, sentence):
    checks.check_best_of(best_of)
    checks.check_best_of(all_draws)
    refused(checks.check_best_of, mistake, sentence)


# Its place, and its price

@pytest.mark.parametrize("mistake, sentence", [
    (lambda n, s: s ** n, "all n are"), (lambda n, s: n * s, "do not add up"),
    (lambda n, s: min(1.0, n * s), "cut at 1"),
    (lambda n, s: (1 - s) ** n, "that none is"), (lambda n, s: 1 - (1 - s) ** (n - 1), "n - 1 misses"),
    (lambda n, s: n * s * (1 - s) ** (n - 1), "exactly one"), (lambda n, s: 1 - s ** n, "1 - share miss"),
    (lambda n, s: n / (n + 1), "on average"), (lambda n, s: 0.5, "check|returned|is")])
def test_mistakes_in_the_chance_of_the_top_get_their_sentence(mistake, sentence):
    checks.check_top_chance(lambda n, share: 1 - (1 - share) ** n)
    checks.check_top_chance(lambda n, share: torch.tensor(1 - math.prod([1 - share] * n), dtype=torch.float64))
    refused(checks.check_top_chance, mistake, sentence)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda t, d, s, n: t / (n * (d + s)), "draws once as well"), (lambda t, d, s, n: t / (n * d + s - d), "is scored"),
    (lambda t, d, s, n: t / (n * d - d + s), "scored"), (lambda t, d, s, n: t / ((n - 1) * (d + s)), "needs no score"),
    (lambda t, d, s, n: (n * (d + s) - d) / t, "other way round"), (lambda t, d, s, n: t * (n * (d + s) - d), "divide"),
    (lambda t, d, s, n: t / (math.log(n) * (d + s)), "not with log n"),
    (lambda t, d, s, n: n * (d + s) - d, "each saves"),
    (lambda t, d, s, n: 1.0, "returned|is")])
def test_mistakes_in_the_break_even_get_their_sentence(mistake, sentence):
    checks.check_break_even(lambda train, draw, score, n: train / (n * (draw + score) - draw))
    refused(checks.check_break_even, mistake, sentence)
