"""A student's function, called from here in its process, and what it answers.

Whatever comes back is read as plain numbers, or as none.
"""

import builtins
from math import prod
from typing import Any

import torch
from torch import Tensor

from instructgpt_lite.desk import runner
from instructgpt_lite.desk.sandbox import Process

DEEPEST = 8                                              # lists within lists
ERRORS = {name for name, each in vars(builtins).items()
          if isinstance(each, type) and issubclass(each, Exception)}


class Remote:
    """A student's function, called in its process: what `hold` takes for a function.

    AssertionError tells what it did instead of returning.
    """

    def __init__(self, process: Process, name: str, seconds: float) -> None:
        self.process, self.__name__, self.seconds = process, name, seconds

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns for these, as plain numbers and tensors."""
        slope = [n for n, x in enumerate(arguments)
                 if torch.is_tensor(x) and x.requires_grad]
        answer = self.process.ask({
            "call": self.__name__, "given": [_sent(x) for x in arguments],
            "slope": slope[0] if slope else None}, self.seconds)
        error = answer.get("error")
        assert error is None, f"{self.__name__} raised {known(error)}."
        assert answer.get("changed") is False, (
            f"{self.__name__} changed what it was given: work on a copy.")
        got = received(answer.get("value"))
        if slope and torch.is_tensor(got):
            at, push = arguments[slope[0]], received(answer.get("slope"))
            if torch.is_tensor(push) and push.shape == at.shape:
                got = _WithSlope.apply(at, got, push)
        return got


class _WithSlope(torch.autograd.Function):
    """A value whose gradient in `at` has been computed elsewhere."""

    @staticmethod
    def forward(context: Any, at: Tensor, value: Tensor, push: Tensor) -> Tensor:
        """The value; the gradient is kept."""
        context.push = push
        return value.clone()

    @staticmethod
    def backward(context: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """That gradient times what comes from behind."""
        return slope * context.push, None, None


def known(error: Any) -> str:
    """The name of an error that Python has: a student's own may say anything."""
    known_here = isinstance(error, str) and error in ERRORS
    return error if known_here else "an error of its own"


def _sent(x: Any) -> Any:
    if not torch.is_tensor(x):
        return x
    kind = str(x.dtype).removeprefix("torch.")
    return {"tensor": x.detach().tolist(), "dtype": kind, "shape": list(x.shape)}


def received(x: Any) -> Any:
    """An answer as numbers, lists, tuples and tensors; an object where it is none."""
    try:
        return _received(x, [runner.LARGEST])
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError):
        return type("an object", (), {})()


def _received(x: Any, left: list[int], depth: int = 0) -> Any:
    """left: how many more numbers there may be, in all."""
    if depth > DEEPEST:
        raise ValueError("so deep a list is no answer")
    if x is None or isinstance(x, bool | int | float | str):
        _spend(left, 1)
        return x
    if set(x) == {"tensor", "shape"}:
        shape = x["shape"]
        if len(shape) > 9:
            raise ValueError("a table of this shape is no answer")
        _spend(left, prod(max(n, 1) for n in shape))
        return torch.tensor(x["tensor"], dtype=torch.float64).view(shape)
    (kind, content), = x.items()
    if kind not in ("list", "tuple"):
        raise ValueError(f"a {kind} is no answer")
    _spend(left, 1)
    made = [_received(each, left, depth + 1) for each in content]
    return made if kind == "list" else tuple(made)


def _spend(left: list[int], count: int) -> None:
    left[0] -= count
    if left[0] < 0:
        raise ValueError("so many numbers are no answer")
