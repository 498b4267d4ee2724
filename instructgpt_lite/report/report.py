"""The page of a run: one file that asks for no other and for no network.

It shows what was said before and after, how good that is, and how it came about. Of an
unfinished run it shows what is there, and says what is still to do.
"""

import json
import math
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from instructgpt_lite.config import Run
from instructgpt_lite.files import write_bytes
from instructgpt_lite.judging.intervals import Interval
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.report import figures, text
from instructgpt_lite.run.folder import RunFolder, flat
from instructgpt_lite.run.plan import GB
from instructgpt_lite.world.examples import twenty
from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold

WORDS = json.loads((Path(__file__).parent / "words.json").read_text("utf-8"))
COLUMNS = 6                           # of measures, that fit a terminal


def write(path: str | Path) -> Path:
    """Make report.html in a run directory; its path. ValueError without a run."""
    folder = RunFolder.read(path)
    pages = Environment(loader=PackageLoader("instructgpt_lite", "report"),
                        autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                        lstrip_blocks=True, finalize=safe)
    pages.filters["percent"] = text.percent
    page = pages.get_template("page.html").render(
        config=folder.config, missing=folder.missing,
        costs=costs(folder), seconds=sum(folder.seconds.values()),
        titles=titles(folder), parameters=folder.parameters(), speakers=folder.speakers,
        policies=evaluation(folder).get("policies", {}), gold=before_and_after(folder),
        cases=cases(folder), measures=measures(folder), reward=reward_model(folder),
        curves=curves(folder), wins=wins(folder), known=known(folder),
        headline=next(iter(evaluation(folder).get("policies", {}).get("sft", {})), ""),
        examples=[] if folder.config.get("data") else examples(folder.config["world"]),
        changed=changed(folder), count=len(fields(folder)), command=command(folder),
        folder=shlex.quote(str(path)))
    write_bytes(folder.path / "report.html", page.encode())
    return folder.path / "report.html"


def safe(value: Any) -> Any:
    """Text without control characters; the template escapes the rest."""
    return text.printable(value) if type(value) is str else value


def titles(folder: RunFolder) -> dict[str, str]:
    """What the stages and policies of a run are called."""
    stages = {name: record["title"] for name, record in folder.stages.items()}
    return {"few-shot": "Few-shot"} | stages


def evaluation(folder: RunFolder) -> dict[str, Any]:
    """evaluation.json, or nothing; Damaged where it is not what was saved."""
    if "evaluate" not in folder.seconds:
        return {}
    folder.check("evaluate")
    return folder.json("evaluation.json")


def before_and_after(folder: RunFolder) -> dict[str, Any]:
    """One picture of what the training is for."""
    found, names = evaluation(folder).get("policies"), titles(folder)
    if not found:
        return {}
    measure = next(iter(found["sft"]))           # the first is what counts
    about = WORDS["measures"][measure]
    title = f"{about['title']}, before and after"
    rows = {names[name]: found[name][measure] for name in folder.speakers}
    figure = figures.whiskers(rows, title, about["reach"], about["mark"])
    return {"title": title, "figure": figure,
            "meaning": "of answers to held-out prompts, with 95 % intervals"}


def wins(folder: RunFolder) -> list[tuple[list[float], str]]:
    """How often PPO-ptx wins against SFT, and by whose judgement."""
    row = evaluation(folder).get("policies", {}).get("ppo_ptx", {})
    return [(row[name], by) for name, by in WORDS["judges"].items() if name in row]


def known(folder: RunFolder) -> dict[str, str]:
    """What a source told of its data, such as how many rows it left out, and why."""
    told = flat(folder.json("labelers.json", {})) if folder.config.get("data") else {}
    return {name.replace(".", ", "): f"{value:,}" for name, value in told.items()}


def costs(folder: RunFolder) -> dict[str, list[str]]:
    """CPU-seconds and GB of each finished stage, and of both what was planned."""
    rows = {}
    for name, took in folder.seconds.items():
        record = folder.stages[name]
        room, time = record.get("planned") or (0, None)
        sizes = (f"{size / GB:.2f}" if size else ""
                 for size in (record.get("memory"), room))
        rows[name] = [f"{took:,.1f}", "" if time is None else f"{time:,.1f}", *sizes]
    return rows


def cases(folder: RunFolder) -> dict[str, list[dict[str, Any]]]:
    """Samples by use case, in the order of the held-out prompts."""
    found = defaultdict(list)
    for sample in folder.json("samples.json", []):
        found[sample["category"]].append(sample)
    return found


def measures(folder: RunFolder) -> list[dict[str, Any]]:
    """Every policy by every measure: a figure, and a row of numbers for each."""
    found, names, drawn = evaluation(folder).get("policies", {}), titles(folder), []
    for measure, about in WORDS["measures"].items():
        rows = {names[name]: row[measure] for name, row in found.items()
                if measure in row}
        if rows:
            drawn.append(panel(rows=rows, **about))
    return drawn


