"""The usual mistakes of students about KL, its estimates and its optimum get the sentence they deserve."""

import math

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite import checks
from instructgpt_lite.theory import surprise as info

LOG_2 = math.log(2)


def refused(check, mistake, sentence):
    """The check says the sentence of this mistake, and of no other."""
    with pytest.raises(AssertionError) as said:
        check(mistake)
    assert sentence in str(said.value), str(said.value)


def test_what_is_right_passes():
    checks.check_relative_surprise(info.relative_surprise)
    checks.check_k3(info.k3)
    checks.check_optimum(info.optimum)
    checks.check_charge(lambda p, q, mask, beta: beta * torch.where(mask, p - q, 0).sum(-1))
    checks.check_full_kl(lambda p, q: F.kl_div(q, p, reduction="none", log_target=True).sum(-1))
    checks.check_full_kl(info.relative_surprise)
    checks.check_clamped_mean(lambda p, q: info.expectation(p, (p - q).clamp(min=0)))
    checks.check_collapse(lambda n: torch.tensor([math.log(n), math.inf]))
    checks.check_home(lambda: dict(RIGHT))


CHECKS = [checks.check_relative_surprise, checks.check_k3, checks.check_optimum, checks.check_charge,
          checks.check_full_kl, checks.check_clamped_mean, checks.check_collapse]


@pytest.mark.parametrize("check", CHECKS)
def test_an_exercise_left_open_is_told_that_nothing_came_back(check):
    refused(check, lambda *_: None, "returned None")


# Relative surprise

def weighed(p, x):
    return torch.where(p > -torch.inf, p.exp() * x, 0)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, q: -weighed(p, p - q).sum(), "wrong sign"),
    (lambda p, q: weighed(p, p - q).mean(), "p weighs them already, so sum"),
    (lambda p, q: (p - q).sum(), "counts all words alike"),
    (lambda p, q: (p - q).mean(), "plain mean of the log-ratios"),
    (lambda p, q: weighed(q, p - q).sum(), "the expectation is under p"),
    (lambda p, q: weighed(q, q - p).sum(), "this is KL(q || p)"),
    (lambda p, q: (p * (p - q)).sum(), "take exp first"),
    (lambda p, q: weighed(p, p - q).sum() / LOG_2, "counts in bits"),
    (lambda p, q: weighed(p, -q).sum(), "gives the cross-entropy"),
    (lambda p, q: weighed(p, p - q).abs().sum(), "absolute values"),
    (lambda p, q: weighed(p, p - q).clamp(min=0).sum(), "drops the negative words"),
    (lambda p, q: weighed(p, p - q), "sum them"),
    (lambda p, q: weighed(p, p - q).sum()[None], r"shape (1,)"),
    (lambda p, q: (p.exp() * (p - q)).sum(), "0 log 0 is 0"),
    (lambda p, q: weighed(p, p - q).nan_to_num(posinf=0).sum(), "costs infinity"),
    (lambda p, q: weighed(p, torch.where((p - q).isfinite(), p - q, 0)).sum(), "costs infinity"),
    (lambda p, q: (p.exp() * (p - q))[q > -torch.inf].nan_to_num().sum(), "costs infinity"),
    (lambda p, q: weighed(p, p - q.clamp(min=-100)).sum(), "costs infinity")])
def test_mistakes_in_kl_get_their_sentence(mistake, sentence):
    refused(checks.check_relative_surprise, mistake, sentence)


# One answer for everything

@pytest.mark.parametrize("first, second, sentence", [
    (lambda n: math.inf, math.log, "two directions exchanged"),
    (math.log, math.log, "KL is not symmetric"),
    (lambda n: math.inf, lambda n: math.inf, "makes both infinite"),
    (math.log2, lambda n: math.inf, "in bits"),
    (lambda n: -math.log(n), lambda n: math.inf, "negative KL"),
    (lambda n: math.log(n) / n, lambda n: math.inf, "divides by n"),
    (lambda n: math.log(n - 1), lambda n: math.inf, "answers that were dropped"),
    (lambda n: 0.0, lambda n: math.inf, "dropping answers is free"),
    (math.log, lambda n: 0.0, "second cost nothing"),
    (math.log, lambda n: math.log(1 / n) / n, "drops infinities"),
    (lambda n: float(n), lambda n: math.inf, "log n; then infinity")])
def test_mistakes_about_the_collapse_get_their_sentence(first, second, sentence):
    refused(checks.check_collapse, lambda n: torch.tensor([first(n), second(n)]), sentence)


def test_one_number_for_two_directions_is_told_its_shape():
    refused(checks.check_collapse, lambda n: torch.tensor(math.log(n)), "shape ()")


# The charge

