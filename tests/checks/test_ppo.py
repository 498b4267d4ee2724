"""The usual mistakes about credit, clip, baseline and price of KL get the sentence they deserve."""

import math

import pytest
import torch

from instructgpt_lite import checks


def refused(check, mistake, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(mistake)


# Token rewards

def last(mask):
    return mask & (mask.cumsum(dim=1) == mask.sum(dim=1, keepdim=True))


def token_rewards(r, logp, ref, mask, beta, at=last, charge=lambda logp, ref, beta: beta * (logp - ref)):
    return torch.where(at(mask), r[:, None], 0) - torch.where(mask, charge(logp, ref, beta), 0)


def column(mask, number):
    return torch.arange(mask.size(1)).expand_as(mask) == number


@pytest.mark.parametrize("options, sentence", [
    ({"charge": lambda logp, ref, beta: beta * (ref - logp)}, "is penalised"),
    ({"charge": lambda logp, ref, beta: 0 * beta * logp}, "charges no KL"),
    ({"charge": lambda logp, ref, beta: logp - ref}, "forgets beta"),
    ({"charge": lambda logp, ref, beta: beta * (logp - ref).abs()}, "absolute log-ratio"),
    ({"charge": lambda logp, ref, beta: beta * (logp - ref).clamp(min=0)}, "clamps the log-ratio"),
    ({"charge": lambda logp, ref, beta: beta * (logp - ref).exp()}, "ratio of probabilities"),
    ({"at": lambda mask: column(mask, mask.size(1) - 1)}, r"last \*counted\* one"),
    ({"at": lambda mask: column(mask, 0)}, "on the first token"),
    ({"at": lambda mask: mask}, "to every token"),
    ({"at": lambda mask: ~mask & False}, "forgets the score"),
    ({"charge": lambda logp, ref, beta: beta * (logp - ref).square()}, "at each counted token"),
])
def test_mistakes_in_token_rewards(options, sentence):
    checks.check_token_rewards(token_rewards)
    refused(checks.check_token_rewards, lambda *given: token_rewards(*given, **options), sentence)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda r, logp, ref, mask, beta: -beta * (logp - ref) * mask + last(mask) * r[:, None], "nan"),
    (lambda r, logp, ref, mask, beta: token_rewards(r / mask.sum(dim=1).clamp(min=1), logp, ref, mask, beta,
                                                    at=lambda mask: mask), "spreads the score"),
    (lambda r, logp, ref, mask, beta: torch.where(last(mask), r[:, None],
                                                  token_rewards(0 * r, logp, ref, mask, beta)), "drops the charge"),
    (lambda r, logp, ref, mask, beta: token_rewards(r, logp, ref, mask, beta).sum(dim=1), "shape"),
    (lambda r, logp, ref, mask, beta: ..., "a tensor is wanted")])
def test_more_mistakes_in_token_rewards(mistake, sentence):
    refused(checks.check_token_rewards, mistake, sentence)


# Generalised advantage estimation

def gae(reward, value, mask, lam, discount=1.0, bootstrap=0.0, error=None):
    error = error or (lambda reward, value, following: reward + discount * following - value)
    advantage = torch.zeros_like(reward)
    for b, row in enumerate(mask):
        places = row.nonzero().flatten().tolist()
        following, next_value = 0.0, bootstrap * value[b, places[-1]]
        for t in reversed(places):
            following = error(reward[b, t], value[b, t], next_value) + discount * lam * following
            next_value, advantage[b, t] = value[b, t], following
    return advantage


