"""What the benchmarks share: rounds in turn, ratios with an interval, the table, and the record."""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Row:
    """One line of the table: a number measured once a round, and the goal it has, if any.

    unit: "x" for a ratio of speeds. goal: to reach at least or, with at_most, at most.
    """

    what: str
    unit: str
    rounds: list[float]
    goal: float | None = None
    at_most: bool = False

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % percentile bootstrap of the median over rounds (Efron, 1979)."""
        draws = np.random.default_rng(0).choice(self.rounds, (2_000, len(self.rounds)))
        low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
        return float(low), float(high)

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.median <= self.goal if self.at_most else self.median >= self.goal

    def json(self) -> dict:
        """The row with what follows from it."""
        return asdict(self) | {"median": self.median, "interval": self.interval, "reached": self.reached}


def table(rows: list[dict]) -> str:
    """Rows, as `Row.json` gives them, as text."""
    lines = [f"{'what':66}{'goal':>10}{'measured':>12}   95 % interval"]
    for row in rows:
        goal = "" if row["goal"] is None else f"{'<=' if row['at_most'] else '>='} {row['goal']:g}"
        mark = {None: "", True: "", False: "   missed"}[row["reached"]]
        low, high = row["interval"]
        unit = row["unit"] if row["unit"] == "x" else " " + row["unit"]
        lines.append(f"{row['what']:66}{goal:>10}{row['median']:>12.3g}   {low:.3g} to {high:.3g}{unit}{mark}")
    return "\n".join(lines)


def arguments(about: str, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has; torch computes on one thread from here on."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds that count; one more is dropped")
    parser.add_argument("--out", type=Path, help="also write a JSON record to this file")
    return parser


def finish(rows: list[Row], options: argparse.Namespace, configuration: dict) -> None:
    """Print the table and, if asked, write the record."""
    found = [row.json() for row in rows]
    print(table(found), flush=True)
    if options.out:
        record = {"environment": environment(), "options": vars(options), "configuration": configuration,
                  "rows": found}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1, default=str) + "\n")


def environment() -> dict:
    """Where a number was measured: machine, load, versions, commit."""
    cpu = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    packages = ("torch", "transformers", "trl", "numpy")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {"cpu": cpu[0] if cpu else platform.processor(), "cores": os.cpu_count(), "load": os.getloadavg(),
            "threads": torch.get_num_threads(), "isa": torch.backends.cpu.get_cpu_capability(),
            "python": platform.python_version(), "commit": commit.stdout.strip(),
            **{name: installed(name) for name in packages}}


def installed(package: str) -> str:
    """Its version; gpu.py does without TRL."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def speeds(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Units of work (what each returns) per CPU-second; they take turns, and round 0 is dropped."""
    measured = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, work in contestants.items():
            start = time.process_time()
            units = work()
            measured[name].append(units / (time.process_time() - start))
    return {name: each[1:] for name, each in measured.items()}


def ratios(first: list[float], second: list[float]) -> list[float]:
    """first / second, round by round."""
    return [a / b for a, b in zip(first, second, strict=True)]


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights by name."""
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def difference(start: dict, ours: dict, theirs: dict) -> float:
    """How far two updates from the same start are apart: |ours - theirs| / |theirs - start|, 2-norms."""
    apart = sum((ours[name] - theirs[name]).double().square().sum() for name in start)
    moved = sum((theirs[name] - start[name]).double().square().sum() for name in start)
    return (apart / moved).sqrt().item()


def must_agree(what: str, apart: float, tolerance: float) -> None:
    """Print how far two results are apart, and stop if that is more than rounding can explain."""
    print(f"{what}: apart by {apart:.1e} (at most {tolerance:.0e})", flush=True)
    if not apart <= tolerance:
        raise SystemExit(f"{what}: not the same mathematics, so its speed would mean nothing")