def tokens(p, q, mask, beta):
    return beta * torch.where(mask, p - q, 0)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, q, mask, beta: tokens(p, q, mask, beta).sum(-1) / mask.sum(-1), "a long response drifts for nothing"),
    (lambda p, q, mask, beta: tokens(p, q, mask, beta).mean(-1), "width of the batch"),
    (lambda p, q, mask, beta: -tokens(p, q, mask, beta).sum(-1), "sign of a reward"),
    (lambda p, q, mask, beta: tokens(p, q, mask, 1.0).sum(-1), "forgets beta"),
    (lambda p, q, mask, beta: tokens(p, q, mask, beta)[torch.arange(2), mask.sum(-1) - 1], "last token only"),
    (lambda p, q, mask, beta: tokens(p, q, mask, beta).clamp(min=0).sum(-1), "a bonus, and belongs to the sum"),
    (lambda p, q, mask, beta: tokens(p, q, mask, beta).abs().sum(-1), "takes absolute values"),
    (lambda p, q, mask, beta: tokens(p, q, mask, beta).sum(-1).clamp(min=0), "one sample of KL may be negative"),
    (lambda p, q, mask, beta: tokens(p, q, mask, beta).sum(), "sums the whole batch"),
    (lambda p, q, mask, beta: tokens(p, q, mask, beta).sum(-1).mean(), "averages the batch"),
    (tokens, "sum over each row"),
    (lambda p, q, mask, beta: beta * ((p - q) * mask).sum(-1), "Choose with torch.where"),
    (lambda p, q, mask, beta: (p - q)[mask].sum() * beta * torch.ones(2), "over the counted tokens of a row")])
def test_mistakes_in_the_charge_get_their_sentence(mistake, sentence):
    refused(checks.check_charge, mistake, sentence)


# The optimum

@pytest.mark.parametrize("mistake, sentence", [
    (lambda ref, r, beta: (ref + r * beta).log_softmax(-1), "so divide"),
    (lambda ref, r, beta: (ref + r).log_softmax(-1), "forgets beta"),
    (lambda ref, r, beta: ref + r / beta, "subtract log Z"),
    (lambda ref, r, beta: (ref + r / beta).softmax(-1), "returns probabilities"),
    (lambda ref, r, beta: (r / beta).log_softmax(-1), "forgets the reference"),
    (lambda ref, r, beta: (ref - r / beta).log_softmax(-1), "a high reward makes likelier"),
    (lambda ref, r, beta: ((ref + r) / beta).log_softmax(-1), "only the reward"),
    (lambda ref, r, beta: (ref.exp() + r / beta).log_softmax(-1), "take the logarithm of the reference"),
    (lambda ref, r, beta: ref, "returns the reference"),
    (lambda ref, r, beta: ((ref.exp() * (r / beta).exp()) / (ref.exp() * (r / beta).exp()).sum()).log(), "overflows"),
    (lambda ref, r, beta: torch.where(r == r.max(), 0.0, -torch.inf), "made to sum to 1, as log-probabilities")])
def test_mistakes_in_the_optimum_get_their_sentence(mistake, sentence):
    refused(checks.check_optimum, mistake, sentence)


# k3

def ratio(p, q):
    return (q - p).exp()


@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, q: ratio(q, p) - 1 - ratio(q, p).log(), "upside down: samples are those of pi"),
    (info.k1, "is k1: add ratio - 1"),
    (lambda p, q: q - p, "is k1 with the wrong sign"),
    (info.k2, "is k2"),
    (lambda p, q: -info.k3(p, q), "k3 is never negative"),
    (lambda p, q: ratio(p, q) - 1 + (q - p), "adds the logarithm"),
    (lambda p, q: ratio(p, q) - (q - p), "forgets the 1"),
    (lambda p, q: ratio(p, q) - 1, "lacks the logarithm"),
    (ratio, "is the ratio alone"),
    (lambda p, q: info.k1(p, q).clamp(min=0), "clamps k1"),
    (lambda p, q: info.k1(p, q).abs(), "absolute value of k1"),
    (lambda p, q: info.k3(p, q).mean(), "takes a mean"),
    (lambda p, q: 2 * info.k3(p, q), "elementwise, with the ratio ref / pi")])
def test_mistakes_in_k3_get_their_sentence(mistake, sentence):
    refused(checks.check_k3, mistake, sentence)


# The sum over the vocabulary

