"""What a run leaves on disk, written and read back. Reading needs no torch.

    config.json     what was asked for      models/         one folder a model
    metrics.jsonl   one row a step          data/           rankings, best of n (JSONL)
    stages.json     what is finished        labelers.json   how noisy they are
    checkpoints/    where to go on from     samples.json, evaluation.json, report.html
    data.sha256     of what people made, where a run has its data from them

stages.json holds, for each stage in order, its title and, once it is finished, the
CPU-seconds it took, the sha256 of every file it made, and of what it was made of. What
was saved is trusted only while these are right.
"""

import hashlib
import json
import shlex
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from instructgpt_lite.config import Run
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.files import digests, read_metrics, replacing, write_json

BASES = Path(__file__).parent.parent / "bases"    # models that come with the package
FACTS = json.loads((Path(__file__).parent / "known.json").read_bytes())
CARD = "README.md"                                # of a model (card.py), free to edit
MADE = {"collect": ["labelers.json"],             # beside models/STAGE, data/STAGE
        "evaluate": ["samples.json", "evaluation.json"]}


class Damaged(ValueError):
    """A file is not what was saved; the message says which, and the way out."""


class RunFolder:
    """A folder with a run in it. Of what is not there yet, reading gives nothing."""

    shared = Path()                               # of process 0, of several
    speakers = ("base", "sft", "ppo_ptx")         # whose answers are shown side by side

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def read(cls, path: str | Path) -> "RunFolder":
        """ValueError where there is no run."""
        folder = cls(path)
        if not (folder.path / "config.json").is_file():
            raise ValueError(f"{path}: no config.json, so no run. Name a run directory "
                             f"or make one with\n  {starting(folder.path)}")
        return folder

    def json(self, name: str, otherwise: Any = None) -> Any:
        """What a file says, or `otherwise`; Damaged where it is no JSON of its type."""
        path = self.path / name
        try:
            found = json.loads(path.read_bytes()) if path.exists() else otherwise
            if otherwise is not None and type(found) is not type(otherwise):
                raise ValueError(f"got a {type(found).__name__}")
        except ValueError as error:
            raise Damaged(
                f"{path} is not JSON of a run ({error}): remove it, and run with --out "
                f"{self.path} once more, which makes it again") from error
        return found

    # Reading

    @property
    def config(self) -> dict[str, Any]:
        """What was asked for, as JSON has it."""
        return self.json("config.json", {})

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """The record of each stage, in order."""
        return self.json("stages.json", {})

    @property
    def seconds(self) -> dict[str, float]:
        """CPU-seconds of each finished stage."""
        return {name: record["seconds"] for name, record in self.stages.items()
                if "seconds" in record}

    @property
    def missing(self) -> list[str]:
        """Titles of the stages that are not finished."""
        return [record["title"] for record in self.stages.values()
                if "seconds" not in record] or ([] if self.stages else ["everything"])

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        return read_metrics(path) if path.exists() else []

    def records(self, stage: str, kind: type) -> list:
        """What a stage has written as JSONL; Damaged where it is not what was saved."""
        self.check(stage)
        return [record for path in sorted(self.path.glob(f"data/{stage}/*.jsonl"))
                for record in read_jsonl(path, kind, allow_empty=True)]

    def model(self, name: str) -> Path:
        """Folder of the model of a stage; Damaged if it is not what was saved."""
        self.check(name)
        return self.path / "models" / name

    def parameters(self) -> int:
        """Weights of the base model, by the size of its file; 0 if there is none."""
        path = self.path / "models" / "base" / "model.safetensors"
        if not path.exists():
            return 0
        with path.open("rb") as file:
            header = 8 + int.from_bytes(file.read(8), "little")
        return (path.stat().st_size - header) // 4       # float32

    # Trust

    def check(self, stage: str) -> None:
        """Damaged, unless every file that a stage has made is what was saved."""
        damage = self.damage(stage)
        if damage:
            raise Damaged(f"{damage}: run with --out {self.path} once more, which "
                          "makes it again")

    def files(self, stage: str) -> dict[str, str]:
        """The sha256 of each file that a stage has made, as it is now."""
        names = [f"models/{stage}", f"data/{stage}", *MADE.get(stage, [])]
        return {name: digest for each in names
                for name, digest in digests(self.path / each, self.path).items()
                if Path(name).name != CARD}

    def damage(self, stage: str) -> str:
        """Which file of a stage is not what was saved; nothing where all are."""
        saved = self.stages.get(stage, {}).get("files", {})
        if not saved:
            return f"{self.path}: {stage} has saved nothing yet"
        wrong = saved.items() ^ self.files(stage).items()
        return f"{self.path / min(wrong)[0]} is not what was saved" if wrong else ""

    def is_done(self, stage: str, needs: Sequence[str]) -> bool:
        """Whether a stage is finished, and what it made is whole; warns if not."""
        record = self.stages[stage]
        if "seconds" not in record:
            return False
        reason = self.damage(stage)
        if not reason and record.get("made_of") != self.digest_of(needs):
            reason = f"{self.path}: another model is there than {stage} was made of"
        if reason:
            warnings.warn(f"{reason}: {record['title']} is made again", stacklevel=2)
            shutil.rmtree(self.path / "data" / stage, ignore_errors=True)
            self.record(stage, {"title": record["title"]})
        return not reason

    def digest_of(self, stages: Sequence[str]) -> str:
        """One sha256 of all files that these stages made."""
        files = [sorted(self.stages[stage]["files"].items()) for stage in stages]
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    # Writing

    def settle(self, config: Run, titles: dict[str, str]) -> None:
        """Begin a run of these stages, or go on with one that has done a step.

        ValueError names each field of another configuration; hardware may differ.
        """
        (self.path / "models").mkdir(exist_ok=True)
        new = self.stages and not self.seconds and not self.rows()
        here, there = flat(config), {} if new else flat(self.config)
        changed = [f"{name} is {here.get(name)!r} here and {there.get(name)!r} there"
                   for name in here | there if here.get(name) != there.get(name)
                   and not name.startswith("hardware.")]
        if there and changed:
            raise ValueError(f"{self.path} holds a run of another configuration: "
                             f"{'; '.join(changed)}. Give the same values to go on "
                             "with it, or another folder for a new run")
        write_json(self.path / "config.json", asdict(config))
        for name, title in titles.items():
            self.record(name, self.stages.get(name, {}) | {"title": title})

    def record(self, stage: str, record: dict[str, Any]) -> None:
        """Write what stages.json says of a stage."""
        write_json(self.path / "stages.json", self.stages | {stage: record})

    def save(self, stage: str, model: Any) -> None:
        """Write the policy or reward model of a stage; OSError says what it needs."""
        needs = sum(p.nbytes for p in model.parameters())
        with replacing(self.path / "models" / stage, needs) as temporary:
            model.save(temporary)

    def finish(self, stage: str, seconds: float, needs: Sequence[str],
               memory: int = 0, planned: list[float] | None = None) -> None:
        """Put on record that a stage is finished, what it made, what of, what it took.

        memory: bytes. planned: bytes and seconds, where `plan` knows model and card.
        """
        done = {"seconds": round(seconds, 1), "made_of": self.digest_of(needs),
                "files": self.files(stage), "memory": memory, "planned": planned}
        self.record(stage, self.stages[stage] | done)
        shutil.rmtree(self.path / "checkpoints" / stage, ignore_errors=True)


