"""The model card (README.md) in each model folder of a run, once it has been judged."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from instructgpt_lite.config import Run
from instructgpt_lite.files import write_bytes
from instructgpt_lite.run.folder import CARD, FACTS, RunFolder, flat

OF_OTHERS = ("not known to this package: ask its makers", "")
CARD_TEXT = (Path(__file__).parent / "card.md").read_text("utf-8")


def write_cards(folder: RunFolder, found: dict[str, Any]) -> None:
    """A card beside each finished model; found: as in evaluation.json.

    Cards are no part of what stages.json vouches for: they may be edited.
    """
    for name in folder.seconds:
        path = folder.path / "models" / name
        if path.is_dir():
            write_bytes(path / CARD, card(folder, name, found).encode())


def card(folder: RunFolder, name: str, found: dict[str, Any]) -> str:
    """The text of a card, its head in YAML as the Hub reads it."""
    config, record = folder.config, folder.stages[name]
    rows = found["policies"] | {"reward": found["reward"]}
    usual = flat(Run(preset=config["preset"]))
    taken = {field: f"{value} (licence: {licence})"
             for field, (value, licence, _) in sources(config).items()}
    return CARD_TEXT.format(
        head=head(config, name in ("reward", "judge")), title=record["title"],
        preset=config["preset"], name=name, version=version("instructgpt-lite"),
        base=taken.pop("base_model", "None: random weights, pretrained on the text of "
                       "the tiny world."),
        data=table(taken) or
            f"All of it made by code (MIT): the tiny world, number {config['world']}.",
        evaluation=table({what: "{:.4g} (95 % interval {:.4g} to {:.4g})".format(
            *interval) for what, interval in rows.get(name, {}).items()})
            or "Not measured.",
        seed=config["seed"],
        seeds=", ".join(f"{each} {value['seed']}" for each, value in config.items()
                        if isinstance(value, dict) and "seed" in value),
        departures=table({field: value for field, value in flat(config).items()
                          if value != usual.get(field)}),
        hardware=hardware(), seconds=table(folder.seconds),
        files=table({each.split("/")[-1]: digest
                     for each, digest in record["files"].items()}))


def head(config: dict[str, Any], scores: bool) -> str:
    """What the Hub sorts models by, as YAML; scores: whether it is a reward model."""
    found = sources(config)
    _, licence, model = found.pop("base_model", ("", "mit", ""))
    sets = [where for _, _, where in found.values() if where]
    lines = ["---", f"license: {'unknown' if licence == OF_OTHERS[0] else licence}",
             "library_name: transformers", "tags: [instructgpt-lite]",
             f"pipeline_tag: text-{'classification' if scores else 'generation'}"]
    lines += [f"base_model: {model}"] if model else []
    lines += [f"datasets: [{', '.join(sets)}]"] if sets else []
    return "\n".join([*lines, "---", ""])


def sources(config: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """What a run takes from others: its name, licence, and name on the Hub."""
    named = {"base_model": config.get("base_model")} | (config.get("data") or {})
    fields = ("base_model", "demonstrations", "rankings", "ratings", "text")
    known = FACTS["licences"]
    return {field: (named[field], *known.get(named[field].split("@")[0], OF_OTHERS))
            for field in fields if named.get(field)}


def table(rows: dict[str, Any]) -> str:
    """Two columns in Markdown; nothing where there are no rows."""
    lines = [f"| {name} | {value} |".replace("\n", "\\n")
             for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else ""


def hardware() -> str:
    """The machine, and the versions of what computes."""
    card = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return (f"{card}{os.cpu_count()} cores of {platform.machine()}, Python "
            f"{platform.python_version()}, torch {version('torch')}, transformers "
            f"{version('transformers')}")
