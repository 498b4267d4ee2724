"""The usual mistakes of students about the reward model: each is refused, and by the sentence it deserves."""

import math
from itertools import combinations

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.checks.reward import SHIFTED

SIGMA = torch.sigmoid


def refused(check, mistake, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(mistake)


# The gradient of eq. (1)

def gradient(r_K, rank_K, sign=1, chance=lambda margin: SIGMA(-margin), better=torch.lt, loser=True, pairs=None):
    prefers_KK = better(rank_K[:, None], rank_K)
    push_KK = torch.where(prefers_KK, chance(r_K[:, None] - r_K), 0)
    slope_K = loser * push_KK.sum(dim=0) - push_KK.sum(dim=1)
    return sign * slope_K / (prefers_KK.sum() if pairs is None else pairs(prefers_KK))


def all_of(prefers_KK):
    K = len(prefers_KK)
    return K * (K - 1) / 2


def odds(margin):
    return 1 / (1 + margin.exp()) * (margin.exp() / margin.exp())


@pytest.mark.parametrize("options, sentence", [
    ({"sign": -1}, "the way the chance rises"), ({"pairs": lambda x: 1}, "sum over pairs"),
    ({"pairs": len}, "not by the number of responses"), ({"pairs": all_of}, "a tie makes no pair"),
    ({"pairs": lambda x: x.sum() ** 2}, "divided twice"), ({"chance": SIGMA}, "yours is sigma.margin"),
    ({"better": torch.gt}, "rank 1 is the best"), ({"loser": False}, "the loser is pushed as well"),
    ({"better": lambda one, other: other - one == 1}, "only neighbours"), ({"chance": odds}, "is right")])
def test_mistakes_in_the_gradient_get_their_sentence(options, sentence):
    checks.check_reward_gradient(gradient)
    refused(checks.check_reward_gradient, lambda r_K, rank_K: gradient(r_K, rank_K, **options), sentence)


def test_what_changes_its_input_is_told_so():
    def in_place(r_K, rank_K):
        r_K -= r_K.mean()
        return gradient(r_K, rank_K)

    refused(checks.check_reward_gradient, in_place, "changed what it was given")


# Responses read

@pytest.mark.parametrize("mistake, sentence", [
    (lambda K: (K, math.comb(K, 2)), "twice C"), (lambda K: (K * (K - 1), K * (K - 1)), "however many pairs"),
    (lambda K: (math.comb(K, 2), K * (K - 1)), "not one reading for each pair"),
    (lambda K: (1, K * (K - 1)), "still K responses"), (lambda K: (K * (K - 1), K), "other way round"),
    (lambda K: (K, K), "K - 1 partners"), (lambda K: (K, K * K), "no response meets itself"),
    (lambda K: (K, 2 * (K - 1)), "not only its neighbours"), (lambda K: (K - 1, K * (K - 1)), "is right"),
    (lambda K: None, "returned None")])
def test_mistakes_in_what_is_read_get_their_sentence(mistake, sentence):
    checks.check_responses_read(lambda K: (K, K * (K - 1)))
    refused(checks.check_responses_read, mistake, sentence)


# Brier score

@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, won: ((p - won) ** 2).sum(), "mean over pairs"),
    (lambda p, won: ((p - won) ** 2).mean().sqrt(), "no root"),
    (lambda p, won: (p - won).abs().mean(), "not absolute"),
    (lambda p, won: ((p > 0.5) != won.bool()).double().mean(), "wrong guesses"),
    (lambda p, won: (p * (1 - p)).mean(), "honest forecasts"),
    (lambda p, won: ((1 - p - won) ** 2).mean(), "chance of the first"),
    (lambda p, won: 2 * ((p - won) ** 2).mean(), "same error twice"),
    (lambda p, won: -torch.where(won == 1, p, 1 - p).log().mean(), "log loss"),
    (lambda p, won: (p.mean() - won.mean()) ** 2, "must not cancel"),
    (lambda p, won: p.mean(), "is right")])
def test_mistakes_in_the_brier_score_get_their_sentence(mistake, sentence):
    checks.check_brier(lambda p, won: (p - won).square().mean())
    refused(checks.check_brier, mistake, sentence)


