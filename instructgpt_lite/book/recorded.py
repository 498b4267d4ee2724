"""Numbers that took too long for a chapter: what a command wrote to results/, wherever the package runs.

The folder lies beside the package in a checkout; an installed package (Colab's) has its copy among the data files
of the environment (pyproject.toml, data-files).
"""

import json
import sysconfig
from pathlib import Path

from instructgpt_lite.judging.intervals import Interval

CHECKOUT = Path(__file__).parents[2] / "results"
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "instructgpt_lite" / "results"


def recorded(name: str) -> dict:
    """What results/NAME.json holds; "command" in it says how it was made. FileNotFoundError names what there is."""
    for folder in (CHECKOUT, INSTALLED):
        path = folder / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
    there = sorted({path.stem for folder in (CHECKOUT, INSTALLED) for path in folder.glob("*.json")})
    raise FileNotFoundError(f"no results/{name}.json; there are {', '.join(there) or 'no results at all'}")


def across_seeds(results: dict, *names: str) -> Interval | None:
    """Mean, lowest and highest of a measure over the seeds of results/PRESET.json; None where it was not taken.

    names lead to it: across_seeds(recorded("nano"), "policies", "ppo", "gold"). Of an interval the mean counts.
    """
    values = []
    for found in results["seeds"].values():
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            return None
        values.append(found[0] if isinstance(found, list) else found)
    mean = min(max(sum(values) / len(values), min(values)), max(values))        # rounding may not push it outside
    return Interval(mean, min(values), max(values))
