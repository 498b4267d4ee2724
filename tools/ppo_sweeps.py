"""PPO and PPO-ptx with one thing changed, from the same finished runs: results/ppo_sweeps.json, chapters 8 and 9.

    python tools/ppo_sweeps.py runs/nano-0 runs/nano-1 runs/nano-2 runs/nano-3 runs/nano-4

Every arm has the run's start, reward model, prompts and random numbers. What an arm has found is kept beside the run,
so that a second call goes on where the first stopped. "gain" is the gold score less that of the usual arm, averaged
over the seeds for each held-out prompt; its interval is over prompts.
"""

import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from torch import Tensor
from trial import ROOT, Arm, Trial, changed, write_results

from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.judging.base_skills import base_skills
from instructgpt_lite.judging.intervals import bootstrap
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training.loop import generator

PREDICTIONS = "9e9fd3b"              # the commit of results/predictions.md
HELD_OUT = 500                       # prompts
USUAL = "usual"
LONG = {"episodes": 9_216}           # three times the preset's
CHANGES = {                          # of the configuration
    USUAL: {},
    **{f"gamma {gamma:g}": {"gamma": gamma} for gamma in (0.0, 0.02, 2.0, 20.0)},
    **{f"beta {beta:g}, gamma 0": {"beta": beta, "gamma": 0.0} for beta in (0.0, 0.03, 0.3, 1.0, 10.0)},
    **{f"beta {beta:g}": {"beta": beta} for beta in (0.0, 0.03, 0.3, 1.0)},
    "ema 0": {"ema": 0.0},
    "ema 0.992": {"ema": 0.992},
    "long": LONG,
    "long, gamma 0": LONG | {"gamma": 0.0},
    "long, beta 0, gamma 0": LONG | {"beta": 0.0, "gamma": 0.0},
    "inner epochs 4": {"inner_epochs": 4},
    "not whitened": {"whiten": False},
    "lambda 0": {"lam": 0.0},
    "lambda 1": {"lam": 1.0},
    "KL target 0.5": {"kl_target": 0.5, "kl_horizon": 512},
}
VALUE_OF_POLICY, VALUE_OF_NOTHING, DROPOUT = "value from the policy", "value from nothing", "dropout left on"
STAGES = {"base": "base", "SFT": "sft", "RL start": "rl_init", "best of 4": "best_of_n"}
ROWS = ("score", "kl", "beta", "length", "ended", "explained_variance", "policy_loss", "value_loss", "clip_fraction",
        "max_log_ratio")


class Dropping(Policy):
    """Its updates see it with a dropout that its samples have not seen: a common fault."""

    def logp(self, rollout: Rollout, temperature: float = 1.0) -> Tensor:
        if not torch.is_grad_enabled():
            return super().logp(rollout, temperature)
        random = generator(0, "dropout", int(rollout.token_BS.sum()))
        return super().logp(rollout, temperature, dropout=0.1, generator=random)


def value_of_nothing(trial: Trial) -> ScalarModel:
    """A value function of the usual size with random weights."""
    config = trial.config
    fresh = Policy.new(config.architecture, trial.start.tokenizer, seed=config.ppo.seed)
    return ScalarModel.on(fresh, config.ppo.seed)


ARMS: dict[str, Arm] = {
    **{name: changed(changes) for name, changes in CHANGES.items()},
    VALUE_OF_POLICY: lambda trial: trial.reinforced(trial.config.ppo, value=ScalarModel.on(trial.start)),
    VALUE_OF_NOTHING: lambda trial: trial.reinforced(trial.config.ppo, value=value_of_nothing(trial)),
    DROPOUT: lambda trial: trial.reinforced(trial.config.ppo, Dropping.load(trial.run.model("rl_init"))),
}
NAMES = [*STAGES, *ARMS]


def judged(trial: Trial, policy: Policy) -> dict:
    """The measures of one policy; "by prompt" holds the gold score of every answer."""
    said = trial.answers(policy)
    rollout = trial.sampled(policy, [prompt.prompt for prompt in trial.held_out], "judged")
    logp_BT, ref_logp_BT = policy.logp(rollout), trial.start.logp(rollout)
    return {"gold": policies.gold_score(said), "gold_win": policies.gold_win_rate(said, trial.sft),
            "labeler_win": trial.labeler_win(said), "score": bootstrap(trial.reward(rollout).tolist()),
            "kl": bootstrap((logp_BT - ref_logp_BT).sum(dim=1).tolist()),
            "length": rollout.mask_BT.sum(dim=1).double().mean().item(),
            "ended": rollout.ended_B.double().mean().item(),
            "pretraining_loss": policies.pretraining_loss(policy, trial.corpus),
            "skills": base_skills(policy, trial.world),
            "by prompt": [score.gold for score in said.scores]}


def tried(trial: Trial, name: str) -> dict:
    """What an arm finds from one run."""
    if name in STAGES:
        policy = trial.policy(STAGES[name])
        with torch.no_grad():
            return judged(trial, policy)
    began = time.process_time()
    policy, rows = ARMS[name](trial)
    seconds = time.process_time() - began
    with torch.no_grad():
        return judged(trial, policy) | {"cpu_seconds": round(seconds, 1),
                                        "rows": {key: [row[key] for row in rows] for key in ROWS}}


def seed_of(folder: str) -> dict[str, dict]:
    """Every arm from one run; what is known already is read."""
    torch.set_num_threads(1)
    kept = ROOT / folder / "ppo_sweeps.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    trial = None
    for name in NAMES:
        if name in found or name in STAGES and not (ROOT / folder / "models" / STAGES[name]).is_dir():
            continue
        trial = trial or Trial(folder, HELD_OUT)
        found[name] = tried(trial, name)
        write_json(kept, found)
        print(folder, name, {key: found[name][key] for key in ("gold", "kl", "pretraining_loss")}, flush=True)
    return found


def gains(runs: dict[str, dict], name: str) -> list[float]:
    """Of an arm over the usual one: mean, and interval over prompts of the mean over seeds."""
    by_seed = [[a - b for a, b in zip(run[name]["by prompt"], run[USUAL]["by prompt"], strict=True)]
               for run in runs.values()]
    return list(bootstrap([statistics.mean(each) for each in zip(*by_seed, strict=True)]))


def main(folders: list[str]) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as workers:
        runs = dict(zip(folders, workers.map(seed_of, folders)))
    arms = {}
    for name in NAMES:
        if all(name in run for run in runs.values()):
            seeds = {folder.rpartition("-")[2]: {key: value for key, value in run[name].items() if key != "by prompt"}
                     for folder, run in runs.items()}
            arms[name] = {"changes": CHANGES.get(name, {}), "gain": gains(runs, name), "seeds": seeds}
    arms = json.loads(json.dumps(arms), parse_float=lambda digits: round(float(digits), 5))
    write_results(ROOT / "results" / "ppo_sweeps.json", {
        "command": f"python tools/ppo_sweeps.py {' '.join(folders)}",
        "predictions": PREDICTIONS, "prompts": HELD_OUT,
        "gain": "gold score less that of the usual arm: mean over seeds, 95 % interval over prompts", "arms": arms})


if __name__ == "__main__":
    main(sys.argv[1:])
