"""The usual mistakes of students about choices: each is refused, and by the sentence it deserves."""

import re

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite import checks
from instructgpt_lite.theory.bradley_terry import plackett_luce_logp, preference_probability
from instructgpt_lite.theory.choices import elo_update, worth_in_pairs


def refused(check, mistakes):
    """Each of the mistakes hears a sentence of its own, at least eight do, and None is no error of another kind."""
    heard = []
    for mistake, sentence in mistakes.items():
        with pytest.raises(AssertionError, match=re.escape(sentence)):
            check(mistake)
        heard.append(sentence)
    assert len(heard) >= 8 and len(set(heard)) >= 8
    with pytest.raises(AssertionError, match="returned"):
        check(lambda *arguments: None)


# A chance

def test_mistakes_in_the_chance_of_a_preference_get_their_sentence():
    checks.check_preference_probability(preference_probability)
    refused(checks.check_preference_probability, {
        lambda a, b: torch.sigmoid(b - a): "chance of the second",
        lambda a, b: a - b: "logistic function makes a chance",
        lambda a, b: a / (a + b): "p = exp(s)",
        lambda a, b: F.logsigmoid(a - b): "leave log out",
        lambda a, b: (a - b).exp(): "That is the odds",
        lambda a, b: (a > b).double(): "who is ahead",
        lambda a, b: torch.distributions.Normal(0, 1).cdf(a - b): "Thurstone",
        lambda a, b: torch.tanh(a - b): "tanh",
        lambda a, b: a.sigmoid() - b.sigmoid(): "one sigmoid of the difference",
        lambda a, b: a.exp() / (a.exp() + b.exp()): "overflows",
        lambda a, b: torch.sigmoid((a - b).clamp(-1, 1)): "3:1 odds",
        lambda a, b: torch.sigmoid(a - b).mean(): "shape"})


# The loss

def right_reward_loss(r_BK, rank_BK, transform=F.logsigmoid, better=torch.lt):
    prefers = better(rank_BK[:, :, None], rank_BK[:, None, :])
    surprise = torch.where(prefers, -transform(r_BK[:, :, None] - r_BK[:, None, :]), 0)
    return (surprise.sum(dim=(1, 2)) / prefers.sum(dim=(1, 2))).mean()


def all_pairs_at_once(r_BK, rank_BK):
    prefers = rank_BK[:, :, None] < rank_BK[:, None, :]
    return -F.logsigmoid(r_BK[:, :, None] - r_BK[:, None, :])[prefers].mean()


def sum_over_pairs(r_BK, rank_BK):
    prefers = rank_BK[:, :, None] < rank_BK[:, None, :]
    return -(F.logsigmoid(r_BK[:, :, None] - r_BK[:, None, :]) * prefers).sum(dim=(1, 2)).mean()


def ties_count(r_BK, rank_BK):
    margin = r_BK[:, :, None] - r_BK[:, None, :]
    surprise = torch.where(rank_BK[:, :, None] < rank_BK[:, None, :], -F.logsigmoid(margin), 0)
    K = r_BK.size(1)
    return (surprise.sum(dim=(1, 2)) / (K * (K - 1) / 2)).mean()


def by_place_of_pairs(r_BK, rank_BK):
    return right_reward_loss(r_BK, torch.arange(r_BK.size(1)).expand_as(rank_BK))


def test_mistakes_in_the_reward_loss_get_their_sentence():
    checks.check_reward_loss(right_reward_loss)
    refused(checks.check_reward_loss, {
        lambda r, rank: right_reward_loss(r, rank, better=torch.gt): "rank 1 is the best",
        all_pairs_at_once: "inside each prompt first",
        sum_over_pairs: "six pairs",
        lambda r, rank: right_reward_loss(r, rank, transform=lambda x: torch.sigmoid(x).log()): "use logsigmoid",
        ties_count: "tie makes no pair",
        by_place_of_pairs: "may be the second",
        lambda r, rank: -right_reward_loss(r, rank): "minus the logarithm",
        lambda r, rank: right_reward_loss(r, rank, transform=lambda x: -torch.sigmoid(x)): "right order: take minus",
        lambda r, rank: right_reward_loss(r, rank, transform=lambda x: -torch.sigmoid(-x)): "wrong order",
        lambda r, rank: right_reward_loss(r, rank, transform=lambda x: -x): "That is the margin",
        lambda r, rank: right_reward_loss(r.detach(), rank): "lost its gradient",
        lambda r, rank: right_reward_loss(r, rank).item(): "a tensor is wanted"})


# The push

