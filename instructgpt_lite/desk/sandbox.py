"""A student's code in a process of its own: no network, no files, little of the rest.

Linux's Landlock and seccomp, by way of the package sandlock, keep it in; the process
reads the Python installation and nothing else, writes nothing, starts no other, and
ends when its time is over. Expected values never enter it.
"""

import builtins
import json
import os
import select
import subprocess
import sys
import time
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from instructgpt_lite.desk import runner

# torch's compiler, which its optimizers import, wants a folder that is there already.
SET = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": "/usr"}
START = 120.0                                            # seconds to import torch
LONGEST = 2 ** 20                                        # bytes of one answer
MEMORY = 3 * 2 ** 30  # address space, most of it torch
ERRORS = {name for name, each in vars(builtins).items()
          if isinstance(each, type) and issubclass(each, Exception)}


class Ended(Exception):
    """The process is gone, or has been ended: what it did instead of answering."""


def check_isolation() -> None:
    """OSError with the way out where nothing keeps a student's code in."""
    if find_spec("sandlock"):
        import sandlock

        if sandlock.landlock_abi_version() >= sandlock.min_landlock_abi():
            return
        lacking = "this kernel's Landlock is too old or off: Linux 6.12 has it"
    else:
        lacking = "the package sandlock is missing: pip install sandlock (Linux)"
    raise OSError(f"nothing isolates a student's code here ({lacking}). Grade on a "
                  "machine that has it; or, on one that you can throw away and that "
                  "holds nothing of worth, add --no-isolation")


class Clock:
    """The seconds that a submission has left, over all its processes."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds


class Process:
    """One process that runs a student's cells and calls their functions."""

    def __init__(self, isolated: bool, clock: Clock, optim: bool = False) -> None:
        """Ready when this returns: starting Python and torch is not on the clock.

        optim: whether to start torch's optimizers as well, which takes a second.
        """
        self.clock, self._rest = clock, b""
        source = "import tempfile\ntempfile.tempdir = '/'\n"  # no folder to write to
        source += "import torch._dynamo\n" * optim
        source += Path(runner.__file__).read_text()
        command = [sys.executable, "-I", "-B", "-c", source]
        self._process = _confined(command) if isolated else subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ | SET)
        try:
            self._line(time.monotonic() + START)
        except Ended:
            self.end()
            raise OSError("Python and torch do not start in the sandbox within "
                          f"{START:.0f} s: can it read {sys.prefix}?") from None

    def ask(self, request: dict, seconds: float) -> dict:
        """Its answer to a request; Ended if none comes in time."""
        begun = time.monotonic()
        until = begun + min(seconds, self.clock.left)
        try:
            self._send((json.dumps(request) + "\n").encode(), until)
            answer = json.loads(self._line(until))
            if not isinstance(answer, dict):
                raise ValueError("an answer is a dict")
            return answer
        except (OSError, ValueError, RecursionError):
            self.end()
            raise Ended("ended its process or broke its answers.") from None
        except Ended:
            self.end()
            raise
        finally:
            self.clock.left -= time.monotonic() - begun

    def _send(self, line: bytes, until: float) -> None:
        """Write to a pipe that nobody may be reading any more."""
        pipe = self._process.stdin.fileno()
        os.set_blocking(pipe, False)
        while line:
            left = until - time.monotonic()
            if left <= 0 or not select.select([], [pipe], [], left)[1]:
                raise Ended("did not return in time: is there a loop without end?")
            line = line[os.write(pipe, line):]

    def _line(self, until: float) -> bytes:
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise Ended("did not return in time: is there a loop without end?")
            new = os.read(pipe, LONGEST)
            self._rest += new
            if not new or len(self._rest) > LONGEST:
                raise Ended("ended its process or broke its answers.")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def end(self) -> None:
        """End it at once, and all that it has started."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()


def _confined(command: list[str]) -> Any:
    """The command in its sandbox, with pipes to and from it."""
    from sandlock import Sandbox, StdioMode

    readable = [Path(each) for each in (
        "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/urandom", sys.prefix,
        sys.base_prefix) if os.path.exists(each)]
    ours = Path(runner.__file__).parents[1]              # solutions, where installed
    denied = [ours] if any(map(ours.is_relative_to, readable)) else []
    box = Sandbox(fs_readable=[*map(str, readable)], fs_writable=["/dev/null"],
                  fs_denied=[*map(str, denied)], max_memory=MEMORY, max_processes=1,
                  extra_deny_syscalls=["memfd_create"],  # memory that is not counted
                  max_open_files=256, no_coredump=True, clean_env=True, cwd="/",
                  env=SET)
    try:
        return box.popen(command, stdin=StdioMode.PIPED, stdout=StdioMode.PIPED,
                         stderr=StdioMode.NULL)
    except RuntimeError as error:                        # no fault of the student
        raise OSError(f"the sandbox does not start ({error})") from None


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
    return error if error in ERRORS else "an error of its own"


def _sent(x: Any) -> Any:
    if not torch.is_tensor(x):
        return x
    kind = str(x.dtype).removeprefix("torch.")
    return {"tensor": x.detach().tolist(), "dtype": kind, "shape": list(x.shape)}


def received(x: Any) -> Any:
    """An answer as numbers, lists, tuples and tensors; an object where it is none."""
    try:
        return _received(x)
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError):
        return type("an object", (), {})()


def _received(x: Any) -> Any:
    if x is None or isinstance(x, bool | int | float | str):
        return x
    if set(x) == {"tensor", "shape"}:
        shape = x["shape"]
        if len(shape) > 9 or prod(max(n, 1) for n in shape) > runner.LARGEST:
            raise ValueError("a table of this shape is no answer")
        return torch.tensor(x["tensor"], dtype=torch.float64).view(shape)
    (kind, content), = x.items()
    if kind not in ("list", "tuple"):
        raise ValueError(f"a {kind} is no answer")
    made = [_received(each) for each in content]
    return made if kind == "list" else tuple(made)
