"""The page of a run: one file that asks for no other and for no network.

It shows what was said before and after, how good that is, and how it came about. Of an
unfinished run it shows what is there, and says what is still to do.
"""

import math
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from instructgpt_lite.config import Run
from instructgpt_lite.files import write_bytes
from instructgpt_lite.judging.intervals import Interval
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.report import figures
from instructgpt_lite.report.text import percent, printable, setting, with_margin
from instructgpt_lite.run.folder import RunFolder, flat
from instructgpt_lite.world.examples import twenty
from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold

MEASURES = {                          # title, meaning, axis, dotted line
    "gold": ("Gold score", "of the exact judge; 1 is a perfect answer", (0, 1), None),
    "gold_win": ("Win rate over SFT, by gold score", "ties count half; dotted: even",
                 (0, 1), 0.5),
    "labeler_win": ("Win rate over SFT, by held-out labelers",
                    "nobody trained on them; dotted: even", (0, 1), 0.5),
    "own_labeler_win": ("Win rate over SFT, by training labelers",
                        "who ranked; dotted: even", (0, 1), 0.5),
    "misled": ("Misled", "share of answers with a false statement; lower is better",
               (0, 0.01), None),
    "rude": ("Rude", "share of answers with a rude remark; lower is better",
             (0, 0.01), None),
    "lexicon": ("Lexicon", "VADER's score of a text, -1 to 1: an instrument", (), 0.0),
    "positive": ("Positive", "share of answers that the lexicon finds so", (0, 1), 0.5),
    "judge": ("Second reward model", "of other texts; in SFT's standard deviations "
              "above its mean", (), 0.0),
    "judge_win": ("Win rate over SFT, by the second reward model",
                  "ties count half; dotted: even", (0, 1), 0.5),
    "pretraining_loss": ("Pretraining loss", "nats per token of fresh text; its rise "
                         "is the alignment tax", (), None),
    "kl": ("KL from the RL start", "nats per answer", (), None),
    "base_loss": ("Surprise of the base", "nats per token of the answers, by the "
                  "untouched base: fluency", (), None),
    "length": ("Length", "tokens of an answer", (), None),
}
JUDGES = {"gold_win": "by the gold score",
          "labeler_win": "by labelers nobody trained on",
          "judge_win": "by a reward model that learned from other texts"}
RL = ("ppo", "ppo_ptx")
CURVES = {                            # what a step is; stages, metric, title, unit
    "The base model": ("steps", [(("base",), "loss", "Loss", "nats per token")]),
    "Step 1: supervised fine-tuning": ("steps", [
        (("sft",), "loss", "SFT: loss on demonstrations", "nats per token"),
        (("rl_init",), "loss", "RL start: loss on demonstrations", "nats per token"),
        (("rl_init",), "ptx_loss", "RL start: loss on pretraining text",
         "nats per token")]),
    "Step 2: the reward model": ("steps", [
        (("reward",), "loss", "Loss, eq. (1)", "nats per comparison"),
        (("reward",), "accuracy", "Pairs ordered as the labeler did", "share")]),
    "Step 3: reinforcement learning": ("iterations", [
        (RL, "score", "Reward model score", "demonstrations have 0"),
        (RL, "kl", "KL from the RL start", "nats per answer"),
        (("ppo_ptx",), "ptx_loss", "PPO-ptx: loss on pretraining text",
         "nats per token"),
        (RL, "length", "Length of answers", "tokens"),
        (RL, "ended", "Answers that end", "share"),
        (RL, "surprise", "Surprise at its own words", "nats per token")]),
}
PEOPLE = {"agreement": "two training labelers",
          "agreement with held-out": "a training and a held-out one"}
IN_TERMINAL = {"gold": "gold", "gold_win": "win, gold", "labeler_win": "win, people",
               "misled": "misled", "rude": "rude", "lexicon": "lexicon",
               "positive": "positive", "judge": "judge, sd", "judge_win": "win, judge",
               "kl": "KL", "pretraining_loss": "text loss"}
LEGEND_GOLD = [
    "mean ± half its 95 % interval; win: rate over SFT, by gold score and by",
    "held-out labelers, ties half; misled, rude: shares of answers; text",
    "loss: nats per token"]
LEGEND_GIVEN = [
    "mean ± half its 95 % interval; judge: a reward model of other texts, in",
    "SFT's standard deviations; win: rate over SFT, ties half; KL: nats per",
    "answer; text loss: nats per token"]
COLUMNS = 6                           # of these, that fit a terminal