def forwards(reward, value, mask, lam):
    errors, advantage = gae(reward, value, mask, 0.0), torch.zeros_like(reward)
    for t in range(reward.size(1)):
        advantage[:, t] = errors[:, t] + (lam * advantage[:, t - 1] if t else 0)
    return torch.where(mask, advantage, 0)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda *given: gae(*given, discount=0.99), "has a discount"),
    (lambda *given: gae(*given, bootstrap=1.0), "a value after the last token"),
    (lambda reward, value, mask, lam: gae(reward, value, mask, 0.0), "one token ahead only"),
    (lambda reward, value, mask, lam: gae(reward, value, mask, 1.0), "ignores lam"),
    (lambda reward, value, mask, lam: gae(reward, value, mask, 1 - lam), "weighs by 1 - lam"),
    (forwards, "runs from the first token on"),
    (lambda *given: gae(*given, error=lambda r, v, nv: r + v - nv), "sign turned round"),
    (lambda *given: gae(*given, error=lambda r, v, nv: r + nv), "does not subtract V_t"),
    (lambda *given: gae(*given, error=lambda r, v, nv: r - v), r"leaves out V_\{t\+1\}"),
    (lambda *given: gae(*given) + torch.where(given[2], given[1], 0), "gives returns"),
    (lambda *given: gae(*given, error=lambda r, v, nv: r), "sums the rewards alone"),
    (lambda *given: -gae(*given), "In between"),
    (lambda *given: gae(*given).sum(dim=1), "shape"),
    (lambda *given: ..., "a tensor is wanted")])
def test_mistakes_in_gae(mistake, sentence):
    checks.check_gae(gae)
    refused(checks.check_gae, mistake, sentence)


# The clip

def policy_loss(logp, old_logp, advantage, mask, clip, pick=torch.minimum, ratio=lambda new, old: (new - old).exp(),
                top=None):
    rho, a = ratio(logp[mask], old_logp[mask]), advantage[mask]
    return -pick(rho * a, rho.clamp(1 - clip, 1 + clip) * a).mean()


@pytest.mark.parametrize("mistake, sentence", [
    (lambda *given: -policy_loss(*given), "sign of a gain"),
    (lambda *given: policy_loss(*given, pick=torch.maximum), "wrong side"),
    (lambda *given: policy_loss(*given, pick=lambda plain, clipped: plain), "does not clip"),
    (lambda *given: policy_loss(*given, pick=lambda plain, clipped: clipped), "takes the clipped gain always"),
    (lambda *given: policy_loss(*given, ratio=lambda new, old: (old - new).exp()), "upside down"),
    (lambda *given: policy_loss(*given, ratio=lambda new, old: new - old), "exp is missing"),
    (lambda *given: policy_loss(*given, ratio=lambda new, old: 1 + new - old), "is not the ratio"),
    (lambda *given: policy_loss(*given) * given[3].sum(), "sums over tokens"),
    (lambda logp, old, a, mask, clip: -torch.minimum((logp - old)[mask].exp() * a[mask], ((logp - old)[mask].exp()
                                                     * a[mask]).clamp(1 - clip, 1 + clip)).mean(), "clips the gain"),
    (lambda logp, old, a, mask, clip: -torch.minimum((logp - old)[mask].exp() * a[mask], (logp - old)[mask].exp()
                                                     .clamp(max=1 + clip) * a[mask]).mean(), "above only"),
    (lambda *given: policy_loss(*given).detach(), "lost its gradient"),
    (lambda logp, old, a, mask, clip: -(torch.minimum((logp - old).exp() * a, (logp - old).exp().clamp(
        1 - clip, 1 + clip) * a) * mask).sum() / mask.sum(), "nan in padding"),
    (lambda *given: ..., "a tensor is wanted")])
def test_mistakes_in_the_clipped_loss(mistake, sentence):
    checks.check_policy_loss(policy_loss)
    refused(checks.check_policy_loss, mistake, sentence)


def slope(ratio, advantage, clip):
    stopped = (advantage > 0 and ratio > 1 + clip) or (advantage < 0 and ratio < 1 - clip)
    return 0.0 if stopped else -ratio * advantage


