"""PPO from one finished run at several KL penalties, all else equal: results/betas.json.

    python tools/betas.py runs/tiny-0 0.0 0.1 0.3

beta = 0 shows over-optimisation: the reward model's score climbs while the gold score falls.
"""

import sys
from dataclasses import replace

from trial import ROOT, Trial

from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.models.networks import Policy

ITERATIONS = 80


def judged(trial: Trial, policy: Policy) -> dict:
    answers = trial.answers(policy)
    score_B = trial.reward(trial.sampled(policy, [prompt.prompt for prompt in trial.held_out], "judged"))
    return {"gold": policies.gold_score(answers), "reward": float(score_B.mean()), "deviation": float(score_B.std()),
            "rude": policies.rude(answers), "pretraining_loss": policies.pretraining_loss(policy, trial.corpus)}


def main(folder: str, betas: list[float]) -> None:
    trial = Trial(folder, held_out=1_000)
    found = {"start": judged(trial, trial.start)}
    for beta in betas:
        policy, rows = trial.reinforced(replace(trial.config.ppo, gamma=0.0, beta=beta,
                                                episodes=ITERATIONS * trial.config.ppo.batch_size))
        found[f"beta {beta}"] = judged(trial, policy) | {"kl": rows[-1]["kl"], "rows": rows}
        print(beta, {name: value for name, value in found[f"beta {beta}"].items() if name != "rows"}, flush=True)
    write_json(ROOT / "results" / "betas.json", {
        "command": f"python tools/betas.py {folder} {' '.join(map(str, betas))}", "iterations": ITERATIONS, **found})


if __name__ == "__main__":
    main(sys.argv[1], [float(beta) for beta in sys.argv[2:]] or [0.0, 0.08, 0.3])
