"""The usual mistakes with rankings and ratings get the sentence they deserve."""

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.theory.bradley_terry import plackett_luce_logp
from instructgpt_lite.theory.choices import elo_update


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


def one_number(r_BK, rank_BK):
    return plackett_luce_logp(r_BK, rank_BK).mean()


@pytest.mark.parametrize("mistake, sentence", [
    (all_pairs, "then 2/3"), (by_place, "go by rank"), (best_alone, "then 2/3"), (one_number, "shape")])
def test_mistakes_in_plackett_luce_get_their_sentence(mistake, sentence):
    checks.check_plackett_luce_logp(plackett_luce_logp)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_plackett_luce_logp(mistake)
