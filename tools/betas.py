"""PPO from one finished run at several KL penalties, all else equal: results/betas.json.

    python tools/betas.py runs/tiny-0 0.0 0.1 0.3

beta = 0 shows over-optimisation: the reward model's score climbs while the gold score falls.
"""

import sys
from dataclasses import replace
from pathlib import Path

from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.run.folder import RunFolder
from instructgpt_lite.run.stages import seeded, unseen_prompts
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.world.world import World

ROOT = Path(__file__).parent.parent
ITERATIONS = 80


def main(folder: str, betas: list[float]) -> None:
    run = RunFolder.read(ROOT / folder)
    config = seeded(PRESETS[run.config["preset"]])
    world, longest = World(config.world), config.collect.max_new_tokens
    reward = ScalarModel.load(run.model("reward")).frozen()
    start = Policy.load(run.model("rl_init"))
    corpus = world.corpus(start.tokenizer)
    prompts = [prompt.prompt for prompt in unseen_prompts(config, world)[1]]
    held_out = world.test[:1_000]

    def judged(policy) -> dict:
        answers = policies.answer(policy, world, held_out, longest)
        rollout = policy.sample([prompt.prompt for prompt in held_out], max_new_tokens=longest,
                                generator=generator(0, "judged"))
        score_B = reward(rollout)
        return {"gold": policies.gold_score(answers), "reward": float(score_B.mean()),
                "deviation": float(score_B.std()), "rude": policies.rude(answers),
                "pretraining_loss": policies.pretraining_loss(policy, corpus)}

    found = {"start": judged(start)}
    for beta in betas:
        ppo = replace(config.ppo, gamma=0.0, beta=beta,
                      episodes=ITERATIONS * config.ppo.batch_size)
        policy = Policy.load(run.model("rl_init"))
        rows = list(ppo_ptx(policy, start.frozen(), reward, prompts, ppo))
        found[f"beta {beta}"] = judged(policy) | {"kl": rows[-1]["kl"], "rows": rows}
        print(beta, {name: value for name, value in found[f"beta {beta}"].items() if name != "rows"}, flush=True)
    write_json(ROOT / "results" / "betas.json", {
        "command": f"python tools/betas.py {folder} {' '.join(map(str, betas))}", "iterations": ITERATIONS, **found})


if __name__ == "__main__":
    main(sys.argv[1], [float(beta) for beta in sys.argv[2:]] or [0.0, 0.08, 0.3])