def test_mistakes_in_the_push_get_their_sentence():
    checks.check_push(lambda w, l: -torch.sigmoid(l - w))
    refused(checks.check_push, {
        lambda w, l: torch.sigmoid(l - w): "for the loser",
        lambda w, l: -torch.sigmoid(w - l): "grows as the pair is settled",
        lambda w, l: -torch.sigmoid(w - l) * torch.sigmoid(l - w): "slope of the chance",
        lambda w, l: -1 / torch.sigmoid(w - l): "chain rule",
        lambda w, l: -F.logsigmoid(w - l): "differentiate it",
        lambda w, l: -torch.ones_like(w): "pushed alike",
        lambda w, l: -(w < l).double(): "right ones are pushed too",
        lambda w, l: -torch.sigmoid(l - w).mean(): "one number a pair",
        lambda w, l: -(l - w).exp() / (1 + (l - w).exp()): "overflows",
        lambda w, l: w - l: "push is one half"})


# A day of labeling

def day(K, prompt, units, worth=lambda K: worth_in_pairs(K)["eq. (1)"]):
    return units / (prompt + K) * worth(K)


def test_mistakes_in_a_day_of_labeling_get_their_sentence():
    checks.check_labeling_day(day)
    refused(checks.check_labeling_day, {
        lambda K, prompt, units: day(K, prompt, units, lambda K: K * (K - 1) / 2): "repeat each other",
        lambda K, prompt, units: day(K, 0, units): "prompt must be read",
        lambda K, prompt, units: units / prompt * worth_in_pairs(K)["eq. (1)"]: "Answers must be read",
        lambda K, prompt, units: units / (K * (prompt + 1)) * worth_in_pairs(K)["eq. (1)"]: "read once, not with",
        lambda K, prompt, units: units / (prompt + K * (K - 1)) * worth_in_pairs(K)["eq. (1)"]: "read afresh",
        lambda K, prompt, units: worth_in_pairs(K)["eq. (1)"]: "how many fit into a day",
        lambda K, prompt, units: units / (prompt + K) * 3 / (K + 1): "worth of one pair",
        lambda K, prompt, units: units / (prompt + K): "how many rankings",
        lambda K, prompt, units: 2 * day(K, prompt, units): "every pair twice",
        lambda K, prompt, units: day(K, prompt, units, lambda K: worth_in_pairs(K)["Plackett-Luce"]): "best method",
        lambda K, prompt, units: units // (prompt + K) * worth_in_pairs(K)["eq. (1)"]: "use /, not //",
        lambda K, prompt, units: 108.0: "Rankings a day times"})


# Two labelers and a model

def two(margin_P, first=lambda q: q ** 2 + (1 - q) ** 2, second=lambda q: torch.maximum(q, 1 - q)):
    q = torch.sigmoid(margin_P)
    return first(q).mean().item(), second(q).mean().item()


def drawn(margin_P):
    one, other = torch.rand(2, len(margin_P), generator=torch.Generator().manual_seed(0)) < torch.sigmoid(margin_P)
    return (one == other).double().mean(), (one == (margin_P > 0)).double().mean()


def of_the_mean(margin_P):
    q = torch.sigmoid(margin_P).mean()
    return (q ** 2 + (1 - q) ** 2).item(), max(q, 1 - q).item()


def test_mistakes_about_two_labelers_get_their_sentence():
    checks.check_two_labelers(two)
    checks.check_two_labelers(lambda margin: torch.tensor(two(margin), dtype=torch.float64))
    refused(checks.check_two_labelers, {
        lambda margin: two(margin)[::-1]: "wrong way round",
        lambda margin: two(margin, first=lambda q: q ** 2): "agree on the second",
        lambda margin: two(margin, first=lambda q: 2 * q * (1 - q)): "disagree",
        lambda margin: two(margin, first=lambda q: q): "second labeler errs",
        lambda margin: two(margin, second=lambda q: q): "the model takes the likelier",
        lambda margin: two(margin, second=torch.ones_like): "does not know the choice",
        lambda margin: two(margin, second=lambda q: q ** 2 + (1 - q) ** 2): "as noisy as a labeler",
        lambda margin: two(margin, first=lambda q: torch.maximum(q, 1 - q)): "accuracy of both",
        of_the_mean: "Pairs differ", drawn: "nothing is drawn"})


# A whole ranking

def ranked(r_BK, rank_BK):
    return r_BK.gather(1, rank_BK.argsort(dim=1))


def all_pairs(r_BK, rank_BK):
    prefers = rank_BK[:, :, None] < rank_BK[:, None, :]
    return (F.logsigmoid(r_BK[:, :, None] - r_BK[:, None, :]) * prefers).sum(dim=(1, 2))


def by_place(r_BK, rank_BK):
    return plackett_luce_logp(r_BK, torch.arange(1, r_BK.size(1) + 1).expand_as(r_BK))


def without_itself(r_BK, rank_BK):
    r = ranked(r_BK, rank_BK)
    left = [r[:, k + 1:].logsumexp(dim=1) for k in range(r.size(1) - 1)]
    return (r[:, :-1] - torch.stack(left, dim=1)).sum(dim=1)


def naive_exp(r_BK, rank_BK):
    p = ranked(r_BK, rank_BK).exp()
    return sum((p[:, k] / p[:, k:].sum(dim=1)).log() for k in range(p.size(1)))


