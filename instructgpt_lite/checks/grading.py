"""A student's function held to an oracle: silent if it is right, AssertionError if not.

A function under check has the signature of the package's function of that name. Every
case has a sentence that says what it is about; that of the first case that fails is
what the student reads. Padding holds nan, so a product with the mask shows. Gradients
are compared with finite differences of the oracle, one number of the input at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Case = tuple[str, tuple]                       # what it is about, and the arguments
Mistakes = dict[str, Callable]                 # what to say, and what it would return
Mistake = tuple[str, Callable]                 # what to say, and what it would return


def tensor(numbers: list) -> Tensor:
    """float64, where a finite difference still has nine digits."""
    return torch.tensor(numbers, dtype=torch.float64)


def agree(student: Callable, oracle: Callable, cases: list[Case],
          gradient_in: int | None = None) -> None:
    """AssertionError at the first case in which the student's function differs.

    gradient_in: the argument by which a loss is differentiated, None for no loss.
    """
    name = getattr(student, "__name__", "your function")
    for sentence, arguments in cases:
        def hold(right: bool, said: str, sentence: str = sentence) -> None:
            assert right, f"{name} {said} {sentence}"

        inputs = [x.clone() if torch.is_tensor(x) else x for x in arguments]
        if gradient_in is not None:
            inputs[gradient_in].requires_grad_()
        got, want = student(*inputs), tensor(oracle(*arguments))
        hold(torch.is_tensor(got),
             f"returned {type(got).__name__}; a tensor is wanted.")
        hold(got.shape == want.shape,
             f"returned shape {tuple(got.shape)}; {tuple(want.shape)} is wanted.")
        hold(torch.allclose(got.detach().double(), want, rtol=1e-6, atol=1e-9),
             f"returned {got.tolist()}; {want.tolist()} is right.")
        if gradient_in is not None:
            hold(got.requires_grad,
                 "lost its gradient: is there a detach, item or tolist?")
            got.backward()
            slope = inputs[gradient_in].grad
            want = finite_difference(oracle, arguments, gradient_in)
            hold(torch.allclose(slope, want, rtol=1e-5, atol=1e-7),
                 f"has the gradient {slope.tolist()}; {want.tolist()} is right.")


def held(student: Callable, oracle: Callable, cases: list[Case], mistakes: Mistakes,
         gradient_in: int | None = None) -> None:
    """`agree`, but who makes a usual mistake in every case hears its own sentence."""
    name = getattr(student, "__name__", "your function")

    def results(function: Callable) -> list:
        return [function(*(x.clone() if torch.is_tensor(x) else x for x in arguments))
                for _, arguments in cases]

    got = results(student)
    if all(map(same, got, results(oracle))):
        mistakes = {}
    for sentence, mistake in mistakes.items():
        assert not all(map(same, got, results(mistake))), f"{name} {sentence}"
    agree(student, oracle, cases, gradient_in)


def same(got: object, want: object) -> bool:
    """Numbers or tensors of one shape, equal to six digits; nan where it should be."""
    if not torch.is_tensor(got) and not isinstance(got, float | int | list):
        return False
    got, want = (torch.as_tensor(x).detach().double() for x in (got, want))
    return got.shape == want.shape and torch.allclose(got, want, rtol=1e-6, atol=1e-9,
                                                      equal_nan=True)


def finite_difference(oracle: Callable, arguments: tuple, position: int,
                      step: float = 1e-5) -> Tensor:
    """Central differences of a scalar oracle in every number of one argument."""
    slope = torch.zeros_like(arguments[position])
    for i in range(slope.numel()):
        for sign in (1, -1):
            moved = [x.clone() if torch.is_tensor(x) else x for x in arguments]
            moved[position].view(-1)[i] += sign * step
            slope.view(-1)[i] += sign * oracle(*moved) / (2 * step)
    return slope


def diagnose(student: Callable, oracle: Callable, cases: Sequence[tuple],
             mistakes: Sequence[Mistake]) -> None:
    """AssertionError unless all cases are right; of a usual mistake, its sentence."""
    name = getattr(student, "__name__", "your function")
    given = [[x.clone() if torch.is_tensor(x) else x for x in case] for case in cases]
    got = [student(*arguments) for arguments in given]
    for case, arguments in zip(cases, given):
        same = all(torch.equal(x, y) for x, y in zip(case, arguments)
                   if torch.is_tensor(x))
        assert same, f"{name} changed what it was given: work on a copy."
    wrong = [n for n, case in enumerate(cases) if not close(got[n], oracle(*case))]
    if not wrong:
        return
    for sentence, mistake in mistakes:
        told = all(close(got[n], mistake(*case)) for n, case in enumerate(cases))
        assert not told, f"{name}: {sentence}"
    case = cases[wrong[0]]
    raise AssertionError(f"{name} returned {plain(got[wrong[0]])} for "
                         f"{', '.join(str(plain(x)) for x in case)}; "
                         f"{plain(oracle(*case))} is right.")


def plain(x: Any) -> Any:
    """Lists for tensors, so that a sentence can be read."""
    return x.tolist() if hasattr(x, "tolist") else x


def close(got: Any, want: Any) -> bool:
    """Of one shape, and equal to seven digits; infinite where it should be."""
    try:
        got, want = torch.as_tensor(got).double(), torch.as_tensor(want).double()
    except (TypeError, ValueError, RuntimeError):
        return False
    return got.shape == want.shape and torch.allclose(got, want, rtol=1e-7, atol=1e-9,
                                                      equal_nan=True)
