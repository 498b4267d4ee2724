"""Score any causal language model on the held-out prompts of a tiny world."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from instructgpt_lite.commands import parse
from instructgpt_lite.terminal import printable


@dataclass
class EvaluateFlags:
    """Score a folder with a Hugging Face causal language model on held-out prompts of the tiny world."""

    model: Path
    """Folder with the model and its tokenizer, such as runs/tiny/models/ppo_ptx."""
    prompts: int = 1_000
    """Held-out prompts to answer."""
    max_new_tokens: int = 40
    """Longest answer, in tokens."""
    world: int = 0
    """Which tiny world."""
    seed: int = 0
    """Of the answers, which are drawn at temperature 1."""
    json: bool = False
    """Print JSON, with every answer and its score."""


def evaluate(arguments: list[str]) -> int:
    """Print what the model's answers are worth, by use case, with 95 % intervals."""
    flags = parse(EvaluateFlags, arguments, "evaluate")
    if not (flags.model / "config.json").exists():
        raise ValueError(f"{flags.model}: no config.json, so no model. "
                         "Name a folder that save_pretrained wrote")
    from instructgpt_lite.judging import policies
    from instructgpt_lite.models.networks import Policy
    from instructgpt_lite.world.world import World

    world = World(flags.world)
    if not 0 < flags.prompts <= len(world.test):
        raise ValueError(f"--prompts {flags.prompts}: there are 1 to {len(world.test)} to ask")
    asked = world.test[:flags.prompts]
    answers = policies.answer(Policy.load(flags.model), world, asked, flags.max_new_tokens, flags.seed)
    found = scorecard(answers, world)
    said = [{"prompt": prompt.prompt, "category": prompt.category, "answer": text, "gold": score.gold}
            for prompt, text, score in zip(*answers)]
    if flags.json:
        print(json.dumps({"model": str(flags.model), "world": flags.world, "seed": flags.seed,
                          "measures": found, "answers": said}, indent=1))
        return 0
    for one in said[:5]:
        print(f"{printable(one['prompt'])}\n  {printable(one['answer'])}   (gold {one['gold']:.2f})\n")
    print(f"{'':24}prompts  mean (95 % interval)")
    for name, row in found.items():
        print(f"{name:24}{row['prompts']:7}  {row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})")
    return 0


def scorecard(answers, world) -> dict[str, dict[str, float]]:
    """Gold score over all prompts and by use case, and the shares of answers that mislead and are rude."""
    from instructgpt_lite.judging import policies
    groups = defaultdict(list)
    for prompt, text, score in zip(*answers):
        for name in ("gold", f"gold, {prompt.category}"):
            groups[name].append((prompt, text, score))
    found = {name: (len(rows), policies.gold_score(policies.Answers(*map(list, zip(*rows)))))
             for name, rows in sorted(groups.items())}
    found["misled"] = (len(answers.texts), policies.misled(answers, world.gold))
    found["rude"] = (len(answers.texts), policies.rude(answers))
    return {name: {"prompts": count, **interval._asdict()} for name, (count, interval) in found.items()}
