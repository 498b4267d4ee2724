"""What a run directory tells: the files `run` leaves there, read as far as they exist.

Nothing here needs torch, so that a page or a table of a run costs no more than reading it.
"""

import json
import shlex
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from instructgpt_lite.config import Run
from instructgpt_lite.files import read_metrics
from instructgpt_lite.presets import PRESETS

STAGES = {"base": "Base model", "sft": "SFT", "rl_init": "RL start", "collect": "Rankings",
          "reward": "Reward model", "ppo": "PPO", "ppo_ptx": "PPO-ptx", "evaluate": "Evaluation"}
POLICIES = {"base": "Base", "few-shot": "Few-shot", "sft": "SFT", "rl_init": "RL start", "ppo": "PPO",
            "ppo_ptx": "PPO-ptx"}
SPEAKERS = ("base", "sft", "ppo_ptx")    # whose answers are shown side by side


@dataclass(frozen=True)
class Story:
    """A run directory. What is not there yet is empty."""

    folder: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]           # of metrics.jsonl
    seconds: dict[str, float]            # finished stages, CPU-seconds of each
    samples: list[dict[str, Any]]
    evaluation: dict[str, Any]

    @classmethod
    def read(cls, folder: str | Path) -> "Story":
        """ValueError where there is no run."""
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise ValueError(f"{folder}: no config.json, so no run. Name a run directory, or make one with\n"
                             f"  {starting(folder)}")

        def part(name: str, empty):
            path = folder / name
            return json.loads(path.read_text()) if path.exists() else empty

        log = folder / "metrics.jsonl"
        return cls(folder, part("config.json", {}), read_metrics(log) if log.exists() else [],
                   part("stages.json", {}), part("samples.json", []), part("evaluation.json", {}))

    @property
    def missing(self) -> list[str]:
        """Stages that are not finished, in order."""
        return [stage for stage in STAGES if stage not in self.seconds]

    @property
    def command(self) -> str:
        """The command line that made this run and goes on with it."""
        words = ["python", "-m", "instructgpt_lite", "run", "--preset", self.config["preset"]]
        for name, _, preset, here in self.fields():
            if here != preset and name != "preset":
                words += flag(name, here)
        return shlex.join([*words, "--out", str(self.folder)])

    def fields(self) -> list[tuple[str, Any, Any, Any]]:
        """Every field: its name with dots, the paper's value, the preset's, and this run's."""
        preset = PRESETS.get(self.config["preset"])
        paper, usual, here = flat(Run("")), flat(preset) if preset else {}, flat(self.config)
        return [(name, paper.get(name), usual.get(name, value), value) for name, value in here.items()]

    def parameters(self) -> int:
        """Weights of the base model, from the header of its file; 0 before there is one."""
        path = self.folder / "models" / "base" / "model.safetensors"
        if not path.exists():
            return 0
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        sizes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
        return sum(map(prod, sizes))


def starting(folder: Path) -> str:
    """The command line that makes a run there."""
    return f"python -m instructgpt_lite run --preset tiny --out {shlex.quote(str(folder))}"


def flat(config: Run | dict, prefix: str = "") -> dict[str, Any]:
    """stage.field: value, as JSON has it."""
    fields = {}
    for name, value in (asdict(config) if isinstance(config, Run) else config).items():
        if isinstance(value, dict):
            fields |= flat(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = list(value) if isinstance(value, tuple) else value
    return fields


def flag(name: str, value: Any) -> list[str]:
    """A field as the command line takes it."""
    stage, _, field = name.replace("_", "-").rpartition(".")
    dotted = f"--{stage}." if stage else "--"
    if isinstance(value, bool):
        return [f"{dotted}{'' if value else 'no-'}{field}"]
    return [dotted + field, *map(str, value if isinstance(value, list) else [value])]
