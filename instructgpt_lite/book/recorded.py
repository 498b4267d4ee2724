"""Numbers that took too long for a chapter: what a command wrote to results/, wherever the package runs.

The folder lies beside the package in a checkout; an installed package (Colab's) has its copy among the data files
of the environment (pyproject.toml, data-files).
"""

import json
import sysconfig
from pathlib import Path

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
