"""Keep README.md honest: its table comes from results/, its file tree from the docstrings.

    python tools/readme.py            write both
    python tools/readme.py --check    exit with 1 if they are not what they would be
"""

import ast
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODELS = {"base": "base", "few-shot": "base, few-shot prompt", "sft": "SFT", "rl_init": "start of RL", "ppo": "PPO",
          "ppo_ptx": "PPO-ptx"}
COLUMNS = {"gold": "gold score", "gold_win": "wins over SFT (gold)", "labeler_win": "wins over SFT (held-out labelers)",
           "rude": "rude", "pretraining_loss": "pretraining loss"}


def table() -> str:
    """Means of the seeds of results/tiny.json, one row a model."""
    found = json.loads((ROOT / "results" / "tiny.json").read_text())["summary"]
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


def filled(text: str) -> str:
    """README.md with the parts between the markers made anew."""
    for name, part in (("table", table()), ("tree", tree())):
        before, rest = text.split(f"<!-- {name} -->\n")
        text = f"{before}<!-- {name} -->\n\n{part}\n<!-- end -->\n{rest.partition('<!-- end -->')[2].lstrip()}"
    return text


if __name__ == "__main__":
    page = ROOT / "README.md"
    wanted = filled(page.read_text())
    if "--check" in sys.argv and wanted != page.read_text():
        sys.exit("README.md is not what tools/readme.py writes: run it")
    page.write_text(wanted)
