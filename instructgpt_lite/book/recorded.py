"""Numbers that took too long for a chapter: what a command wrote to results/.

The folder is beside the package in a checkout; an installed package (Colab's) has its
copy among the data files of the environment (pyproject.toml, data-files).
"""

import json
import sysconfig
from pathlib import Path

from instructgpt_lite.judging.intervals import Interval

CHECKOUT = Path(__file__).parents[2] / "results"
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "instructgpt_lite" / "results"


def recorded(name: str) -> dict:
    """What results/NAME.json holds; its "command" says how it was made.

    FileNotFoundError names the results that exist.
    """
    there = {path.stem: path for folder in (INSTALLED, CHECKOUT)
             for path in folder.glob("*.json")}
    if name not in there:
        found = ", ".join(sorted(there)) or "no results at all"
        raise FileNotFoundError(f"no results/{name}.json; there are {found}")
    return json.loads(there[name].read_text(encoding="utf-8"))


def clear(gap: dict) -> int:
    """1 or -1 for a difference that is clear, by its sign; 0 for one that is not.

    gap: "all" is mean, low and high over held-out prompts, "of seeds" each seed's mean.
    Clear: the interval leaves out 0, and all seeds but at most one have its sign.
    """
    _, low, high = gap["all"]
    side = (low > 0) - (high < 0)
    with_it = [seed for seed in gap["of seeds"] if side * seed > 0]
    return side * (len(with_it) >= len(gap["of seeds"]) - 1)


def across_seeds(results: dict, *names: str) -> Interval | None:
    """Mean, lowest and highest of a measure over the seeds of results/PRESET.json.

    across_seeds(recorded("nano"), "policies", "ppo", "gold"): names lead to it. Of an
    interval the mean counts; None where the measure was not taken.
    """
    values = []
    for found in results["seeds"].values():
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            return None
        values.append(found[0] if isinstance(found, list) else found)
    low, high = min(values), max(values)
    mean = sum(values) / len(values)
    return Interval(min(max(mean, low), high), low, high)        # rounding stays inside
