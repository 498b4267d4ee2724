"""Eq. (2) and PPO's losses against loops, hand numbers and hand gradients."""

import math

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite import checks
from instructgpt_lite.checks import oracles
from instructgpt_lite.theory.objective import (
    adapted_beta,
    clip_fraction,
    explained_variance,
    gae,
    policy_loss,
    ptx_loss,
    tempered,
    token_logp,
    token_rewards,
    value_loss,
)

REL = {"rel": 1e-12, "abs": 1e-14}
ONE = torch.ones(1, 1, dtype=torch.bool)
GARBAGE = [0.0, 1e300, math.inf, -math.inf, math.nan]


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


def flat(rows):
    return [x for row in (rows.tolist() if torch.is_tensor(rows) else rows) for x in row]


def drawn(seed, count, B=5, T=7):
    """`count` random tables, and a right-padded mask whose first row is empty and last row full."""
    generator = torch.Generator().manual_seed(seed)
    tables = [torch.randn(B, T, dtype=torch.float64, generator=generator) for _ in range(count)]
    length = torch.randint(1, T, (B,), generator=generator)
    length[0], length[-1] = 0, T
    return *tables, torch.arange(T) < length[:, None]


def one(x):
    return tensor([[x]])


def test_temperature_divides_logits():
    logits = tensor([[[0.0, 1.0, 3.0]]])
    assert torch.equal(tempered(logits, 2.0), tensor([[[0.0, 0.5, 1.5]]]))
    assert tempered(logits, 1.0) is logits


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_not_above_zero_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        tempered(torch.zeros(3), temperature)


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
def test_token_logp_is_the_log_softmax_at_the_token(temperature):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3, 5, dtype=torch.float64, generator=generator)
    token = torch.randint(5, (2, 3), generator=generator)
    got, want = token_logp(logits, token, temperature), oracles.token_logp(logits, token, temperature)
    assert flat(got) == pytest.approx(flat(want), **REL)
    p = F.softmax(tempered(logits, temperature), dim=-1)
    assert flat(got.exp()) == pytest.approx(flat(p.gather(2, token[:, :, None])[:, :, 0]), **REL)


def test_token_logp_pulls_up_its_token_and_pushes_down_all_by_their_share():
    logits = tensor([[[0.2, -1.0, 0.7]]]).requires_grad_()
    token_logp(logits, torch.tensor([[2]]), temperature=2.0).sum().backward()
    share = [math.exp(x / 2) for x in (0.2, -1.0, 0.7)]
    want = [((v == 2) - x / sum(share)) / 2 for v, x in enumerate(share)]
    assert logits.grad[0, 0].tolist() == pytest.approx(want, **REL)


def test_token_logp_is_finite_at_any_logits():
    assert token_logp(tensor([[[0.0, 2000.0]]]), torch.tensor([[0]])).item() == -2000.0


def test_penalty_is_an_unbiased_estimate_of_kl():
    """Exact expectation over a 7-word vocabulary: no Monte Carlo, no tolerance to hide in."""
    generator = torch.Generator().manual_seed(0)
    pi, ref = torch.randn(2, 7, dtype=torch.float64, generator=generator).log_softmax(-1)
    counts, no_score = torch.ones(7, 1, dtype=torch.bool), torch.zeros(7, dtype=torch.float64)
    penalty = token_rewards(no_score, pi[:, None], ref[:, None], counts, beta=1.0)
    assert (pi.exp() * -penalty[:, 0]).sum().item() == pytest.approx(oracles.kl(pi, ref), rel=1e-12)


LOGP, REF_LOGP, THREE = tensor([[-1.0, -2.0, -0.5]]), tensor([[-1.2, -1.5, -0.5]]), torch.ones(1, 3) > 0


def test_three_tokens_share_penalty_and_score():
    reward = token_rewards(tensor([1.0]), LOGP, REF_LOGP, THREE, beta=0.02)
    assert reward[0].tolist() == pytest.approx([-0.004, 0.01, 1], **REL)
    assert gae(reward, tensor([[0.5, 0.6, 0.7]]), THREE, 0.95)[0].tolist() == pytest.approx(
        [0.47125, 0.395, 0.3], **REL)


