"""The whole of InstructGPT in order: stages, checkpoints, and a run directory that tells the story.

    folder/config.json     what was asked for        folder/models/      one Hugging Face folder per model
    folder/metrics.jsonl   one row a step            folder/rankings/    what labelers ranked (JSONL)
    folder/checkpoints/    where to go on from       folder/evaluation.json, samples.json, report.html

`run` yields the rows as they come. Stopped anywhere, even killed, and called again, it goes on from the
newest valid checkpoint and ends bit for bit where it would have ended (same machine, same threads).
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from instructgpt_lite.config import Run
from instructgpt_lite.files import Metrics, replacing, write_json
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.workshop import Workshop

BASES = Path(__file__).parent / "bases"
STAGES = ("base", "sft", "rl_init", "collect", "reward", "ppo", "ppo_ptx", "evaluate")


class Stopped(Exception):
    """The run was asked to stop, has saved where it is, and goes on when called again."""


def run(config: Run, folder: str | Path, stopping: Callable[[], bool] = lambda: False) -> Iterator[dict]:
    """Every stage that is not done yet; yields {"stage", "step", "steps", ...} rows as they are logged.

    stopping: asked after each step; when true, the state is saved and `Stopped` raised. ValueError when
    the folder holds a run of another configuration, BlockingIOError when another process is at it.
    """
    torch.set_num_threads(config.threads)
    folder = Path(folder)
    (folder / "models").mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(f"{folder}: another process is running in it; wait for it, "
                              "or name another folder") from None
    try:
        settle(config, folder)
        shop, log = Workshop(config, folder), Metrics(folder / "metrics.jsonl")
        for stage in STAGES:
            if stage not in done(folder):
                yield from advance(shop, stage, log, stopping)
    finally:
        lock.release()


def settle(config: Run, folder: Path) -> None:
    """Write config.json, or hold it against the one there; put the shipped base in place where it fits."""
    wanted, path = json.loads(json.dumps(asdict(config))), folder / "config.json"
    if path.exists():
        changed = list(differences(wanted, json.loads(path.read_text())))
        if changed:
            raise ValueError(f"{folder} holds a run of another configuration: {'; '.join(changed)}. "
                             "Give the same values to go on with it, or another folder for a new run")
    else:
        write_json(path, wanted)
    shipped = BASES / config.preset
    fits = shipped.exists() and json.loads((shipped / "made_by.json").read_text()) == made_by(config)
    if fits and "base" not in done(folder):
        shutil.copytree(shipped, folder / "models" / "base", dirs_exist_ok=True)
        finish(folder, "base", 0.0)


def made_by(config: Run) -> dict:
    """What a base model depends on."""
    return json.loads(json.dumps({"architecture": asdict(config.architecture), "pretrain": asdict(config.pretrain),
                                  "world": config.world}))


def differences(wanted: dict, there: dict, prefix: str = "") -> Iterator[str]:
    """field: wanted / there, of every field that differs."""
    for name in wanted.keys() | there.keys():
        mine, other = wanted.get(name), there.get(name)
        if isinstance(mine, dict) and isinstance(other, dict):
            yield from differences(mine, other, f"{prefix}{name}.")
        elif mine != other:
            yield f"{prefix}{name} is {mine!r} here and {other!r} there"


def done(folder: Path) -> dict[str, float]:
    """Finished stages and the CPU-seconds each took."""
    path = folder / "stages.json"
    return json.loads(path.read_text()) if path.exists() else {}


def finish(folder: Path, stage: str, seconds: float) -> None:
    write_json(folder / "stages.json", done(folder) | {stage: round(seconds, 1)})
    shutil.rmtree(folder / "checkpoints" / stage, ignore_errors=True)


def advance(shop: Workshop, stage: str, log: Metrics, stopping) -> Iterator[dict]:
    """One stage, from its newest valid checkpoint to its model in folder/models."""
    saves = shop.folder / "checkpoints" / stage
    resume = ResumeState.newest(saves)
    log.keep(stage, resume.step)
    began, saved = time.process_time() - resume.seconds, time.monotonic()
    model, rows = getattr(shop, f"stage_{stage}")(resume)
    for row in rows:
        row = {"stage": stage, **row}
        log.append(row)
        stop = stopping()
        if resume.step and (stop or time.monotonic() - saved > shop.config.checkpoint_every):
            resume.seconds = time.process_time() - began
            resume.save(saves)
            saved = time.monotonic()
        yield row
        if stop:
            raise Stopped(f"stopped in {stage} after step {resume.step}; the same command goes on from there")
    if model is not None:
        save_model(model, shop.model(stage))
    finish(shop.folder, stage, time.process_time() - began)


def save_model(model: Policy | ScalarModel, folder: Path) -> None:
    """A Hugging Face folder, whole or not there."""
    with replacing(folder, needs=sum(p.nbytes for p in model.parameters())) as temporary:
        model.save(temporary)
