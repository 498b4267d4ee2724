"""The usual mistakes about a variance, a return and a surrogate loss get the sentence they deserve."""

import pytest
import torch

from instructgpt_lite import checks


def estimate(p, reward, baseline):
    return (reward - baseline) * torch.stack([1 - p, -p])


def mean(x, p):
    return p * x[0] + (1 - p) * x[1]


def variance(x, p):
    return mean(x ** 2, p) - mean(x, p) ** 2


def right_variance(p, reward, baseline):
    return variance(estimate(p, reward, baseline), p)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, r, b: mean(estimate(p, r, b) ** 2, p), "subtract the square of the mean"),
    (lambda p, r, b: right_variance(p, r, b).sqrt(), "standard deviation"),
    (lambda p, r, b: mean(estimate(p, r, b), p), "the mean of the estimate"),
    (lambda p, r, b: variance(r, p), "variance of the reward"),
    (lambda p, r, b: right_variance(p, r, 0), "does not use the baseline"),
    (lambda p, r, b: variance(estimate(p, r, 0) - b, p), "before the product"),
    (lambda p, r, b: estimate(p, r, b).var(correction=0), "counts both answers alike"),
    (lambda p, r, b: variance((r - b) * torch.stack([p, p - 1]), p), "scores exchanged"),
    (lambda p, r, b: variance((r - b) * torch.stack([1 - p, p]), p), "lost a sign"),
    (lambda p, r, b: variance((r - b) * torch.stack([p * (1 - p), p * (p - 1)]), p), "gradient of pi"),
    (lambda p, r, b: estimate(p, r, b).var(), "weighed by p and 1 - p"),
    (lambda p, r, b: right_variance(p, r, b).item(), "a tensor is wanted")])
def test_mistakes_in_the_variance_get_their_sentence(mistake, sentence):
    checks.check_gradient_variance(right_variance)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_gradient_variance(mistake)


def returns(reward):
    return reward.flip(0).cumsum(0).flip(0)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda r: r.cumsum(0), "paid so far"), (lambda r: r.sum().expand(4), "not its doing"),
    (lambda r: returns(r) - r, "own reward"), (lambda r: r, "the rewards themselves"),
    (lambda r: r.flip(0).cumsum(0), "reversed order"), (lambda r: r[-1].expand(4), "last reward only"),
    (lambda r: torch.stack([r[t:].mean() for t in range(4)]), "take the sum"), (lambda r: -returns(r), "wrong sign"),
    (lambda r: r.sum(), r"shape \(\)"), (lambda r: returns(r) * 0.99 ** torch.arange(4), "from it to the end")])
def test_mistakes_in_the_return_get_their_sentence(mistake, sentence):
    checks.check_returns(returns)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_returns(mistake)


def surrogate(logp, old_logp, reward, baseline):
    return -(torch.exp(logp - old_logp) * (reward - baseline)).mean()


@pytest.mark.parametrize("mistake, sentence", [
    (lambda new, old, r, b: -surrogate(new, old, r, b), "put a minus"),
    (lambda new, old, r, b: -(torch.exp(new - old) * (r - b)).sum(), "take the mean"),
    (lambda new, old, r, b: surrogate(old, new, r, b), "new over old"),
    (lambda new, old, r, b: -(new * (r - b)).mean(), "has no ratio"),
    (lambda new, old, r, b: -((new - old) * (r - b)).mean(), "without exp"),
    (lambda new, old, r, b: -(new.exp() * (r - b)).mean(), "forgets the old policy"),
    (lambda new, old, r, b: surrogate(new, old, r, 0), "does not use the baseline"),
    (lambda new, old, r, b: -(torch.exp(new - old) * r - b).mean(), "after the product"),
    (lambda new, old, r, b: -(torch.exp(new - old).clamp(0.8, 1.2) * (r - b)).mean(), "clips"),
    (lambda new, old, r, b: surrogate(new.detach(), old, r, b), "lost its gradient"),
    (lambda new, old, r, b: -(torch.exp(new - old) * (r - b)), r"shape \(3,\)")])
def test_mistakes_in_the_surrogate_get_their_sentence(mistake, sentence):
    checks.check_surrogate(surrogate)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_surrogate(mistake)