@pytest.mark.parametrize("seed", range(5))
def test_token_rewards_add_up_to_the_bracket_of_eq_2(seed):
    logp, ref_logp, mask = drawn(seed, 2)
    r = torch.arange(5, dtype=torch.float64) - 1.5
    reward = token_rewards(r, logp, ref_logp, mask, beta=0.3)
    want = oracles.token_rewards(r, logp, ref_logp, mask, 0.3)
    assert flat(reward) == pytest.approx(flat(want), **REL)
    for b in range(1, 5):
        ratio = sum(flat((logp - ref_logp)[b:b + 1, mask[b]]))
        assert reward[b].sum().item() == pytest.approx(r[b].item() - 0.3 * ratio, **REL)


def test_an_empty_response_gets_no_score():
    reward = token_rewards(tensor([math.nan]), LOGP, REF_LOGP, ~THREE, beta=0.02)
    assert reward.tolist() == [[0.0, 0.0, 0.0]]


def test_before_the_first_update_the_return_is_the_score_and_no_ratio_moves():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    logp, score = tensor([[-1.0, -0.3, 0.0], [-0.1, -2.0, -3.0]]), tensor([1.5, -0.5])
    reward = token_rewards(score, logp, logp, mask, beta=0.02)
    assert reward.sum(dim=1).tolist() == score.tolist()
    value = tensor([[0.3, 0.1, 9.0], [0.2, 0.4, 0.6]])
    returns = gae(reward, value, mask, lam=1.0) + value
    assert returns[mask].tolist() == pytest.approx([1.5] * 2 + [-0.5] * 3, **REL)
    assert clip_fraction(logp, logp, reward, mask, 0.2).item() == 0
    assert policy_loss(logp, logp, value, mask, 0.2).item() == pytest.approx(-1.6 / 5, **REL)


@pytest.mark.parametrize("lam, advantage", [
    (0.95, [0.46575, 0.385, 0.3]), (1.0, [0.5, 0.4, 0.3]), (0.0, [0.1, 0.1, 0.3])])
def test_advantages_of_three_tokens(lam, advantage):
    got = gae(tensor([[0.0, 0.0, 1.0]]), tensor([[0.5, 0.6, 0.7]]), THREE, lam)
    assert got[0].tolist() == pytest.approx(advantage, **REL)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_gae_equals_the_double_sum(seed, lam):
    reward, value, mask = drawn(seed, 2)
    want = oracles.gae(reward, value, mask, lam)
    assert flat(gae(reward, value, mask, lam)) == pytest.approx(flat(want), **REL)


def test_gae_of_a_row_does_not_depend_on_where_its_padding_stands():
    reward, value = tensor([[1.0, 2.0, 9.0]]), tensor([[0.5, 0.1, 9.0]])
    right = gae(reward, value, torch.tensor([[True, True, False]]), 0.9)
    left = gae(reward.roll(1, 1), value.roll(1, 1), torch.tensor([[False, True, True]]), 0.9)
    assert torch.equal(left, right.roll(1, 1))


def test_gae_passes_over_a_hole_as_if_it_were_not_there():
    reward, value, mask = drawn(0, 2)
    mask[-1, 2] = False
    assert flat(gae(reward, value, mask, 0.9)) == pytest.approx(
        flat(oracles.gae(reward, value, mask, 0.9)), **REL)


def test_with_the_true_value_function_advantages_average_zero():
    """Two coin flips, reward 1 for each head: V = 1 before the first and 1/2 before the second."""
    reward = tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    value = tensor([[1.0, 0.5]]).expand(4, 2)
    advantage = gae(reward, value, torch.ones(4, 2, dtype=torch.bool), 0.95)
    assert advantage.mean(dim=0).tolist() == pytest.approx([0, 0], abs=1e-15)