def less_the_largest(r_BK, rank_BK, last=1):
    """exp after the maximum of the row was taken off: safe above, not below."""
    p = ranked(r_BK - r_BK.max(dim=1, keepdim=True).values, rank_BK)
    left = torch.stack([p[:, k:].exp().sum(dim=1).log() for k in range(p.size(1) - last)], dim=1)
    return (p[:, :p.size(1) - last] - left).sum(dim=1)


def test_mistakes_in_plackett_luce_get_their_sentence():
    checks.check_plackett_luce_logp(plackett_luce_logp)
    refused(checks.check_plackett_luce_logp, {
        all_pairs: "pairs of eq. (1)",
        by_place: "Go by rank, not by place",
        lambda r, rank: r.log_softmax(dim=1)[rank == 1]: "best alone",
        lambda r, rank: r.log_softmax(dim=1).sum(dim=1): "Who was drawn leaves",
        without_itself: "its own sum contains it",
        lambda r, rank: plackett_luce_logp(r, r.size(1) + 1 - rank): "worst first",
        lambda r, rank: by_place(r.gather(1, rank - 1), rank): "A rank is not an index",
        lambda r, rank: plackett_luce_logp(r, rank).exp(): "its logarithm is wanted",
        lambda r, rank: -plackett_luce_logp(r, rank): "leave the minus out",
        lambda r, rank: plackett_luce_logp(r, rank) / r.size(1): "mean over ranks",
        lambda r, rank: plackett_luce_logp(r, rank).mean(): "shape",
        naive_exp: "Far apart, exp", less_the_largest: "far ahead, exp",
        lambda r, rank: plackett_luce_logp(r.clamp(-900, 900), rank): "At a high level, exp"})


def test_naive_exp_is_refused_whatever_part_of_it_is_safe():
    for mistake in (naive_exp, less_the_largest, lambda r, rank: less_the_largest(r, rank, last=0)):
        with pytest.raises(AssertionError, match="use logsumexp"):
            checks.check_plackett_luce_logp(mistake)


# A game

def game(gain, loss=None):
    def after(rating_N, winner, loser, k):
        ahead, new = rating_N[winner] - rating_N[loser], rating_N.clone()
        new[winner] += k * gain(ahead)
        new[loser] -= k * (loss or gain)(ahead)
        return new
    return after


def in_place(rating_N, winner, loser, k):
    moved = k / (1 + 10 ** ((rating_N[winner] - rating_N[loser]) / 400))
    rating_N[winner] += moved
    rating_N[loser] -= moved
    return rating_N


def unexpected(ahead):
    return 1 / (1 + 10 ** (ahead / 400))


def test_mistakes_in_elo_get_their_sentence():
    checks.check_elo_update(elo_update)
    refused(checks.check_elo_update, {
        in_place: "work on a copy",
        game(lambda ahead: torch.sigmoid(-ahead / 400)): "not of e to one",
        game(lambda ahead: 0.5): "Always half",
        game(lambda ahead: 1.0): "All of k moves",
        game(lambda ahead: unexpected(-ahead)): "an upset moves most",
        game(unexpected, lambda ahead: 0.0): "loser pays what",
        game(unexpected, lambda ahead: -unexpected(ahead)): "rating rises",
        game(unexpected, lambda ahead: unexpected(-ahead)): "not the rest of k",
        game(lambda ahead: -unexpected(ahead)): "swapped",
        lambda rating, winner, loser, k: elo_update(rating, winner, loser, k)[[winner, loser]]: "shape",
        lambda rating, winner, loser, k: elo_update(rating, winner, loser, 32.0): "k / 11"})


# A trio

def beats(s, i, j):
    return torch.sigmoid(s[i] - s[j])


def goes_round(s):
    one = beats(s, 0, 1) * beats(s, 1, 2) * beats(s, 2, 0)
    return one + beats(s, 1, 0) * beats(s, 2, 1) * beats(s, 0, 2)


def one_direction(s):
    return beats(s, 0, 1) * beats(s, 1, 2) * beats(s, 2, 0)


def test_mistakes_about_trios_that_go_round_get_their_sentence():
    checks.check_goes_round(goes_round)
    checks.check_goes_round(lambda s: goes_round(s).item())
    refused(checks.check_goes_round, {
        lambda s: goes_round(s) - one_direction(s): "two directions",
        lambda s: one_direction(s) * (goes_round(s) - one_direction(s)): "exclude each other",
        lambda s: 1 - goes_round(s): "does not go round",
        lambda s: 0.25: "One quarter is for equals",
        lambda s: beats(s, 0, 1) * beats(s, 1, 2) * beats(s, 0, 2): "order of the strengths",
        lambda s: beats(s, 0, 1) * beats(s, 1, 2) + beats(s, 1, 0) * beats(s, 2, 1): "three factors",
        lambda s: beats(s, 0, 1) + beats(s, 1, 2) + beats(s, 2, 0): "multiply their chances",
        lambda s: 0.125: "two of them go round",
        lambda s: goes_round(2 * s): "product of three chances"})
