"""PPO from one finished run at several KL penalties, all else equal: results/betas.json.

    python tools/betas.py runs/tiny-0 0.0 0.1 0.3

beta = 0 shows over-optimisation: the reward model's score climbs while the gold score falls.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.models.networks import ScalarModel
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.workshop import Workshop

ROOT = Path(__file__).parent.parent
ITERATIONS = 80


def main(folder: str, betas: list[float]) -> None:
    preset = json.loads((ROOT / folder / "config.json").read_text())["preset"]
    shop = Workshop(PRESETS[preset], ROOT / folder)
    reward, start = ScalarModel.load(shop.model("reward")).frozen(), shop.policy("rl_init")
    prompts = [prompt.prompt for prompt in shop.prompts("ppo")]
    held_out, room = shop.world.test[:1_000], shop.config.collect.max_new_tokens

    def judged(policy) -> dict:
        answers = policies.answer(policy, shop.world, held_out, room)
        rollout = policy.sample([prompt.prompt for prompt in held_out], max_new_tokens=room,
                                generator=generator(0, "judged"))
        return {"gold": policies.gold_score(answers), "reward": float(reward(rollout).mean()),
                "rude": policies.rude(answers), "pretraining_loss": policies.pretraining_loss(policy, shop.corpus)}

    found = {"start": judged(start)}
    for beta in betas:
        config = replace(shop.stage_config("ppo"), beta=beta, episodes=ITERATIONS * shop.config.ppo.batch_size)
        policy = shop.policy("rl_init")
        rows = list(ppo_ptx(policy, start.frozen(), reward, prompts, config))
        found[f"beta {beta}"] = judged(policy) | {"kl": rows[-1]["kl"], "rows": rows}
        print(beta, {name: value for name, value in found[f"beta {beta}"].items() if name != "rows"}, flush=True)
    write_json(ROOT / "results" / "betas.json", {
        "command": f"python tools/betas.py {folder} {' '.join(map(str, betas))}", "iterations": ITERATIONS, **found})


if __name__ == "__main__":
    main(sys.argv[1], [float(beta) for beta in sys.argv[2:]] or [0.0, 0.08, 0.3])