@pytest.mark.parametrize("ratio, advantage, loss, slope", [
    (1.3, 1.0, -1.2, 0.0), (0.7, 1.0, -0.7, -0.7), (1.1, 1.0, -1.1, -1.1), (0.7, -1.0, 0.8, 0.0),
    (1.3, -1.0, 1.3, 1.3), (0.9, -1.0, 0.9, 0.9), (1.0, 1.0, -1.0, -1.0), (1.0, -1.0, 1.0, 1.0)])
def test_clip_stops_gain_but_never_repair(ratio, advantage, loss, slope):
    logp = one(math.log(ratio) - 1).requires_grad_()
    got = policy_loss(logp, one(-1.0), one(advantage), ONE, clip=0.2)
    got.backward()
    assert (got.item(), logp.grad.item()) == pytest.approx((loss, slope), **REL)
    clipped = clip_fraction(logp.detach(), one(-1.0), one(advantage), ONE, clip=0.2).item()
    assert clipped == (slope == 0)


@pytest.mark.parametrize("seed", range(5))
def test_policy_loss_equals_the_loop_and_clips_the_share_without_gradient(seed):
    logp, old_logp, advantage, mask = drawn(seed, 3)
    logp, old_logp = (0.3 * logp).requires_grad_(), 0.3 * old_logp
    loss = policy_loss(logp, old_logp, advantage, mask, 0.2)
    loss.backward()
    want = oracles.policy_loss(logp, old_logp, advantage, mask, 0.2)
    assert loss.item() == pytest.approx(want, **REL)
    share = clip_fraction(logp.detach(), old_logp, advantage, mask, 0.2).item()
    assert share == pytest.approx((logp.grad[mask] == 0).double().mean().item(), **REL)


def test_at_the_sampling_policy_the_gradient_is_the_plain_policy_gradient():
    logp, advantage, mask = drawn(0, 2)
    leaf = logp.clone().requires_grad_()
    policy_loss(leaf, logp, advantage, mask, 0.2).backward()
    want = torch.where(mask, -advantage, 0) / mask.sum()
    assert flat(leaf.grad) == pytest.approx(flat(want), **REL)


@pytest.mark.parametrize("value, old, target, loss, slope", [
    (0.9, 0.5, 1.0, 0.045, 0.0), (0.9, 0.5, 0.6, 0.045, 0.3), (0.6, 0.5, 1.0, 0.08, -0.4),
    (0.2, 0.5, 0.9, 0.245, -0.7)])
def test_value_loss_takes_the_worse_of_two_errors(value, old, target, loss, slope):
    leaf = one(value).requires_grad_()
    got = value_loss(leaf, one(old), one(target), ONE, clip=0.2)
    got.backward()
    assert (got.item(), leaf.grad.item()) == pytest.approx((loss, slope), **REL)


@pytest.mark.parametrize("clip", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_value_loss_equals_the_loop(seed, clip):
    *tables, mask = drawn(seed, 3)
    want = oracles.value_loss(*tables, mask, clip)
    assert value_loss(*tables, mask, clip).item() == pytest.approx(want, **REL)


def test_unclipped_value_loss_does_not_read_the_old_value():
    value, returns, mask = drawn(0, 2)
    nan = torch.full_like(value, math.nan)
    want = 0.5 * (value - returns)[mask].square().mean().item()
    assert value_loss(value, nan, returns, mask).item() == pytest.approx(want, **REL)


@pytest.mark.parametrize("slack, share", [(0.0, 1.0), (1.0, 0.0)])
def test_explained_variance_is_one_for_the_truth_and_zero_for_a_constant(slack, share):
    returns, mask = drawn(1, 1)
    value = (1 - slack) * returns + 3.0
    assert explained_variance(value, returns, mask).item() == pytest.approx(share, abs=1e-14)


def test_explained_variance_is_negative_for_the_opposite():
    returns, mask = drawn(1, 1)
    assert explained_variance(-returns, returns, mask).item() == pytest.approx(-3, rel=1e-12)


def test_ptx_loss_predicts_the_next_token():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, dtype=torch.float64, generator=generator)
    token = torch.randint(5, (2, 4), generator=generator)
    assert ptx_loss(logits, token).item() == pytest.approx(oracles.ptx_loss(logits, token), **REL)
    certain = 1000 * F.one_hot(token.roll(-1, 1), 5).double()
    assert ptx_loss(certain, token).item() == 0