def panel(title: str, meaning: str, rows: dict[str, list[float]],
          reach: Sequence[float] = (0.5, 1),
          mark: float | None = 0.5) -> dict[str, Any]:
    """A figure with its title and numbers."""
    return {"title": title, "meaning": meaning,
            "figure": figures.whiskers(rows, f"{title}, {meaning}", reach, mark),
            "numbers": {name: written(row) for name, row in rows.items()}}


def written(row: list[float]) -> str:
    """A mean with its interval, if it has one."""
    return str(Interval(*row)) if row[1] < row[2] else f"{row[0]:z.3f}"


def reward_model(folder: RunFolder) -> list[dict[str, Any]]:
    """Whom the reward model agrees with, and whether it sees what is truly better."""
    found = evaluation(folder)
    if not found:
        return []
    people, alike, gold = found["labelers"], {}, {}
    for name, row in found["reward"].items():
        if name.startswith("gold order, "):
            gold[name.removeprefix("gold order, ")] = row
        else:
            alike[name.replace("accuracy", "RM")] = row
    for name, who in WORDS["people"].items():
        if name in people:
            alike[who] = [people[name]] * 3
    drawn = [panel("Who orders pairs alike", "share of pairs; RM is the reward model; "
                   "dotted: chance", alike)]
    if gold:
        drawn.append(panel("The reward model and the gold score", "share of pairs "
                           "ordered alike; dotted: chance", gold))
    return drawn


def curves(folder: RunFolder) -> list[tuple[str, list[dict[str, Any]]]]:
    """The rows of metrics.jsonl, part by part; a part without rows has no figure."""
    lines: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in folder.rows():
        for metric, value in row.items():
            if isinstance(value, int | float) and math.isfinite(value):
                lines[row["stage"], metric].append((row["step"], value))
    names, parts = titles(folder), []
    for part, about in WORDS["curves"].items():
        drawn = []
        for each in about["panels"]:
            metric, title, unit = each["metric"], each["title"], each["measure"]
            series = {names.get(stage, stage): lines[stage, metric]
                      for stage in each["stages"] if lines[stage, metric]}
            if series:
                figure = figures.curves(series, f"{title}, {unit}", about["unit"])
                drawn.append({"title": title, "meaning": unit, "figure": figure})
        parts.append((part, drawn))
    return parts


def examples(world: int) -> list[tuple[str, str, str]]:
    """Twenty responses and their gold scores, so that a reader can judge the judge."""
    facts = draw_facts(world)
    gold = Gold(facts)
    return [(prompt.prompt, response, f"{gold(prompt, response).gold:.2f}")
            for prompt, response in twenty(facts)]


def fields(folder: RunFolder) -> list[tuple[str, Any, Any, Any]]:
    """Of each field the dotted name, the default, the preset's value and this run's."""
    here = flat(folder.config)
    default, usual = flat(Run("")), flat(PRESETS.get(folder.config["preset"], here))
    return [(name, default.get(name), usual.get(name), value)
            for name, value in here.items()]


def changed(folder: RunFolder) -> dict[str, list[tuple[str, str, str, str]]]:
    """Field, default, this run's value, and the preset's where that is another."""
    stages = defaultdict(list)
    for name, default, usual, here in fields(folder):
        stage, _, field = name.partition(".")
        if field and here != default:
            preset = text.setting(usual) if here != usual else ""
            stages[stage].append((field, *map(text.setting, (default, here)), preset))
    return stages


def command(folder: RunFolder) -> str:
    """The command line that made a run and goes on with it."""
    words = ["python", "-m", "instructgpt_lite", "run",
             "--preset", folder.config["preset"]]
    for name, _, usual, here in fields(folder):
        if here != usual and name != "preset":
            words += text.flag(name, here)
    return shlex.join([*words, "--out", str(folder.path)])


def table(path: str | Path) -> str:
    """Policies and the reward model in 80 columns; or how far the run has come."""
    folder = RunFolder.read(path)
    found, names = evaluation(folder), titles(folder)
    if not found:
        done = ", ".join(names[stage] for stage in folder.seconds) or "nothing"
        return (f"{path}: no evaluation yet (done: {done}). Go on with\n"
                f"  {command(folder)}")
    measured = found["policies"]["sft"]
    columns = WORDS["terminal"]
    *shown, last = (name for name in columns if name in measured)
    shown = [*shown[:COLUMNS - 1], last]
    told = [" " * 8 + "".join(f"{columns[name]:>12}" for name in shown)]
    for name, row in found["policies"].items():
        cells = (text.with_margin(row[each]) if each in row else "" for each in shown)
        told.append(f"{names[name]:8}" + "".join(f"{cell:>12}" for cell in cells))
    told += WORDS["legend with gold" if "gold" in measured else "legend without"]
    told += [f"reward model, {name}: {text.with_margin(row)}"
             for name, row in sorted(found["reward"].items())
             if not name.startswith("gold order, ") or name == "gold order, all"]
    return "\n".join(told)
