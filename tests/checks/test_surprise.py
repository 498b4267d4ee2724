"""The usual mistakes of students about KL, its estimates and its optimum get the sentence they deserve."""

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.theory.surprise import relative_surprise


def kl(logp, logq):
    return torch.where(logp > -torch.inf, logp.exp() * (logp - logq), 0)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, q: kl(q, p).sum(), "under p"), (lambda p, q: kl(p, q).mean(), "Sum p"),
    (lambda p, q: -kl(p, q).sum(), "log p - log q"), (lambda p, q: (p.exp() * (p - q)).sum(), "0 log 0"),
    (lambda p, q: kl(p, q).nan_to_num(posinf=0).sum(), "costs infinity"),
    (lambda p, q: kl(p, q.clamp(min=-100)).sum(), "costs infinity")])
def test_mistakes_in_kl_get_their_sentence(mistake, sentence):
    checks.check_relative_surprise(relative_surprise)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_relative_surprise(mistake)


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
