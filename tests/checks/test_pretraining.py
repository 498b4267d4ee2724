"""The usual mistakes about gamma, the step of PPO-ptx and the EMA hear the sentence they deserve."""

import math

import pytest
import torch

from instructgpt_lite import checks

START = {
    "that came after": lambda d, n: 1 - d ** n,
    "a product": lambda d, n: d * n,
    "too few": lambda d, n: d ** (n - 1),
    "too many": lambda d, n: d ** (n + 1),
    "decay is what stays": lambda d, n: (1 - d) ** n,
    "below 0": lambda d, n: 1 - n * (1 - d),
    "not equal": lambda d, n: math.exp(-n * (1 - d)),
    "horizon": lambda d, n: 1 / (1 - d),
    "not per cent": lambda d, n: 100 * d ** n,
}
SUMS = {
    "its gamma is smaller": lambda g, n: g * (n - 1),
    "is not predicted: length - 1": lambda g, n: g / n,
    "way round, and the first": lambda g, n: g * n,
    "gamma changes": lambda g, n: g,
    "one token too many": lambda g, n: g / (n + 1),
    "no square root": lambda g, n: g / math.sqrt(n - 1),
    "two tokens too few": lambda g, n: g / (n - 2),
    "without gamma": lambda g, n: 1 / (n - 1),
    "divided twice": lambda g, n: g / (n - 1) ** 2,
}
MIX = {
    "divide by its weight": lambda c: c,
    "weight of PPO": lambda c: 1 - c,
    "upside down": lambda c: (1 - c) / c,
    "pull": lambda c: c * (1 - c),
    "not 1\\.": lambda c: 1 / (1 - c),
    "not 1 \\+ c": lambda c: c / (1 + c),
    "no logarithm": lambda c: math.log(c / (1 - c)),
    "pulled out once": lambda c: c / (1 - c) ** 2,
    "no ratio": lambda c: 2 * c - 1,
}


@pytest.mark.parametrize("check, right, wrong", [
    (checks.check_weight_of_start, lambda d, n: d ** n, START),
    (checks.check_gamma_for_sums, lambda g, n: g / (n - 1), SUMS),
    (checks.check_gamma_of_mix, lambda c: c / (1 - c), MIX)], ids=["start", "sums", "mix"])
def test_each_usual_number_hears_its_own_mistake(check, right, wrong):
    check(right)
    assert len(wrong) >= 8
    for sentence, mistake in wrong.items():
        with pytest.raises(AssertionError, match=sentence):
            check(mistake)


def test_an_unusual_number_hears_what_is_right():
    with pytest.raises(AssertionError, match=r"returned 3\.0 for 0\.9; 9\.0"):
        checks.check_gamma_of_mix(lambda c: 3.0)


def step(loss, clear=True):
    def my_step(optimizer, policy_loss, text_loss, gamma):
        if clear:
            optimizer.zero_grad()
        loss(policy_loss, text_loss, gamma).backward()
        optimizer.step()

    return my_step


def two_steps(optimizer, policy_loss, text_loss, gamma):
    weight = optimizer.param_groups[0]["params"][0]
    first = torch.autograd.grad(policy_loss, weight)[0]
    second = torch.autograd.grad(gamma * text_loss, weight)[0]
    for weight.grad in (first, second):
        optimizer.step()


def cleared_between(optimizer, policy_loss, text_loss, gamma):
    policy_loss.backward()
    optimizer.zero_grad()
    (gamma * text_loss).backward()
    optimizer.step()


STEPS = {
    "did not move": lambda *_: None,
    "two steps": two_steps,
    "left over": step(lambda a, b, g: a + g * b, clear=False),
    "the text is not in it": step(lambda a, b, g: a),
    "cleared in between": cleared_between,
    "gamma is not in it": step(lambda a, b, g: a + b),
    "gamma weighs the text": step(lambda a, b, g: g * a + b),
    "both are losses": step(lambda a, b, g: a - g * b),
    "keeps weight 1": step(lambda a, b, g: (1 - g) * a + g * b),
}


@pytest.mark.parametrize("sentence", STEPS)
def test_each_usual_step_hears_its_own_mistake(sentence):
    with pytest.raises(AssertionError, match=sentence):
        checks.check_ptx_step(STEPS[sentence])


def test_one_step_along_both_gradients_is_right_however_it_is_written():
    checks.check_ptx_step(step(lambda a, b, g: a + g * b))

    def apart(optimizer, policy_loss, text_loss, gamma):
        optimizer.zero_grad()
        (gamma * text_loss).backward()
        policy_loss.backward()
        optimizer.step()

    checks.check_ptx_step(apart)


def test_another_step_hears_what_is_right():
    with pytest.raises(AssertionError, match="in one step"):
        checks.check_ptx_step(step(lambda a, b, g: 3 * a + b.square()))
