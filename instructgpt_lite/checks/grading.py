"""A student's function held to an oracle: silent if it is right, AssertionError if not.

A function under check has the signature of the package's function of that name. Every
case has a sentence that says what it is about; that of the first case that fails is
what the student reads, unless a usual mistake explains all that was returned. Padding
holds nan, so a product with the mask shows. Gradients are compared with finite
differences of the oracle, one number of the input at a time.

Without torch, as in the reader's browser, nested lists take the place of tensors.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

try:
    from torch import Tensor, as_tensor, float64
except ModuleNotFoundError as missing:
    if missing.name != "torch":
        raise
    Tensor = None

SHOWN = 16                           # numbers of a table that are shown whole

Case = tuple                         # what it is about, and tuples of arguments
Facts = dict[str, tuple[bool, str]]  # of each name, whether it is true, and why
# What to say, and what the mistake would return, or each of its forms.
Mistakes = dict[str, Callable | tuple[Callable, ...]]


class Numbers(NamedTuple):
    """A number, list or tensor: its shape, and the numbers row by row."""

    shape: tuple[int, ...]
    flat: list[float]


def tensor(numbers: Any) -> Any:
    """float64, where a finite difference still has nine digits; lists without torch."""
    return as_tensor(numbers, dtype=float64) if Tensor else numbers


def whole(numbers: Any) -> Any:
    """Whole numbers or truths as they are; lists without torch."""
    return as_tensor(numbers) if Tensor else numbers


def lists(*tables: Any) -> list:
    """Tensors as nested lists, everything else as it is."""
    return [table.tolist() if hasattr(table, "tolist") else table for table in tables]


def over(each: Callable, total: Callable = fmean) -> Callable:
    """A function of rows: the total of what `each` makes of their numbers."""
    return lambda *rows: total([each(*numbers) for numbers in zip(*lists(*rows))])


def hold(student: Callable, oracle: Callable, cases: Sequence[Case],
         mistakes: Mistakes | None = None, gradient_in: int | None = None,
         digits: int = 6) -> None:
    """AssertionError unless `student` returns what `oracle` does, in every case.

    A mistake is told if something is wrong and all that was returned is what the
    mistake returns; cases that only a careful function survives belong in a call of
    their own. Where the oracle returns a list or a tensor, or a gradient is taken, a
    tensor is wanted, or an array where there is no gradient; where it returns a number
    or a tuple, these will do as well. Without torch a list, a tuple or a number is.

    gradient_in: the argument by which a loss is differentiated, None for no loss.
    digits: how many must be right, for what is found by steps.
    """
    same = partial(_same, digits=digits)
    name = getattr(student, "__name__", "your function")
    cases = [(sentence, case) for sentence, *several in cases for case in several]
    given = [[deepcopy(x) for x in case] for _, case in cases]
    if gradient_in is not None:
        for case in given:
            case[gradient_in].requires_grad_()
    got = [_no_arrays(student(*case)) for case in given]
    want = [oracle(*case) for _, case in cases]
    for (_, case), after in zip(cases, given):
        assert all(map(same, after, case)), (
            f"{name} changed what it was given: work on a copy.")
    if all(map(same, got, want)):
        mistakes = None
    for sentence, forms in (mistakes or {}).items():
        for form in forms if isinstance(forms, tuple) else (forms,):
            told = all(same(x, form(*case)) for x, (_, case) in zip(got, cases))
            assert not told, f"{name}: {sentence}"
    for n, (sentence, case) in enumerate(cases):
        fault = _fault(got[n], want[n], case, gradient_in is not None, same, sentence)
        if not fault and gradient_in is not None:
            slope = finite_difference(oracle, case, gradient_in)
            fault = _fault_in_slope(got[n], given[n][gradient_in], slope, sentence)
        assert not fault, f"{name} {fault}"


def hold_names(student: Callable, facts: Facts) -> None:
    """AssertionError unless `student` returns a set of just the names that are true."""
    got = student()
    assert isinstance(got, (set, list, tuple)), (
        f"returned {type(got).__name__}; a set of names is wanted.")
    unknown = sorted(set(got) - set(facts))
    assert not unknown, f"{unknown} is not among {sorted(facts)}."
    for name, (true, sentence) in facts.items():
        assert (name in got) == true, f"{name}: {sentence}"


def _fault(got: Any, want: Any, case: tuple, loss: bool, same: Callable,
           sentence: str) -> str | None:
    """What is wrong with one answer, None if nothing is.

    The sentence of the case is for those who have computed something else.
    """
    if want is None:
        return (None if got is None else
                f"returned {_plain(got)!r}; None is right. {sentence}")
    table = isinstance(got, Tensor or list | tuple)
    strict = loss or isinstance(want, list | (Tensor or tuple))
    numbers = _numbers(got)
    shape = _numbers(want).shape
    if got is None and not shape and not strict:
        return f"returned None; {_plain(want)} is right. {sentence}"
    if numbers is None and isinstance(got, list | tuple) and shape:
        parts = [_numbers(each) for each in got]
        if None not in parts:
            shapes = ", ".join(str(part.shape) for part in parts)
            return f"returned parts of shapes {shapes}; {shape[1:]} of each is wanted."
    if numbers is None or strict and not table:
        return f"returned {type(got).__name__}; {_wanted(want, strict)} is wanted."
    if table and numbers.shape != shape:
        more = f" {sentence}" if len(numbers.flat) != len(_numbers(want).flat) else ""
        return f"returned shape {numbers.shape}; {shape} is wanted.{more}"
    if same(got, want):
        return None
    shown = ", ".join(str(_plain(x)) for x in case)
    shown = f" for {shown}" if 0 < len(shown) < 60 else ""
    return f"returned {_told(got, want, shown, same)} {sentence}"


def _told(got: Any, want: Any, shown: str, same: Callable) -> str:
    """Both; of long tables the first numbers that differ."""
    x, y = _numbers(got), _numbers(want)
    if len(x.flat) <= SHOWN:
        return f"{_plain(got)}{shown}; {_plain(want)} is right."
    first = next(n for n, both in enumerate(zip(x.flat, y.flat)) if not same(*both))
    place, left = [], first
    for size in reversed(x.shape):
        left, at = divmod(left, size)
        place.insert(0, at)
    return f"{x.flat[first]:.6g} at {place}{shown}; {y.flat[first]:.6g} is right."


def _wanted(want: Any, strict: bool) -> str:
    if not Tensor:
        return "a list of numbers" if strict else "a number"
    if strict:
        return "a tensor"
    return f"a {'tuple' if isinstance(want, tuple) else 'number'} or a tensor"


def _fault_in_slope(got: Any, at: Any, want: Any, sentence: str) -> str | None:
    """What is wrong with the gradient of one loss, None if nothing is."""
    at.grad = None                                   # of a backward of its own
    if got.requires_grad:
        got.backward()
    if at.grad is None:
        return "lost its gradient: a detach, item, tolist or torch.tensor of it?"

    def same(x: float, y: float) -> bool:
        return _close(x, y, 1e-5, 1e-7)

    if all(map(same, _numbers(at.grad).flat, _numbers(want).flat)):
        return None
    told = f"has the gradient {_told(at.grad, want, '', same)} {sentence}"
    if any(map(math.isnan, _numbers(at.grad).flat)):
        return told
    return f"{told} The value is right: is a part of it detached?"


def _same(got: Any, want: Any, digits: int = 6) -> bool:
    """Of one shape, equal to so many digits; nan and infinite where it should be."""
    x, y = _numbers(got), _numbers(want)
    if x is None and y is None and type(got) is type(want):
        if isinstance(got, list | tuple):
            return len(got) == len(want) and all(map(_same, got, want))
        return got == want
    if x is None or y is None:
        return False
    near = partial(_close, relative=10 ** -digits, absolute=10 ** -digits / 10)
    return x.shape == y.shape and all(
        near(*both) or both[0] != both[0] and both[1] != both[1]
        for both in zip(x.flat, y.flat))


def _no_arrays(x: Any) -> Any:
    """numpy's arrays as tensors."""
    if isinstance(x, list | tuple):
        return (list if isinstance(x, list) else tuple)(map(_no_arrays, x))
    array = Tensor and hasattr(x, "__array__") and not isinstance(x, Tensor)
    return tensor(x.tolist()) if array else x