# The floor of the log loss

def entropy(q):
    return torch.special.entr(q) + torch.special.entr(1 - q)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda q: entropy(q).mean() / math.log(2), "not bits"),
    (lambda q: -(q * q.log() + (1 - q) * (1 - q).log()).mean(), "0 log 0"),
    (lambda q: torch.special.entr(q).mean(), "one half of it"), (lambda q: -q.log().mean(), "both outcomes"),
    (lambda q: -torch.maximum(q, 1 - q).log().mean(), "likelier outcome"),
    (lambda q: entropy(q).sum(), "mean over pairs"), (lambda q: torch.minimum(q, 1 - q).mean(), "error rate"),
    (lambda q: (q * (1 - q)).mean(), "Brier"), (lambda q: entropy(q.mean()), "not of the mean chance"),
    (lambda q: -entropy(q).mean(), "the sign")])
def test_mistakes_in_the_floor_get_their_sentence(mistake, sentence):
    checks.check_floor(lambda q: entropy(q).mean())
    refused(checks.check_floor, mistake, sentence)


# The level

@pytest.mark.parametrize("mistake, sentence", [
    (lambda r, demo: r - r.mean(), "not the responses"), (lambda r, demo: r + demo.mean(), "do not add"),
    (lambda r, demo: (r - demo.mean()) / demo.std(unbiased=False), "spread stays"),
    (lambda r, demo: r - r.mean(dim=1, keepdim=True), "one for each prompt"),
    (lambda r, demo: r - demo.double().quantile(0.5), "not their median"),
    (lambda r, demo: r - demo.max(), "not the best"), (lambda r, demo: r / demo.mean(), "multiplying"),
    (lambda r, demo: r, "nothing has moved"), (lambda r, demo: demo.mean(), "moved rewards")])
def test_mistakes_in_the_level_get_their_sentence(mistake, sentence):
    checks.check_center(lambda r, demo: r - demo.mean())
    refused(checks.check_center, mistake, sentence)


RIGHT = {name for name, (moves, _) in SHIFTED.items() if moves}


@pytest.mark.parametrize("name", SHIFTED)
def test_each_wrong_guess_about_a_shift_hears_why(name):
    checks.check_shift(lambda: RIGHT)
    refused(checks.check_shift, lambda: RIGHT ^ {name}, f"^{name}: ")


def test_an_unknown_guess_is_named():
    refused(checks.check_shift, lambda: {"weather"}, "weather")


# Length

def longer(lengths, ranks, tie=0.5, better=lambda one, other: one < other, over=None):
    shares = []
    for long, rank in zip(lengths, ranks):
        pairs = [(w, l) for one in combinations(range(len(rank)), 2) for w, l in (one, one[::-1])
                 if better(rank[w], rank[l])]
        shares.append([1 if long[w] > long[l] else tie if long[w] == long[l] else 0 for w, l in pairs])
    pooled = [each for share in shares for each in share]
    return over(shares) if over else sum(pooled) / len(pooled)


@pytest.mark.parametrize("options, sentence", [
    ({"tie": 0}, "toss a coin"), ({"tie": 1}, "not whole"), ({"better": lambda one, other: one > other}, "rank 1"),
    ({"better": lambda one, other: one <= other}, "equal ranks"), ({"over": lambda x: sum(map(sum, x))}, "divide"),
    ({"over": lambda x: sum(sum(each) / len(each) for each in x) / len(x)}, "one mean over all pairs"),
    ({"better": lambda one, other: one != other}, "both ways round"),
    ({"better": lambda one, other: other - one == 1}, "neighbours")])
def test_mistakes_in_the_share_of_longer_winners_get_their_sentence(options, sentence):
    checks.check_longer_share(longer)
    refused(checks.check_longer_share, lambda *lists: longer(*lists, **options), sentence)


def test_who_compares_the_best_with_the_longest_is_told_so():
    def best(lengths, ranks):
        return sum(long[rank.index(1)] == max(long) for long, rank in zip(lengths, ranks)) / len(ranks)

    refused(checks.check_longer_share, best, "not only the best")