def write(path: str | Path) -> Path:
    """Make report.html in a run directory; its path. ValueError without a run."""
    folder = RunFolder.read(path)
    pages = Environment(loader=PackageLoader("instructgpt_lite", "report"),
                        autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                        lstrip_blocks=True, finalize=safe)
    pages.filters["percent"] = percent
    page = pages.get_template("page.html").render(
        config=folder.config, missing=folder.missing, seconds=folder.seconds,
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
    return printable(value) if type(value) is str else value


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
    title, _, reach, mark = MEASURES[measure]
    rows = {names[name]: found[name][measure] for name in folder.speakers}
    figure = figures.whiskers(rows, f"{title}, before and after", reach, mark)
    return {"title": f"{title}, before and after", "figure": figure,
            "meaning": "of answers to held-out prompts, with 95 % intervals"}


def wins(folder: RunFolder) -> list[tuple[list[float], str]]:
    """How often PPO-ptx wins against SFT, and by whose judgement."""
    row = evaluation(folder).get("policies", {}).get("ppo_ptx", {})
    return [(row[name], by) for name, by in JUDGES.items() if name in row]


def known(folder: RunFolder) -> dict[str, str]:
    """What a source told of its data, such as how many rows it left out, and why."""
    told = flat(folder.json("labelers.json", {})) if folder.config.get("data") else {}
    return {name.replace(".", ", "): f"{value:,}" for name, value in told.items()}


def cases(folder: RunFolder) -> dict[str, list[dict[str, Any]]]:
    """Samples by use case, in the order of the held-out prompts."""
    found = defaultdict(list)
    for sample in folder.json("samples.json", []):
        found[sample["category"]].append(sample)
    return found


def measures(folder: RunFolder) -> list[dict[str, Any]]:
    """Every policy by every measure: a figure, and a row of numbers for each."""
    found, names, drawn = evaluation(folder).get("policies", {}), titles(folder), []
    for measure, (title, meaning, reach, mark) in MEASURES.items():
        rows = {names[name]: row[measure] for name, row in found.items()
                if measure in row}
        if rows:
            drawn.append(panel(title, meaning, rows, reach, mark))
    return drawn


def panel(title: str, meaning: str, rows: dict[str, list[float]],
          reach: tuple[float, ...] = (0.5, 1),
          mark: float | None = 0.5) -> dict[str, Any]:
    """A figure with its title and numbers."""
    return {"title": title, "meaning": meaning,
            "figure": figures.whiskers(rows, f"{title}, {meaning}", reach, mark),
            "numbers": {name: written(row) for name, row in rows.items()}}


def written(row: list[float]) -> str:
    """A mean with its interval, if it has one."""
    return str(Interval(*row)) if row[1] < row[2] else f"{row[0]:.3f}"


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
    for name, who in PEOPLE.items():
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
    for part, (unit, panels) in CURVES.items():
        drawn = []
        for stages, metric, title, measure in panels:
            series = {names.get(stage, stage): lines[stage, metric]
                      for stage in stages if lines[stage, metric]}
            if series:
                figure = figures.curves(series, f"{title}, {measure}", unit)
                drawn.append({"title": title, "meaning": measure, "figure": figure})
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
            preset = setting(usual) if here != usual else ""
            stages[stage].append((field, setting(default), setting(here), preset))
    return stages


def command(folder: RunFolder) -> str:
    """The command line that made a run and goes on with it."""
    words = ["python", "-m", "instructgpt_lite", "run",
             "--preset", folder.config["preset"]]
    for name, _, usual, here in fields(folder):
        if here != usual and name != "preset":
            words += flag(name, here)
    return shlex.join([*words, "--out", str(folder.path)])


def flag(name: str, value: Any) -> list[str]:
    """A field as the command line takes it."""
    stage, _, field = name.replace("_", "-").rpartition(".")
    dotted = f"--{stage}." if stage else "--"
    if isinstance(value, bool):
        return [f"{dotted}{'' if value else 'no-'}{field}"]
    return [dotted + field, *map(str, value if isinstance(value, list) else [value])]


def table(path: str | Path) -> str:
    """Policies and the reward model in 80 columns; or how far the run has come."""
    folder = RunFolder.read(path)
    found, names = evaluation(folder), titles(folder)
    if not found:
        done = ", ".join(names[stage] for stage in folder.seconds) or "nothing"
        return (f"{path}: no evaluation yet (done: {done}). Go on with\n"
                f"  {command(folder)}")
    measured = found["policies"]["sft"]
    shown = [name for name in IN_TERMINAL if name in measured]
    shown = [*shown[:COLUMNS - 1], "pretraining_loss"]
    told = [" " * 8 + "".join(f"{IN_TERMINAL[name]:>12}" for name in shown)]
    for name, row in found["policies"].items():
        cells = (with_margin(row[each]) if each in row else "" for each in shown)
        told.append(f"{names[name]:8}" + "".join(f"{cell:>12}" for cell in cells))
    told += LEGEND_GOLD if "gold" in measured else LEGEND_GIVEN
    told += [f"reward model, {name}: {with_margin(row)}"
             for name, row in sorted(found["reward"].items())
             if not name.startswith("gold order, ") or name == "gold order, all"]
    return "\n".join(told)
