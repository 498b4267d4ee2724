"""What grading rests on: slopes by finite differences, and no import of what is graded."""

import math
import pathlib

import numpy as np
import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.checks.grading import finite_difference, hold, tensor


def test_finite_differences_of_a_parabola_are_its_slope():
    at = torch.tensor([1.0, -2.0], dtype=torch.float64)
    slope = finite_difference(lambda x, c: c * (x ** 2).sum().item(), (at, 3), 0)
    assert slope.tolist() == pytest.approx([6, -12], rel=1e-9)


def says(sentence, *arguments, **options):
    with pytest.raises(AssertionError) as said:
        hold(*arguments, **options)
    assert sentence in str(said.value), str(said.value)


@pytest.mark.parametrize("oracle, right, wrong", [
    (lambda n: n / 3, [lambda n: n / 3, lambda n: torch.tensor(n / 3)], [lambda n: n / 3.01, lambda n: (n / 3,)]),
    (lambda n: (n, n + 1), [lambda n: (n, n + 1), lambda n: [n, n + 1]], [lambda n: n, lambda n: (n, n)]),
    (lambda n: [n, n + 1], [lambda n: torch.tensor([n, n + 1])], [lambda n: [n, n + 1], lambda n: torch.tensor([n])]),
    (lambda n: (math.nan, math.inf), [lambda n: (math.nan, math.inf)],
     [lambda n: (math.nan, -math.inf), lambda n: (0.0, math.inf), lambda n: (math.nan, math.nan)])])
def test_numbers_tuples_and_tensors_are_held_to_their_oracle(oracle, right, wrong):
    for student in right:
        hold(student, oracle, [("", (2,), (5,))])
    for student in [*wrong, lambda n: None, lambda n: ..., lambda n: "2"]:
        says("returned", student, oracle, [("", (2,), (5,))])


def test_the_sentence_is_that_of_the_first_case_that_fails():
    says("returned -2 for -2; 2 is right. of -2", lambda x: x, abs, [("of 2", (2,)), ("of -2", (-2,))])


def test_a_mistake_is_told_if_it_explains_everything_and_something_is_wrong():
    sign = {"forgets the sign.": lambda x: x}
    cases = [("of 2", (2,)), ("of -2", (-2,))]
    says("<lambda>: forgets the sign.", lambda x: x, abs, cases, sign)
    says("of 2", lambda x: -2, abs, cases, sign)
    hold(abs, abs, cases, sign)
    hold(abs, abs, cases[:1], sign)


def test_a_mistake_may_have_several_forms():
    forms = {"forgets the sign.": (lambda x: x, lambda x: -x)}
    for student in forms["forgets the sign."]:
        says("forgets the sign.", student, abs, [("", (2,), (-2,))], forms)


def test_an_array_is_as_good_as_a_tensor():
    for student in (lambda x: x.numpy() + 1, lambda x: x.float().numpy()[::-1][::-1] + 1):
        hold(student, lambda x: x + 1, [("", (tensor([1.0, 2.0]),))])
    hold(lambda x: (x.numpy().sum(), x.numpy().max()), lambda x: (3.0, 2.0), [("", (tensor([1.0, 2.0]),))])
    says("2 is right", lambda x: np.array(1), lambda x: 2, [("", (1,))])


def test_close_to_zero_three_digits_are_those_of_one():
    hold(lambda x: x + 4e-5, lambda x: x, [("", (2e-4,))], digits=3)


@pytest.mark.parametrize("change, given", [
    (lambda x: x.add_(1), tensor([1.0, math.nan])), (lambda x: x.append(1), [1, 2]),
    (lambda x: x[1].pop(), [[1], [2, 3]])])
def test_who_changes_what_was_given_is_told_so_and_who_reads_it_is_not(change, given):
    hold(lambda x: 0, lambda x: 0, [("", (given,))])
    says("changed what it was given", lambda x: [change(x), 0][1], lambda x: 0, [("", (given,))])


def test_a_loss_is_held_to_its_gradient_too():
    at = tensor([1.0, -2.0])
    cases = [("of a parabola", (at,), (at,))]

    def oracle(x):
        return x.square().sum().item()

    hold(lambda x: x.square().sum(), oracle, cases, gradient_in=0)
    says("a tensor is wanted", oracle, oracle, cases, gradient_in=0)
    says("lost its gradient", lambda x: x.detach().square().sum(), oracle, cases, gradient_in=0)
    says("lost its gradient", lambda x: tensor(oracle(x)).requires_grad_(), oracle, cases, gradient_in=0)
    says("has the gradient [1.0, -2.0]; [2.0", lambda x: (x * x.detach()).sum(), oracle, cases, gradient_in=0)
    assert at.grad is None


def test_oracles_use_nothing_else_of_ours():
    for path in pathlib.Path(checks.__file__).parent.glob("*.py"):
        for line in path.read_text().splitlines():
            if "instructgpt_lite" in line and line.startswith(("import", "from")):
                assert line.startswith("from instructgpt_lite.checks")


