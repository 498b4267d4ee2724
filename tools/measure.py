"""Run a preset once for each seed and write results/PRESET.json: every measure, its mean, spread and intervals.

    python tools/measure.py tiny 0 1 2 --best-of-n.n 4

What follows the seeds is handed on to `run`. CPU-seconds and peak memory are those of the whole process, imports and
report included. "samples" has what every model of the first seed answers to the first held-out prompt of each use case:
nobody picked them.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

from instructgpt_lite.files import write_json
from instructgpt_lite.run.folder import RunFolder

ROOT = Path(__file__).parent.parent


def measured(preset: str, seed: int, changes: list[str]) -> dict:
    """One run in a process of its own."""
    folder = ROOT / "runs" / f"{preset}-{seed}"
    command = [sys.executable, "-m", "instructgpt_lite", "run", "--preset", preset, "--seed", str(seed),
               "--out", str(folder.relative_to(ROOT)), *changes]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    return {"cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
            "peak_memory_gb": round(after.ru_maxrss / 2**20, 3),
            "stages": RunFolder(folder).seconds, **evaluation}


def samples(folder: Path) -> list[dict]:
    """The first prompt of each use case in samples.json, with all answers and what they are worth."""
    first = {}
    for each in json.loads((folder / "samples.json").read_text()):
        first.setdefault(each["category"], each)
    return list(first.values())


def leaves(found: dict, path: str = ""):
    """Every number or [mean, low, high] in nested tables, with its path."""
    for name, value in found.items():
        here = f"{path}{name}"
        if isinstance(value, dict):
            yield from leaves(value, here + " / ")
        else:
            yield here, value[0] if isinstance(value, list) else value


def main(preset: str, *arguments: str) -> None:
    seeds = [int(each) for each in takewhile(str.isdecimal, arguments)]
    runs = {seed: measured(preset, seed, list(arguments[len(seeds):])) for seed in seeds}
    values = {}
    for found in runs.values():
        for name, value in leaves(found):
            values.setdefault(name, []).append(value)
    summary = {name: {"mean": round(statistics.mean(each), 4), "lowest": min(each), "highest": max(each)}
               for name, each in values.items()}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    config = json.loads((ROOT / "runs" / f"{preset}-{seeds[0]}" / "config.json").read_text())
    write_json(ROOT / "results" / f"{preset}.json", {
        "command": f"python tools/measure.py {preset} {' '.join(arguments)}", "commit": commit,
        "intervals": "95 %, bootstrap over held-out prompts, of each seed", "config": config,
        "summary": summary, "samples": samples(ROOT / "runs" / f"{preset}-{seeds[0]}"), "seeds": runs})


if __name__ == "__main__":
    main(*sys.argv[1:])
