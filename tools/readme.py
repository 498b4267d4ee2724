"""Keep the front pages honest: numbers and samples come from results/, the file tree from the docstrings.

    python tools/readme.py            fill the marked parts of the pages (PAGES, below)
    python tools/readme.py --check    exit with 1 if they are not what they would be
"""

import ast
import json
import sys
from math import prod
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODELS = {"base": "base", "few-shot": "base, few-shot prompt", "sft": "SFT", "rl_init": "start of RL",
          "best_of_n": "SFT on best of 4", "ppo": "PPO", "ppo_ptx": "PPO-ptx"}
COLUMNS = {"gold": "gold score", "gold_win": "wins (gold)", "labeler_win": "wins (held-out labelers)",
           "rude": "rude", "pretraining_loss": "pretraining loss"}
NARROW = {"gold": "gold", "labeler_win": "wins", "rude": "rude", "pretraining_loss": "loss"}
SPEAKERS = {"base": "base", "sft": "SFT", "ppo_ptx": "PPO-ptx"}
CARDS = 4                           # use cases that are shown at once; the rest is folded away


def results(preset: str) -> dict:
    return json.loads((ROOT / "results" / f"{preset}.json").read_text())


def table() -> str:
    """Means of the seeds of results/tiny.json, one row a model."""
    found = results("tiny")["summary"]
    lines = ["| model | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, title in MODELS.items():
        cells = [found.get(f"policies / {name} / {what}") for what in COLUMNS]
        lines.append(f"| {title} | " + " | ".join(f"{cell['mean']:.3f}" if cell else "" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def tree() -> str:
    """Every module and the first sentence of its docstring."""
    lines = []
    for path in sorted((ROOT / "instructgpt_lite").rglob("*.py")):
        if text := ast.get_docstring(ast.parse(path.read_text())):
            first = text.split("\n\n")[0].replace("\n", " ").removeprefix("The command line: ")
            lines.append(f"    {str(path.relative_to(ROOT)):<44}{first}")
    return "\n".join(lines) + "\n"


def ranges() -> str:
    """The table of the front page: mean of the seeds, with the lowest and the highest."""
    found = results("tiny")
    lines = ["| model | " + " | ".join(NARROW.values()) + " |", "|---" + "|---:" * len(NARROW) + "|"]
    for name, title in MODELS.items():
        cells = [found["summary"].get(f"policies / {name} / {what}") for what in NARROW]
        lines.append(f"| {title.removeprefix('base, ')} | " + " | ".join(map(spread, cells)) + " |")
    seeds, prompts = ", ".join(found["seeds"]), found["config"]["evaluate"]["prompts"]
    return "\n".join(lines) + (
        f"\n\nPreset `{found['config']['preset']}`, seeds {seeds}, {prompts:,} held-out prompts: mean, and below it "
        "the lowest and the highest of the seeds. Gold is the gold score, wins the win rate over SFT before labelers "
        "whom no model was trained on, rude the share of rude answers, loss the pretraining loss in nats a token. "
        f"Made by `{found['command']}` at commit `{found['commit'][:7]}`.\n")


def spread(cell: dict | None) -> str:
    """0.65 and, in a line below, 0.64–0.66."""
    if not cell:
        return ""
    mean, low, high = (f"{cell[each]:.2f}" for each in ("mean", "lowest", "highest"))
    return mean if low == high else f"{mean}<br><small>{low}–{high}</small>"


def samples() -> str:
    """Before and after, on the first held-out prompt of every use case."""
    each = results("tiny")["samples"]
    shown = "\n".join(map(card, each[:CARDS]))
    rest = "\n".join(map(card, each[CARDS:]))
    grid = "::::{{grid}} 1 1 2 2\n:gutter: 3\n\n{}::::\n".format
    return f"{grid(shown)}\n:::::{{dropdown}} {len(each) - CARDS} more use cases\n{grid(rest)}:::::\n"


def card(sample: dict) -> str:
    """One prompt and what the models answer, line by line as they wrote it."""
    answers = []
    for name, title in SPEAKERS.items():
        said, gold = sample[name]
        lines = " / ".join(line for line in said.splitlines() if line) or "(nothing)"
        answers.append(f"**{title}** ({gold:.2f}): {lines}")
    return (f":::{{grid-item-card}} {sample['prompt']}\n:class-title: sd-fs-6\n\n" + "\n\n".join(answers) + "\n:::\n")


def cost() -> str:
    """What a run of each preset costs: parameters, CPU-seconds and memory."""
    lines = ["| preset | parameters | CPU-seconds of a run | memory |", "|---|---:|---:|---:|"]
    for preset in ("nano", "tiny"):
        found = results(preset)["summary"]
        seconds, memory = (found[name]["mean"] for name in ("cpu_seconds", "peak_memory_gb"))
        lines.append(f"| `{preset}` | {parameters(preset):,} | {seconds:.0f} | {memory:.1f} GB |")
    return "\n".join(lines) + "\n"


def parameters(preset: str) -> int:
    """Weights of a shipped base model, from the header of its file."""
    with (ROOT / "instructgpt_lite" / "bases" / preset / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


PAGES = {"README.md": {"table": table}, "CONTRIBUTING.md": {"tree": tree},
         "index.md": {"samples": samples, "ranges": ranges},
         "chapters/setup.md": {"cost": cost}}


def filled(text: str, page: str = "README.md") -> str:
    """A page with the parts between its markers made anew."""
    for name, part in PAGES[page].items():
        before, rest = text.split(f"<!-- {name} -->\n")
        text = f"{before}<!-- {name} -->\n\n{part()}\n<!-- end -->\n{rest.partition('<!-- end -->')[2].lstrip()}"
    return text


if __name__ == "__main__":
    for name in PAGES:
        page = ROOT / name
        wanted = filled(page.read_text(), name)
        if "--check" in sys.argv and wanted != page.read_text():
            sys.exit(f"{name} is not what tools/readme.py writes: run it")
        page.write_text(wanted)
