"""Break the package in one place at a time and see its tests fail.

    python tools/mutate.py [--jobs 2] [--only NAME]

Each mutant of `mutants.py` is made in a copy of the repository, where only the test files that mirror the
broken one run. Exit status 0 when all mutants are killed, 1 when one survives, 2 when the question has no
answer: the tests fail without any mutant, an old text is not there exactly once, a mutant does not import or its
tests do not end.

Every trial is a fork of this process, which has imported the heavy libraries once and nothing of ours.
"""

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Collection
from pathlib import Path

from mutants import MIRRORS, MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("instructgpt_lite", "tests", "pyproject.toml", "results")
HEAVY = ("torch", "torch.optim", "numpy", "scipy.stats", "pytest", "transformers", "tokenizers",
         "transformers.models.gpt2.modeling_gpt2", "transformers.models.llama.modeling_llama")
SECONDS = 300                        # that the tests of one mutant may take
PASSED, FAILED, HUNG = 0, 1, 9       # exit statuses: pytest's two, and ours where the time was up


def tests_of(mutant: Mutant) -> list[str]:
    """The test files of the mutant's module."""
    mirror = str(Path(mutant.file).with_name(f"test_{Path(mutant.file).name}"))
    return [f"tests/{name}" for name in MIRRORS.get(mutant.file, [mirror])]


def copied(folder: Path) -> Path:
    """The repository again, without anything that was compiled from it."""
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def start(folder: Path, files: list[str]) -> int:
    """Begin pytest -x in a copy; returns the process id. What it says goes to folder/said.txt."""
    child = os.fork()
    if child:
        return child
    status = 3
    try:
        signal.alarm(SECONDS)
        os.chdir(folder)
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        status = run_tests(folder, files)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)                # whatever happens, the child never goes on as its parent


def run_tests(folder: Path, files: list[str]) -> int:
    """pytest's exit status; ImportError unless the package comes from the copy."""
    sys.path.insert(0, str(folder))
    import pytest

    import instructgpt_lite
    if not Path(instructgpt_lite.__file__).is_relative_to(folder):
        raise ImportError(f"{folder} tests {instructgpt_lite.__file__}")
    known = "ignore::pytest.PytestAssertRewriteWarning"         # of plugins that transformers has imported
    return pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-W", known, *files])


def ended(children: Collection[int]) -> tuple[int, int]:
    """Wait for one of the children: its process id, and the exit status of pytest, or HUNG."""
    child, status = os.wait()
    while child not in children:
        child, status = os.wait()
    return child, HUNG if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def faults(mutants: list[Mutant], copy: Path) -> list[str]:
    """What stands in the way of an answer."""
    found = []
    for mutant in mutants:
        count = (copy / "instructgpt_lite" / mutant.file).read_text().count(mutant.old)
        if count != 1:
            found.append(f"{mutant.name}: {count} times in {mutant.file}, want 1: {mutant.old!r}")
    if not found:
        child = start(copy, sorted({file for mutant in mutants for file in tests_of(mutant)}))
        if ended([child])[1] != PASSED:
            found.append("the tests fail without any mutant:\n" + (copy / "said.txt").read_text()[-3000:])
    return found or ([] if mutants else ["no mutant has that in its name"])


def trials(mutants: list[Mutant], copies: list[Path]) -> list[int]:
    """Exit statuses of pytest, each mutant tried in a copy that is free."""
    waiting, running, statuses = mutants[::-1], {}, []
    while waiting or running:
        while waiting and copies:
            mutant, copy = waiting.pop(), copies.pop()
            path = copy / "instructgpt_lite" / mutant.file
            sound = path.read_text()
            path.write_text(sound.replace(mutant.old, mutant.new))
            running[start(copy, tests_of(mutant))] = (mutant, copy, path, sound, time.monotonic())
        child, status = ended(running)
        mutant, copy, path, sound, began = running.pop(child)
        path.write_text(sound)
        copies.append(copy)
        statuses.append(status)
        verdict = {PASSED: "SURVIVED", FAILED: "killed", HUNG: "HUNG"}.get(status, "BROKEN")
        print(f"{verdict:8} {time.monotonic() - began:5.1f} s  {mutant.name}: {mutant.why}", flush=True)
        if verdict == "BROKEN":
            print((copy / "said.txt").read_text()[-1500:], flush=True)
    return statuses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME", default="", help="mutants whose name or file contains this")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried side by side")
    flags = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if flags.only in mutant.name or flags.only in mutant.file]
    os.environ["OMP_NUM_THREADS"], sys.dont_write_bytecode, began = "1", True, time.monotonic()
    for name in HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        copies = [copied(Path(folder).resolve() / str(n)) for n in range(flags.jobs)]
        found = faults(mutants, copies[0])
        if found:
            print("\n".join(found), file=sys.stderr)
            return 2
        statuses = trials(mutants, copies)
    print(f"{statuses.count(FAILED)} of {len(statuses)} mutants killed in {time.monotonic() - began:.0f} s")
    return 2 if set(statuses) - {PASSED, FAILED} else int(PASSED in statuses)


if __name__ == "__main__":
    sys.exit(main())