@pytest.mark.parametrize("mistake, sentence", [
    (lambda ratio, a, clip: 0.0 if abs(ratio - 1) > clip else -ratio * a, "clips on both sides"),
    (lambda ratio, a, clip: -ratio * a, "never clips"),
    (lambda ratio, a, clip: -slope(ratio, a, clip), "slope of the gain"),
    (lambda ratio, a, clip: slope(ratio, a, clip) / ratio, "slope in the ratio"),
    (lambda ratio, a, clip: 0.0 if a > 0 and ratio > 1 + clip else -ratio * a, "clips good tokens only"),
    (lambda ratio, a, clip: 0.0 if a < 0 and ratio < 1 - clip else -ratio * a, "clips bad tokens only"),
    (lambda ratio, a, clip: 0.0 if (ratio < 1 - clip if a > 0 else ratio > 1 + clip) else -ratio * a, "wrong side"),
    (lambda ratio, a, clip: slope(ratio, 1.0 if a > 0 else -1.0, clip), "only its sign"),
    (lambda ratio, a, clip: 0.0 if ratio > 1 + clip else -ratio * a, "above for both signs"),
    (lambda ratio, a, clip: -min(ratio * a, sorted([1 - clip, ratio, 1 + clip])[1] * a), "returns the loss"),
    (lambda ratio, a, clip: 0.0, "At ratio 1.0"),
    (lambda ratio, a, clip: ..., "a tensor is wanted")])
def test_mistakes_in_the_slope_of_the_clip(mistake, sentence):
    checks.check_clip_slopes(slope)
    refused(checks.check_clip_slopes, mistake, sentence)


# A group as its own baseline

def leave_one_out(r):
    return r - (r.sum(dim=1, keepdim=True) - r) / (r.size(1) - 1)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda r: r - r.mean(dim=1, keepdim=True), "counts the response itself"),
    (lambda r: (r - r.mean(dim=1, keepdim=True)) / (r.std(dim=1, keepdim=True) + 1e-4), "GRPO"),
    (lambda r: (r - r.mean(dim=1, keepdim=True)) / r.std(dim=1, keepdim=True), "0 where all are equal"),
    (lambda r: r - (r.sum(dim=1, keepdim=True) - r), "sums the others"),
    (lambda r: r - (r.sum(dim=1, keepdim=True) - r) / r.size(1), "there are K - 1"),
    (lambda r: -leave_one_out(r), "sign turned round"),
    (lambda r: r - leave_one_out(r), "returns the baseline"),
    (lambda r: r - (r.sum() - r) / (r.numel() - 1), "mixes groups"),
    (lambda r: r, "returns the rewards"),
    (lambda r: torch.stack([r[:, k] - torch.cat([r[:, :k], r[:, k + 1:]], dim=1).amax(dim=1)
                            for k in range(r.size(1))], dim=1), "best of the others"),
    (lambda r: leave_one_out(r).mean(), "shape"),
    (lambda r: ..., "a tensor is wanted")])
def test_mistakes_in_the_group_baseline(mistake, sentence):
    checks.check_leave_one_out(leave_one_out)
    refused(checks.check_leave_one_out, mistake, sentence)


# The price of KL

def adapted(beta, kl, target, n, horizon, clip=0.2):
    return beta * (1 + max(-clip, min(clip, (kl - target) / target)) * n / horizon)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda beta, kl, target, n, h: adapted(beta, 2 * target - kl, target, n, h), "the price has to rise"),
    (lambda *given: adapted(*given, clip=math.inf), "does not clip"),
    (lambda beta, kl, target, n, h: beta * (1 + max(-0.2, min(0.2, kl - target)) * n / h), "the error is relative"),
    (lambda beta, kl, target, n, h: adapted(beta, kl, target, 1, 1), "ignores the horizon"),
    (lambda beta, kl, target, n, h: adapted(beta, kl, target, h, n), "divides by episodes"),
    (lambda beta, kl, target, n, h: beta - 1 + adapted(1.0, kl, target, n, h), "adds to beta"),
    (lambda beta, kl, target, n, h: beta * (2 if kl > 1.5 * target else 0.5 if kl < target / 1.5 else 1), "doubles"),
    (lambda beta, kl, target, n, h: adapted(1.0, kl, target, n, h), "returns the factor"),
    (lambda *given: adapted(*given, clip=0.1), "clips at 0.1"),
    (lambda beta, kl, target, n, h: beta * (1 + max(-0.2, min(0.2, 1 - target / kl)) * n / h), "divides by KL"),
    (lambda beta, *rest: beta, "leaves beta"),
    (lambda *given: 2 * adapted(*given), "is right"),
    (lambda *given: ..., "a tensor is wanted")])
def test_mistakes_in_the_controller(mistake, sentence):
    checks.check_adapted_beta(adapted)
    refused(checks.check_adapted_beta, mistake, sentence)
