"""The parts of the page that are numbers: means with their intervals, and the curves of every stage."""

import math

from instructgpt_lite.report import svg
from instructgpt_lite.report.words import section, text
from instructgpt_lite.story import POLICIES, STAGES, Story

METRICS = {                           # title, meaning, what the axis must reach, where the dashed line is
    "gold": ("Gold score", "of the exact judge; 1 is a perfect answer", (0, 1), None),
    "gold_win": ("Win rate over SFT, by gold score", "ties count half; dashed: even", (0, 1), 0.5),
    "labeler_win": ("Win rate over SFT, by held-out labelers", "nobody trained on them; dashed: even",
                    (0, 1), 0.5),
    "own_labeler_win": ("Win rate over SFT, by training labelers", "who ranked; dashed: even", (0, 1), 0.5),
    "misled": ("Misled", "share of answers with a false statement; lower is better", (0, 0.01), None),
    "rude": ("Rude", "share of answers with a rude remark; lower is better", (0, 0.01), None),
    "pretraining_loss": ("Pretraining loss", "nats per token of fresh text; its rise is the alignment tax",
                         (), None),
}
AGREEMENT = {"agreement": "two training labelers", "agreement with held-out": "a training and a held-out one"}
RL = ("ppo", "ppo_ptx")
CURVES = {                            # what a step is; and the stages, metric, title and unit of each panel
    "The base model": ("steps", [(("base",), "loss", "Loss", "nats per token")]),
    "Step 1: supervised fine-tuning": ("steps", [
        (("sft",), "loss", "SFT: loss on demonstrations", "nats per token"),
        (("rl_init",), "loss", "RL start: loss on demonstrations", "nats per token"),
        (("rl_init",), "ptx_loss", "RL start: loss on pretraining text", "nats per token")]),
    "Step 2: the reward model": ("steps", [
        (("reward",), "loss", "Loss, eq. (1)", "nats per comparison"),
        (("reward",), "accuracy", "Pairs ordered as the labeler did", "share")]),
    "Step 3: reinforcement learning": ("iterations", [
        (RL, "score", "Reward model score", "demonstrations have 0"),
        (RL, "kl", "KL from the RL start", "nats per answer"),
        (("ppo_ptx",), "ptx_loss", "PPO-ptx: loss on pretraining text", "nats per token"),
        (RL, "length", "Length of answers", "tokens"),
        (RL, "ended", "Answers that end", "share"),
        (RL, "surprise", "Surprise at its own words", "nats per token")]),
}


def dots(title: str, meaning: str, rows: dict[str, list[float]], reach=(), mark: float | None = None) -> str:
    """A table of (mean, low, high), drawn on one axis; where the interval has no width, only the mean."""
    values = [value for interval in rows.values() for value in interval] + list(reach)
    marks = svg.ticks(min(values), max(values), 4)
    low, high = marks[0], marks[-1]
    body = []
    for name, (mean, start, end) in rows.items():
        interval = f" <small>{start:.3f} to {end:.3f}</small>" if start < end else ""
        drawn = svg.whisker((mean, start, end), low, high, mark)
        head = f'<th scope="row">{text(name)}</th>'
        body.append(f"<tr>{head}<td>{drawn}</td><td>{mean:.3f}{interval}</td></tr>")
    return "\n".join([
        f'<table class="dots">\n<caption>{text(title)} <small>{text(meaning)}</small></caption>',
        '<thead class="heard"><tr><th scope="col">Name</th><th scope="col">Drawn</th>'
        '<th scope="col">Mean, and its 95 % interval</th></tr></thead>', "<tbody>", *body, "</tbody>",
        f'<tfoot aria-hidden="true"><tr><td></td><td>{svg.axis(marks)}</td><td></td></tr></tfoot>',
        "</table>"])


def panels(*drawn: str, kind: str = "tables") -> str:
    return f'<div class="{kind}">\n' + "\n".join(drawn) + "\n</div>"


def policies(story: Story) -> str:
    """Every policy by every measure, a table for each measure."""
    found = story.evaluation.get("policies", {})
    drawn = []
    for metric in dict.fromkeys([*METRICS, *(metric for row in found.values() for metric in row)]):
        title, meaning, reach, mark = METRICS.get(metric, (metric, "", (), None))
        rows = {POLICIES.get(name, name): row[metric] for name, row in found.items() if metric in row}
        if rows:
            drawn.append(dots(title, meaning, rows, reach, mark))
    if not drawn:
        return section("How good it is", "<p>The policies will be compared here, after the evaluation.</p>")
    asked = f"{story.config['evaluate']['prompts']:,}"
    return section("How good it is", f"<p>{asked} held-out prompts. A dot is a mean, the line through it "
                   "its 95 % interval (bootstrap over prompts).</p>", panels(*drawn))


def reward_model(story: Story) -> str:
    """Whom the reward model agrees with, and whether it sees what is truly better."""
    found, people = story.evaluation.get("reward", {}), story.evaluation.get("labelers", {})
    if not found:
        return section("The reward model", "<p>Its accuracy will stand here, after the evaluation.</p>")
    gold = [name for name in found if name.startswith("gold order, ")]
    alike = {name.replace("accuracy", "RM"): row for name, row in found.items() if name not in gold}
    alike |= {label: [people[name]] * 3 for name, label in AGREEMENT.items() if name in people}
    tables = (("Who orders pairs alike", "share of pairs; RM is the reward model; dashed: chance", alike),
              ("The reward model and the gold score", "share of pairs ordered alike; dashed: chance",
               {name.removeprefix("gold order, "): found[name] for name in gold}))
    drawn = [dots(title, meaning, rows, (0.5, 1), 0.5) for title, meaning, rows in tables if rows]
    return section("The reward model", "<p>Pairs of answers to held-out prompts, "
                   "as labelers or the gold score order them.</p>", panels(*drawn))


def curves(story: Story) -> str:
    """The rows of metrics.jsonl, drawn stage by stage."""
    return section("How it came about", "<p>Long stages are drawn as means of neighbouring steps, "
                   "with the range of the steps as a band.</p>",
                   *(f"<h3>{title}</h3>\n{part(story, *what)}" for title, what in CURVES.items()))


def part(story: Story, unit: str, shown: list[tuple[tuple[str, ...], str, str, str]]) -> str:
    """The panels of one part of the training; a sentence where nothing has been logged."""
    drawn = []
    for names, metric, title, measure in shown:
        series = {STAGES[name]: points(story, name, metric) for name in names}
        series = {name: line for name, line in series.items() if line}
        if series:
            drawn.append(svg.curve(title, measure, series, unit))
    if drawn:
        return panels(*drawn, kind="curves")
    if shown[0][0][0] in story.seconds:
        return "<p>Not trained in this run: it came with the package.</p>"
    return "<p>Not begun yet.</p>"


def points(story: Story, name: str, metric: str) -> list[tuple[float, float]]:
    """(step, value) of a metric in a stage, where it is a finite number."""
    return [(row["step"], row[metric]) for row in story.rows
            if row["stage"] == name and math.isfinite(row.get(metric, math.nan))]
