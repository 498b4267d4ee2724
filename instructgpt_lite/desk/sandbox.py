"""A student's code in a process of its own: no network, no files, little of the rest.

Linux's Landlock and seccomp, by way of the package sandlock, keep it in; the process
reads the Python installation and nothing else, writes nothing, starts no other, and
ends when its time is over. Expected values never enter it.
"""

import json
import os
import platform
import select
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from instructgpt_lite.desk import preload, runner

# torch's compiler, which its optimizers import, wants a folder that is there already.
SET = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": "/usr"}
START = 120.0                                            # seconds to import torch
LONGEST = 2 ** 20                                        # bytes of one answer
MEMORY = 3 * 2 ** 30  # address space, most of it torch
# What reaches other processes of this user, files by name, or memory uncounted.
DENIED = ("prlimit64 setrlimit setpriority ioprio_set sched_setaffinity "
          "sched_setscheduler sched_setparam sched_setattr pidfd_open "
          "pidfd_send_signal migrate_pages move_pages fchmod fchmodat fchmodat2 fchown "
          "fchownat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr "
          "fremovexattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr "
          "chroot fanotify_init syslog memfd_create memfd_secret").split()
OLD = "chmod chown lchown utime utimes futimesat".split()     # of x86 alone


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
        source += Path(preload.__file__).read_text() + "receive()\n"
        source += "import torch._dynamo\n" * optim
        source += Path(runner.__file__).read_text()
        command = [sys.executable, "-I", "-B", "-c", source]
        self._process = _confined([*command, "confined"]) if isolated else \
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ | SET)
        try:
            until = time.monotonic() + START
            self._send(preload.modules(optim), until)
            self._line(until)
        except (Ended, BrokenPipeError) as ended:
            self.end()
            raise OSError("Python and torch do not start in the sandbox: this one "
                          f"{ended} Can it read {sys.prefix}?") from None

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
        left = memoryview(line)
        while left:
            _wait(pipe, select.POLLOUT, until)
            left = left[os.write(pipe, left):]

    def _line(self, until: float) -> bytes:
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            _wait(pipe, select.POLLIN, until)
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


def _wait(pipe: int, event: int, until: float) -> None:
    """Until a pipe is ready; Ended if it is not in time."""
    ready = select.poll()
    ready.register(pipe, event)
    left = until - time.monotonic()
    if left <= 0 or not ready.poll(left * 1000):
        raise Ended("did not return in time: is there a loop without end?")


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
                  extra_deny_syscalls=DENIED + OLD * (platform.machine() == "x86_64"),
                  no_coredump=True, clean_env=True, cwd="/", env=SET)
    try:
        return box.popen(command, stdin=StdioMode.PIPED, stdout=StdioMode.PIPED,
                         stderr=StdioMode.NULL)
    except RuntimeError as error:                        # no fault of the student
        raise OSError(f"the sandbox does not start ({error})") from None