def made_by(config: Run) -> dict[str, Any]:
    """What a base model depends on, as JSON has it."""
    return {"architecture": asdict(config.architecture),
            "pretrain": asdict(config.pretrain), "world": config.world}


def check_model(path: Path) -> None:
    """Damaged, if the model there belongs to a run and is not what the run saved."""
    folder = RunFolder(path.absolute().parent.parent)
    if path.absolute().parent.name == "models" and path.name in folder.stages:
        folder.check(path.name)


def shipped_base(config: Run) -> Path | None:
    """The base model of the package, where it is the one that is asked for.

    made_by.json there has what it depends on, and the sha256 of each file. Warns where
    it is damaged: then a run makes its own.
    """
    folder = BASES / config.preset
    if not folder.exists():
        return None
    said = json.loads((folder / "made_by.json").read_bytes())
    files = said.pop("files")
    if said != made_by(config):
        return None
    wrong = files.items() - digests(folder, folder).items()
    if wrong:
        warnings.warn(f"{folder / min(wrong)[0]} is not what the package came with: "
                      "this run makes its own base model", stacklevel=2)
    return None if wrong else folder


def starting(path: Path) -> str:
    """The command line that makes a run there."""
    out = shlex.quote(str(path))
    return f"python -m instructgpt_lite run --preset tiny --out {out}"


def flat(config: Run | dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """stage.field: value, as JSON has it."""
    fields = {}
    for name, value in (asdict(config) if isinstance(config, Run) else config).items():
        if isinstance(value, dict):
            fields |= flat(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = list(value) if isinstance(value, tuple) else value
    return fields