@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, q: F.kl_div(q, p, reduction="none").sum(-1), "unless log_target=True"),
    (lambda p, q: F.kl_div(p, q, reduction="none", log_target=True).sum(-1), "direction turned round"),
    (lambda p, q: F.kl_div(q, p, reduction="none", log_target=True).mean(-1), "divides by the vocabulary"),
    (lambda p, q: F.kl_div(q, p, reduction="none", log_target=True), "has not summed over the vocabulary"),
    (lambda p, q: info.relative_surprise(p, q).sum(-1), "sums over places"),
    (lambda p, q: F.kl_div(q, p, reduction="sum", log_target=True), "a sum over rows and places"),
    (lambda p, q: F.kl_div(q, p, reduction="batchmean", log_target=True), "is batchmean"),
    (lambda p, q: info.relative_surprise(p, q).mean(), "the mean over places"),
    (lambda p, q: -info.relative_surprise(p, q), "wrong sign"),
    (lambda p, q: (p - q).sum(-1), "counts all words alike"),
    (lambda p, q: info.expectation(q, p - q), "samples are pi's"),
    (lambda p, q: info.relative_surprise(p, q) / LOG_2, "over the vocabulary, at every place")])
def test_mistakes_in_the_full_kl_get_their_sentence(mistake, sentence):
    refused(checks.check_full_kl, mistake, sentence)


# The clamp

@pytest.mark.parametrize("mistake, sentence", [
    (info.relative_surprise, "nothing was clamped"),
    (lambda p, q: info.expectation(p, (p - q).clamp(max=0)), "keeps the negative side"),
    (lambda p, q: info.expectation(p, (p - q).abs()), "absolute values"),
    (lambda p, q: (p - q).clamp(min=0).mean(), "counts all words alike"),
    (lambda p, q: (p - q).clamp(min=0).sum(), "sums without weights"),
    (lambda p, q: info.expectation(q, (p - q).clamp(min=0)), "weighs by the reference"),
    (lambda p, q: info.expectation(p, (q - p).clamp(min=0)), "upside down"),
    (lambda p, q: info.expectation(p, info.k2(p, q)), "clamps k2"),
    (lambda p, q: info.expectation(p, (p - q).clamp(min=0)) / p.exp()[p > q].sum(), "they count as 0"),
    (lambda p, q: weighed(p, (p - q).clamp(min=0)), "returns each word's part"),
    (lambda p, q: info.expectation(p, (p - q).clamp(min=0)) / LOG_2, "weigh by the policy and sum")])
def test_mistakes_in_the_clamped_mean_get_their_sentence(mistake, sentence):
    refused(checks.check_clamped_mean, mistake, sentence)


# Who comes home

RIGHT = {("k1", "reward"): "home", ("k2", "reward"): "away", ("k3", "reward"): "away",
         ("k1", "loss"): "stays", ("k2", "loss"): "home", ("k3", "loss"): "home"}


@pytest.mark.parametrize("name, place, said, sentence", [
    ("k1", "reward", "stays", "it is the exact gradient"), ("k1", "reward", "away", "It goes home"),
    ("k2", "reward", "home", "pushes the rare word out"), ("k2", "reward", "stays", "It goes away"),
    ("k3", "reward", "home", "said still less"), ("k3", "reward", "stays", "It goes away"),
    ("k1", "loss", "home", "It stays: its mean gradient is 0"), ("k1", "loss", "away", "It stays"),
    ("k2", "loss", "away", "it is the exact gradient"), ("k3", "loss", "away", "which is least at ref, too"),
    ("k3", "loss", "stays", "gradient of KL(ref || pi)"), ("k2", "reward", "gone", "home, away or stays")])
def test_a_wrong_prediction_hears_why(name, place, said, sentence):
    refused(checks.check_home, lambda: RIGHT | {(name, place): said}, sentence)


@pytest.mark.parametrize("said", [None, [], {"k1": "home"}, dict(list(RIGHT.items())[:5])])
def test_a_prediction_of_another_form_is_told_the_form(said):
    refused(checks.check_home, lambda: said, "One word for each of")


@pytest.mark.parametrize("use, where", RIGHT.items())
def test_what_is_predicted_is_what_descent_does(use, where):
    """The check's own descent, beside one by automatic differentiation of the package's estimates."""
    pi, ref = torch.tensor([0.5, 0.3, 0.2]).double().log(), torch.tensor([0.25, 0.25, 0.5]).double().log()
    k, logits = getattr(info, use[0]), pi.clone()
    for _ in range(300):
        at = logits.log_softmax(-1)
        free = logits.clone().requires_grad_()
        logp = free.log_softmax(-1)
        x = k(logp, ref) if use[1] == "loss" else k(at, ref) * logp
        logits = logits - 0.1 * torch.autograd.grad((at.exp() * x).sum(), free)[0]
    before, after = info.relative_surprise(pi, ref), info.relative_surprise(logits.log_softmax(-1), ref)
    assert where == ("home" if after < before / 2 else "away" if after > 1.5 * before else "stays")