def test_a_uniform_model_has_a_ptx_loss_of_log_V():
    loss = ptx_loss(torch.zeros(1, 3, 50_257, dtype=torch.float64), torch.tensor([[5, 6, 7]]))
    assert loss.item() == pytest.approx(10.8249051197, abs=1e-9)


TEXT, GAMMA = torch.tensor([[0, 3, 1, 2]]), 27.8


def bigram_ppo(weight):
    logp = token_logp(weight[TEXT][:, :-1], TEXT[:, 1:])
    return policy_loss(logp, torch.full((1, 3), -1.0), tensor([[1.0, -1.0, 0.5]]), THREE, 0.2)


def bigram_ptx(weight):
    return GAMMA * ptx_loss(weight[TEXT], TEXT)


def after_adam(*steps):
    """A 4-word bigram policy after Adam steps, each on the gradients of one or more losses."""
    weight = torch.arange(16, dtype=torch.float64).view(4, 4).sin().requires_grad_()
    adam = torch.optim.Adam([weight], lr=0.1)
    for losses in steps:
        adam.zero_grad()
        for loss in losses:
            loss(weight).backward()
        adam.step()
    return weight.detach()


def test_accumulating_two_backward_passes_is_one_step_on_their_sum_and_not_two_steps():
    accumulated = after_adam([bigram_ppo, bigram_ptx])
    of_the_sum = after_adam([lambda weight: bigram_ppo(weight) + bigram_ptx(weight)])
    one_by_one = after_adam([bigram_ppo], [bigram_ptx])
    assert flat(accumulated) == pytest.approx(flat(of_the_sum), **REL)
    assert (accumulated - one_by_one).abs().max() > 0.05


@pytest.mark.parametrize("kl, horizon, after", [
    (12.0, 10_000, 0.202048), (3.0, 10_000, 0.197952), (6.3, 10_000, 0.200512), (6.0, 10_000, 0.2),
    (-1.0, 10_000, 0.197952), (12.0, 5_120, 0.204), (6.3, 5_120, 0.201)])
def test_beta_rises_where_kl_is_over_its_target_and_falls_below_it(kl, horizon, after):
    """By hand, 512 episodes and target 6: an error of at most a fifth, times 512 / horizon (Ziegler: times 0.1)."""
    assert adapted_beta(0.2, kl, 6.0, 512, horizon) == pytest.approx(after, rel=1e-12)


def test_beta_stays_where_no_target_is_given():
    assert adapted_beta(0.2, 12.0, 0.0, 512, 10_000) == 0.2


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("function, tables, extra", [
    (policy_loss, 3, (0.2,)), (clip_fraction, 3, (0.2,)), (value_loss, 3, (0.2,)), (value_loss, 3, (0.0,)),
    (explained_variance, 2, ()), (gae, 2, (0.95,)),
    (lambda logp, ref, mask, beta: token_rewards(logp[:, 0].detach().nan_to_num(), logp, ref, mask, beta),
     2, (0.02,))])
def test_padding_reaches_neither_results_nor_gradients(function, tables, extra, garbage):
    *clean, mask = drawn(0, tables)
    mask[0, 0] = True
    dirty = [torch.where(mask, x, garbage) for x in clean]
    results, gradients = [], []
    for leaves in (clean, dirty):
        leaves = [x.clone().requires_grad_() for x in leaves]
        result = function(*leaves, mask, *extra)
        if result.requires_grad:
            result.sum().backward()
        results.append(result.detach())
        gradients.append([torch.zeros_like(x) if x.grad is None else x.grad for x in leaves])
    assert torch.equal(*results)
    for of_clean, of_dirty in zip(*gradients, strict=True):
        assert torch.equal(of_clean, of_dirty) and not of_dirty[~mask].any()


def test_the_package_passes_the_students_checks():
    checks.check_token_rewards(token_rewards)
    checks.check_gae(gae)
    checks.check_policy_loss(policy_loss)
    checks.check_value_loss(value_loss)
    checks.check_ptx_loss(ptx_loss)