def _close(x: float, y: float, relative: float, absolute: float) -> bool:
    apart = abs(x - y)
    return x == y or math.isfinite(apart) and apart <= absolute + relative * abs(y)


def _numbers(x: Any) -> Numbers | None:
    """None for what is no number, nor a table of them."""
    x = x.tolist() if hasattr(x, "tolist") else x
    if isinstance(x, int | float):
        return Numbers((), [float(x)])
    if not isinstance(x, list | tuple | range):
        return None
    parts = [_numbers(each) for each in x]
    if None in parts or len({part.shape for part in parts}) > 1:
        return None
    inner = parts[0].shape if parts else ()
    return Numbers((len(parts), *inner), [each for part in parts for each in part.flat])


def _plain(x: Any) -> Any:
    """Without tensors, so that a sentence can be read."""
    if isinstance(x, list | tuple):
        return (list if isinstance(x, list) else tuple)(map(_plain, x))
    return x.tolist() if hasattr(x, "tolist") else x


def finite_difference(oracle: Callable, arguments: tuple, position: int,
                      step: float = 1e-5) -> Any:
    """Central differences of a scalar oracle in every number of one tensor."""
    slope = arguments[position].clone().fill_(0)
    for i in range(slope.numel()):
        for sign in (1, -1):
            moved = [x.clone() if hasattr(x, "clone") else x for x in arguments]
            moved[position].view(-1)[i] += sign * step
            slope.view(-1)[i] += sign * oracle(*moved) / (2 * step)
    return slope
