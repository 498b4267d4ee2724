"""The usual mistakes of students about the objective of PPO are refused, by the sentence they deserve."""

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite import checks


def times_the_mask(x, mask):
    return (x * mask).sum() / mask.sum()


def mean_of_row_means(x, mask):
    return (torch.where(mask, x, 0).sum(dim=1) / mask.sum(dim=1)).mean()


@pytest.mark.parametrize("mistake", [times_the_mask, mean_of_row_means])
def test_means_that_read_padding_or_weigh_rows_alike_are_refused(mistake):
    with pytest.raises(AssertionError, match="must not leak"):
        checks.check_masked_mean(mistake)


def token_rewards(r_B, logp_BT, ref_logp_BT, mask_BT, beta, sign=-1, last_column=False):
    last_BT = mask_BT & (mask_BT.cumsum(dim=1) == mask_BT.sum(dim=1, keepdim=True))
    if last_column:
        last_BT = torch.arange(mask_BT.size(1)).expand_as(mask_BT) == mask_BT.size(1) - 1
    penalty_BT = torch.where(mask_BT, sign * beta * (logp_BT - ref_logp_BT), 0)
    return penalty_BT + torch.where(last_BT, r_B[:, None], 0)


@pytest.mark.parametrize("mistake, sentence", [
    ({"sign": 1}, "is penalised"), ({"last_column": True}, r"last \*counted\* one")])
def test_mistakes_in_token_rewards_get_their_sentence(mistake, sentence):
    checks.check_token_rewards(token_rewards)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_token_rewards(lambda *args: token_rewards(*args, **mistake))


def gae(reward_BT, value_BT, mask_BT, lam, discount=1.0, bootstrap=0.0):
    advantage_BT = torch.zeros_like(reward_BT)
    for b, row in enumerate(mask_BT):
        following, next_value = 0.0, bootstrap
        for t in reversed(row.nonzero().flatten().tolist()):
            delta = reward_BT[b, t] + discount * next_value - value_BT[b, t]
            following = delta + discount * lam * following
            next_value, advantage_BT[b, t] = value_BT[b, t], following
    return advantage_BT


@pytest.mark.parametrize("mistake", [{"discount": 0.99}, {"bootstrap": 0.5}])
def test_a_discount_and_a_value_after_the_end_are_refused(mistake):
    checks.check_gae(gae)
    with pytest.raises(AssertionError, match="no value after the last token"):
        checks.check_gae(lambda *args: gae(*args, **mistake))


def policy_loss(logp_BT, old_logp_BT, advantage_BT, mask_BT, clip, pick=torch.minimum):
    ratio = (logp_BT[mask_BT] - old_logp_BT[mask_BT]).exp()
    advantage = advantage_BT[mask_BT]
    return -pick(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def only_clipped(plain, clipped):
    return clipped


def only_plain(plain, clipped):
    return plain


@pytest.mark.parametrize("pick", [torch.maximum, only_clipped, only_plain])
def test_a_surrogate_clipped_on_the_wrong_side_is_refused(pick):
    checks.check_policy_loss(policy_loss)
    with pytest.raises(AssertionError, match="which side the clip acts"):
        checks.check_policy_loss(lambda *args: policy_loss(*args, pick=pick))


def test_a_value_loss_without_half_or_with_the_better_error_is_refused():
    def value_loss(value, old, target, mask, clip, pick=torch.maximum, half=0.5):
        value, old, target = value[mask], old[mask], target[mask]
        near = old + (value - old).clamp(-clip, clip) if clip else value
        return half * pick((value - target).square(), (near - target).square()).mean()

    checks.check_value_loss(value_loss)
    with pytest.raises(AssertionError, match="half the mean"):
        checks.check_value_loss(lambda *args: value_loss(*args, half=1))
    with pytest.raises(AssertionError, match="larger of the two"):
        checks.check_value_loss(lambda *args: value_loss(*args, pick=torch.minimum))


def language_model_loss(logits, token, shift=1, rows=None, reduction="mean"):
    logits, token = logits[:rows, :logits.size(1) - shift], token[:rows, shift:]
    return F.cross_entropy(logits.flatten(0, 1), token.flatten(), reduction=reduction)


def summed_over_rows(logits, token):
    return sum(language_model_loss(*row) for row in zip(logits[:, None], token[:, None]))


@pytest.mark.parametrize("mistake, sentence", [
    (lambda *pair: language_model_loss(*pair, shift=0), r"about token t \+ 1"),
    (lambda *pair: language_model_loss(*pair, reduction="sum"), r"about token t \+ 1"),
    (lambda *pair: language_model_loss(*pair, rows=1), "all rows and places"),
    (summed_over_rows, "all rows and places")])
def test_mistakes_in_the_language_model_loss_get_their_sentence(mistake, sentence):
    checks.check_ptx_loss(language_model_loss)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_ptx_loss(mistake)
