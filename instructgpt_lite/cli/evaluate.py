"""python -m instructgpt_lite evaluate: score any language model in the tiny world."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from instructgpt_lite.report.text import printable
from instructgpt_lite.run.folder import check_model

if TYPE_CHECKING:
    from instructgpt_lite.judging.intervals import Interval
    from instructgpt_lite.judging.policies import Answers
    from instructgpt_lite.world.world import World


@dataclass
class EvaluateCommand:
    """Score a causal language model on held-out prompts of the tiny world."""

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

    def __call__(self) -> int:
        """Print what the answers are worth, by use case, with 95 % intervals."""
        if not (self.model / "config.json").exists():
            raise ValueError(f"{self.model}: no config.json, so no model. "
                             "Name a folder that save_pretrained wrote")
        check_model(self.model)
        from instructgpt_lite.judging import policies
        from instructgpt_lite.models.networks import Policy
        from instructgpt_lite.world.world import World

        world = World(self.world)
        if not 0 < self.prompts <= len(world.test):
            raise ValueError(f"--prompts {self.prompts}: there are 1 to "
                             f"{len(world.test)} to ask")
        policy, asked = Policy.load(self.model), world.test[:self.prompts]
        answers = policies.answer(policy, world, asked, self.max_new_tokens, self.seed)
        found = scorecard(answers, world)
        said = [{"prompt": prompt.prompt, "category": prompt.category, "answer": text,
                 "gold": score.gold} for prompt, text, score in zip(*answers[:3])]
        if self.json:
            measures = {name: {"prompts": count, **interval._asdict()}
                        for name, (count, interval) in found.items()}
            print(json.dumps({"model": str(self.model), "world": self.world,
                              "seed": self.seed, "measures": measures, "answers": said},
                             indent=1))
            return 0
        for each in said[:5]:
            print(f"{printable(each['prompt'])}\n  {printable(each['answer'])}   "
                  f"(gold {each['gold']:.2f})\n")
        print(f"{'':24}prompts  mean (95 % interval)")
        for name, (count, interval) in found.items():
            print(f"{name:24}{count:7}  {interval}")
        return 0


def scorecard(answers: "Answers", world: "World") -> dict[str, tuple[int, "Interval"]]:
    """How many prompts, and the mean: gold score over all and by use case, and the
    shares of answers that mislead and are rude.
    """
    from instructgpt_lite.judging import policies
    everything = len(answers.texts)
    found = {"gold": (everything, policies.gold_score(answers))}
    for case in sorted({prompt.category for prompt in answers.prompts}):
        rows = [row for row in zip(*answers[:3]) if row[0].category == case]
        some = policies.Answers(*map(list, zip(*rows)))
        found[f"gold, {case}"] = len(rows), policies.gold_score(some)
    found["misled"] = everything, policies.misled(answers, world.gold)
    found["rude"] = everything, policies.rude(answers)
    return found
