"""The usual mistakes of students about choices: each is refused, and by the sentence it deserves."""

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite import checks
from instructgpt_lite.theory.bradley_terry import plackett_luce_logp
from instructgpt_lite.theory.choices import elo_update


def test_preferences_the_wrong_way_or_overflowing_are_refused():
    with pytest.raises(AssertionError, match="3:1 odds"):
        checks.check_preference_probability(lambda first, second: torch.sigmoid(second - first))
    with pytest.raises(AssertionError, match="overflows"):
        checks.check_preference_probability(lambda first, second: first.exp() / (first.exp() + second.exp()))


def right_reward_loss(r_BK, rank_BK, transform=F.logsigmoid, better=torch.lt):
    prefers = better(rank_BK[:, :, None], rank_BK[:, None, :])
    surprise = torch.where(prefers, -transform(r_BK[:, :, None] - r_BK[:, None, :]), 0)
    return (surprise.sum(dim=(1, 2)) / prefers.sum(dim=(1, 2))).mean()


def worst_is_rank_one(r_BK, rank_BK):
    return right_reward_loss(r_BK, rank_BK, better=torch.gt)


def all_pairs_at_once(r_BK, rank_BK):
    prefers = rank_BK[:, :, None] < rank_BK[:, None, :]
    return -F.logsigmoid(r_BK[:, :, None] - r_BK[:, None, :])[prefers].mean()


def sum_over_pairs(r_BK, rank_BK):
    prefers = rank_BK[:, :, None] < rank_BK[:, None, :]
    return -(F.logsigmoid(r_BK[:, :, None] - r_BK[:, None, :]) * prefers).sum(dim=(1, 2)).mean()


def log_of_sigmoid(r_BK, rank_BK):
    return right_reward_loss(r_BK, rank_BK, transform=lambda x: torch.sigmoid(x).log())


def ties_count(r_BK, rank_BK):
    margin = r_BK[:, :, None] - r_BK[:, None, :]
    surprise = torch.where(rank_BK[:, :, None] < rank_BK[:, None, :], -F.logsigmoid(margin), 0)
    K = r_BK.size(1)
    return (surprise.sum(dim=(1, 2)) / (K * (K - 1) / 2)).mean()


def detached(r_BK, rank_BK):
    return right_reward_loss(r_BK.detach(), rank_BK)


def as_a_number(r_BK, rank_BK):
    return right_reward_loss(r_BK, rank_BK).item()


@pytest.mark.parametrize("mistake, sentence", [
    (worst_is_rank_one, "rank 1 is the best"), (all_pairs_at_once, "inside each prompt first"),
    (sum_over_pairs, "six pairs"), (log_of_sigmoid, "use logsigmoid"), (ties_count, "tie makes no pair"),
    (detached, "lost its gradient"), (as_a_number, "a tensor is wanted")])
def test_mistakes_in_the_reward_loss_get_their_sentence(mistake, sentence):
    checks.check_reward_loss(right_reward_loss)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_reward_loss(mistake)


def in_place(rating_N, winner, loser, k):
    moved = k / (1 + 10 ** ((rating_N[winner] - rating_N[loser]) / 400))
    rating_N[winner] += moved
    rating_N[loser] -= moved
    return rating_N


def in_nats(rating_N, winner, loser, k):
    after = rating_N.clone()
    moved = k * torch.sigmoid((rating_N[loser] - rating_N[winner]) / 400)
    after[winner], after[loser] = after[winner] + moved, after[loser] - moved
    return after


def always_half(rating_N, winner, loser, k):
    after = rating_N.clone()
    after[winner], after[loser] = after[winner] + k / 2, after[loser] - k / 2
    return after


def upset_swapped(rating_N, winner, loser, k):
    after = rating_N.clone()
    moved = k * torch.sigmoid((rating_N[winner] - rating_N[loser]) * torch.tensor(10.0).log() / 400)
    after[winner], after[loser] = after[winner] + moved, after[loser] - moved
    return after


@pytest.mark.parametrize("mistake, sentence", [
    (in_place, "work on a clone"), (in_nats, "k / 11"), (always_half, "favorite gains little"),
    (upset_swapped, "favorite gains little")])
def test_mistakes_in_elo_get_their_sentence(mistake, sentence):
    checks.check_elo_update(elo_update)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_elo_update(mistake)


def all_pairs(r_BK, rank_BK):
    prefers = rank_BK[:, :, None] < rank_BK[:, None, :]
    return (torch.nn.functional.logsigmoid(r_BK[:, :, None] - r_BK[:, None, :]) * prefers).sum(dim=(1, 2))


def by_place(r_BK, rank_BK):
    return plackett_luce_logp(r_BK, torch.arange(1, r_BK.size(1) + 1).expand_as(r_BK))


def best_alone(r_BK, rank_BK):
    return r_BK.log_softmax(dim=1)[rank_BK == 1]


def naive_exp(r_BK, rank_BK):
    p = r_BK.gather(1, rank_BK.argsort(dim=1)).exp()
    return sum((p[:, k] / p[:, k:].sum(dim=1)).log() for k in range(p.size(1)))


def one_number(r_BK, rank_BK):
    return plackett_luce_logp(r_BK, rank_BK).mean()


@pytest.mark.parametrize("mistake, sentence", [
    (all_pairs, "then 2/3"), (by_place, "go by rank"), (best_alone, "then 2/3"), (one_number, "shape"),
    (naive_exp, "use logsumexp")])
def test_mistakes_in_plackett_luce_get_their_sentence(mistake, sentence):
    checks.check_plackett_luce_logp(plackett_luce_logp)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_plackett_luce_logp(mistake)
