"""The usual mistakes of students, each told apart from the right answer, and by the sentence it deserves."""

import pathlib

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite import checks


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


def test_an_unshifted_language_model_loss_is_refused():
    def unshifted(logits, token):
        return F.cross_entropy(logits.flatten(0, 1), token.flatten())

    with pytest.raises(AssertionError, match=r"about token t \+ 1"):
        checks.check_ptx_loss(unshifted)


def test_kl_the_wrong_way_or_nan_at_zero_is_refused():
    with pytest.raises(AssertionError, match="under p"):
        checks.check_relative_surprise(lambda p, q: (q.exp() * (q - p)).sum())
    with pytest.raises(AssertionError, match="0 log 0"):
        checks.check_relative_surprise(lambda p, q: (p.exp() * (p - q)).sum())


def test_preferences_the_wrong_way_or_overflowing_are_refused():
    with pytest.raises(AssertionError, match="3:1 odds"):
        checks.check_preference_probability(lambda first, second: torch.sigmoid(second - first))
    with pytest.raises(AssertionError, match="overflows"):
        checks.check_preference_probability(lambda first, second: first.exp() / (first.exp() + second.exp()))


def test_finite_differences_of_a_parabola_are_its_slope():
    at = torch.tensor([1.0, -2.0], dtype=torch.float64)
    slope = checks.finite_difference(lambda x, c: c * (x ** 2).sum().item(), (at, 3), 0)
    assert slope.tolist() == pytest.approx([6, -12], rel=1e-9)


def test_oracles_use_nothing_else_of_ours():
    for path in pathlib.Path(checks.__file__).parent.glob("*.py"):
        for line in path.read_text().splitlines():
            if "instructgpt_lite" in line and line.startswith(("import", "from")):
                assert line.startswith("from instructgpt_lite.checks")


def k3(logp, ref_logp, swap=False, reduce=lambda x: x):
    log_ratio = logp - ref_logp if swap else ref_logp - logp
    return reduce(log_ratio.exp() - 1 - log_ratio)


@pytest.mark.parametrize("mistake, sentence", [
    ({"swap": True}, "samples are those of pi"), ({"reduce": torch.mean}, r"shape \(\)"),
    ({"reduce": lambda x: x + 1}, "nothing is surprising")])
def test_mistakes_in_k3_get_their_sentence(mistake, sentence):
    checks.check_k3(k3)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_k3(lambda *args: k3(*args, **mistake))


def optimum(ref_logp, r, beta):
    return (ref_logp + r / beta).log_softmax(-1)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda ref, r, beta: (ref + r * beta).log_softmax(-1), "beta is the price"),
    (lambda ref, r, beta: ref + r / beta, "nothing is worth leaving"),
    (lambda ref, r, beta: optimum(ref, r, beta).exp(), "nothing is worth leaving"),
    (lambda ref, r, beta: (ref.exp() * (r / beta).exp() / (ref.exp() * (r / beta).exp()).sum()).log(), "overflows")])
def test_mistakes_in_the_optimum_get_their_sentence(mistake, sentence):
    checks.check_optimum(optimum)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_optimum(mistake)
