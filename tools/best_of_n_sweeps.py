"""Best of n along n, for several reward models, beside PPO and fine-tuning on the best: results/best_of_n.json.

    python tools/best_of_n_sweeps.py runs/nano-0 runs/nano-1 runs/nano-2

Every run gives its RL start, its rankings and its reward model; the reward models here learn from the first of these
rankings, the larger ones under the RL start of runs/tiny-0. All choose among the same N answers to held-out prompts.
What is known of a run is kept in runs/best_of_n/, so that a second call goes on. `--toy` tries it all in a minute.
"""

import json
import sys
import time
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from trial import ROOT, Trial, write_results

from instructgpt_lite.data.records import Ranking
from instructgpt_lite.files import write_json
from instructgpt_lite.judging.best_of import best_of, kl_of_best
from instructgpt_lite.judging.intervals import bootstrap
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.surprise import best_of_n_bound
from instructgpt_lite.training.best_of_n import best_of_n
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.reward import train_reward
from instructgpt_lite.training.sft import finetune

PREDICTIONS = "5157d2f"              # the commit of results/predictions.md
NS = (1, 2, 4, 8, 16, 32, 64)
SIZES = {"prompts": 300, "N": 256, "copies": 8, "rankings": (150, 600, 2_000), "best of 4": 2_000, "iterations": 12}
TOY = {"prompts": 12, "N": 64, "copies": 2, "rankings": (20, 40, 60), "best of 4": 32, "iterations": 1}
BETAS = (0.3, 0.1, 0.03, 0.0)
MISSING_EOS = 1.0                    # off the score of what never ends, as in PPO


class Candidates:
    """N answers of a policy to each held-out prompt, P x N, with their gold; scored where somebody asks."""

    def __init__(self, trial: Trial, policy: Policy, copies: int, *names: str | int) -> None:
        self.trial, self.shape = trial, (len(trial.held_out), copies)
        prompts, longest = trial.start.encode([each.prompt for each in trial.held_out]), trial.config.ppo.max_new_tokens
        rows, gold, kl, began = [], [], [], time.process_time()
        for n in range(0, len(prompts), 16):
            asked = [prompt for prompt in prompts[n:n + 16] for _ in range(copies)]
            rollout = policy.sample(asked, max_new_tokens=longest, generator=generator(trial.config.seed, *names, n))
            self.seconds = time.process_time() - began
            rows += [(row, tuple(answer[mask].tolist()), bool(end)) for row, answer, mask, end in zip(
                asked, rollout.response_BT, rollout.mask_BT, rollout.ended_B)]
            texts = policy.texts(rollout)
            gold += [trial.world.gold(trial.held_out[n + place // copies], text).gold
                     for place, text in enumerate(texts)]
            if policy is not trial.start:
                kl += (policy.logp(rollout) - trial.start.logp(rollout)).sum(dim=1).tolist()
        self.rows, self.gold_PN = rows, np.array(gold).reshape(self.shape)
        self.kl_P = np.array(kl).reshape(self.shape).mean(axis=1) if kl else np.zeros(len(prompts))

    @cached_property
    def distinct(self) -> dict[tuple, int]:
        """Each (prompt, answer, ended) once, and its place."""
        found: dict[tuple, int] = {}
        for prompt, answer, end in self.rows:
            found.setdefault((tuple(prompt), answer, end), len(found))
        return found

    def score_PN(self, reward: ScalarModel) -> np.ndarray:
        """Scores as PPO sees them."""
        score, keys = [], [*self.distinct]
        for n in range(0, len(keys), 1_024):
            prompts, answers, ends = zip(*keys[n:n + 1_024])
            rollout = Rollout.of([*map(list, prompts)], [*map(list, answers)], reward.pad, reward.eos)
            score += (reward(rollout) - MISSING_EOS * ~torch.tensor(ends)).tolist()
        places = [self.distinct[tuple(prompt), answer, end] for prompt, answer, end in self.rows]
        return np.array(score)[places].reshape(self.shape)


def reward_model(trial: Trial, start: Policy, rankings: list[Ranking]) -> ScalarModel:
    reward = ScalarModel.on(start, trial.config.reward.seed)
    for _ in train_reward(reward, rankings, trial.config.reward):
        pass
    return reward.frozen()


def chosen(candidates: Candidates, reward: ScalarModel, judge: ScalarModel) -> dict:
    """Along n, by prompt: score, the score of the run's own reward model, gold, KL."""
    score_PN, judge_PN = candidates.score_PN(reward), candidates.score_PN(judge)
    ns = [n for n in NS if n <= candidates.shape[1]]
    return {"score": [best_of(score_PN, score_PN, n).tolist() for n in ns],
            "judge": [best_of(score_PN, judge_PN, n).tolist() for n in ns],
            "gold": [best_of(score_PN, candidates.gold_PN, n).tolist() for n in ns],
            "kl": [kl_of_best(score_PN, n).tolist() for n in ns],
            "deviation": float(score_PN.std()), "distinct": len(candidates.distinct) / len(candidates.rows)}


def met(trial: Trial, policy: Policy, sizes: dict, seconds: float = 0.0) -> dict:
    """A trained policy on the same prompts, by prompt."""
    said = Candidates(trial, policy, sizes["copies"], "met")
    return {"judge": said.score_PN(trial.reward).mean(axis=1).tolist(), "gold": said.gold_PN.mean(axis=1).tolist(),
            "kl": said.kl_P.tolist(), "training": round(seconds, 1),
            "sampling": said.seconds / said.gold_PN.size}


@torch.no_grad()
def arms_of_n(trial: Trial, sizes: dict) -> dict:
    """Every reward model's choice among the same answers."""
    candidates = Candidates(trial, trial.start, sizes["N"], "best of n")
    rankings, found = trial.run.records("collect", Ranking), {}
    starts = {"nano": trial.start, "tiny": Policy.load(ROOT / "runs" / "tiny-0" / "models" / "rl_init")}
    for network, start in starts.items():
        for count in sizes["rankings"]:
            with torch.enable_grad():
                reward = reward_model(trial, start, rankings[:count])
            found[f"{network}, {count} rankings"] = chosen(candidates, reward, trial.reward)
    found["as the run"] = chosen(candidates, trial.reward, trial.reward)
    rank_P = np.random.default_rng(0).random(candidates.shape)
    found["by lot"] = {"gold": [best_of(rank_P, candidates.gold_PN, n).tolist() for n in NS]}
    found["by gold"] = {"gold": [best_of(candidates.gold_PN, candidates.gold_PN, n).tolist() for n in NS]}
    found["cost"] = {"sampling": candidates.seconds / candidates.gold_PN.size, "scoring": scoring(trial, candidates),
                     "tokens": float(np.mean([len(answer) for _, answer, _ in candidates.rows]))}
    found["naive"] = naive(candidates.score_PN(trial.reward), candidates.gold_PN)
    return found


def scoring(trial: Trial, candidates: Candidates) -> float:
    """CPU-seconds to score an answer."""
    some = [*candidates.distinct][:1_024]
    prompts, answers, _ = zip(*some)
    rollout, began = Rollout.of([*map(list, prompts)], [*map(list, answers)], trial.reward.pad, trial.reward.eos), 0.0
    began = time.process_time()
    trial.reward(rollout)
    return (time.process_time() - began) / len(some)


def naive(score_PN: np.ndarray, gold_PN: np.ndarray, n: int = 16, draws: int = 200) -> dict:
    """Spread of mean gold at n if only n of the answers are drawn, and of the mean over all draws from 64."""
    rng, spread = np.random.default_rng(0), {"n drawn once": [], "all draws from 64": []}
    for _ in range(draws):
        some = rng.permuted(np.tile(np.arange(score_PN.shape[1]), (len(score_PN), 1)), axis=1)
        for name, count in (("n drawn once", n), ("all draws from 64", 64)):
            score, gold = (np.take_along_axis(each, some[:, :count], axis=1) for each in (score_PN, gold_PN))
            spread[name].append(float(best_of(score, gold, n).mean()))
    return {name: [float(np.mean(each)), float(np.std(each))] for name, each in spread.items()}


def tried(folder: str, sizes: dict) -> dict:
    """All of one run."""
    trial = Trial(folder, sizes["prompts"])
    ppo = replace(trial.config.ppo, gamma=0.0, episodes=sizes["iterations"] * trial.config.ppo.batch_size)
    found = {"best of n": arms_of_n(trial, sizes), "policies": {}}
    print(folder, "best of n", round(time.process_time()), "s", flush=True)
    for beta in BETAS:
        began = time.process_time()
        policy, _ = trial.reinforced(replace(ppo, beta=beta))
        with torch.no_grad():
            found["policies"][f"PPO, beta {beta:g}"] = met(trial, policy, sizes, time.process_time() - began)
        print(folder, "beta", beta, round(time.process_time()), "s", flush=True)
    began, config = time.process_time(), replace(trial.config.best_of_n, n=4)
    best = best_of_n(trial.start, trial.reward, trial.unseen[:sizes["best of 4"]], 4, ppo.max_new_tokens,
                     generator(trial.config.seed, "best of 4"))
    policy = trial.policy()
    for _ in finetune(policy, best, config, trial.corpus):
        pass
    with torch.no_grad():
        found["policies"]["fine-tuned on the best of 4"] = met(trial, policy, sizes, time.process_time() - began)
    return found


def over_seeds(by_seed: list[list[float]]) -> list[float]:
    """Mean over seeds of each prompt's value, then its interval over prompts."""
    return [round(x, 5) for x in bootstrap(np.mean(by_seed, axis=0))]


def main(folders: list[str], toy: bool) -> None:
    torch.set_num_threads(1)
    sizes, runs = TOY if toy else SIZES, {}
    for folder in folders:
        kept = ROOT / "runs" / ("best_of_n_toy" if toy else "best_of_n") / f"{folder.rpartition('-')[2]}.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            write_json(kept, tried(folder, sizes))
        runs[folder] = json.loads(kept.read_text())
    each = [run["best of n"] for run in runs.values()]
    arms = {name: {what: [over_seeds([run[name][what][place] for run in each]) for place in range(len(NS))]
                   for what in ("score", "judge", "gold", "kl") if what in each[0][name]}
            for name in each[0] if name not in ("cost", "naive")}
    pairs = {"less": [(f"{net}, {few} rankings", f"{net}, {many} rankings") for net in ("nano", "tiny")
                      for few, many in zip(sizes["rankings"], sizes["rankings"][1:])]}
    pairs["less"] += [(f"nano, {count} rankings", f"tiny, {count} rankings") for count in sizes["rankings"]]
    for name, arm in arms.items():
        if "score" in arm:
            arm["deviation"] = [run[name]["deviation"] for run in each]
            arm["of seeds"] = {what: [[round(float(np.mean(row)), 5) for row in run[name][what]] for run in each]
                               for what in ("score", "gold", "kl")}
    policies = {name: {what: over_seeds([run["policies"][name][what] for run in runs.values()])
                       for what in ("judge", "gold", "kl")} |
                {"of seeds": {what: [round(float(np.mean(run["policies"][name][what])), 5) for run in runs.values()]
                              for what in ("judge", "gold", "kl")},
                 "training": [run["policies"][name]["training"] for run in runs.values()]}
                for name in next(iter(runs.values()))["policies"]}
    write_results(ROOT / ("runs/best_of_n_toy" if toy else "results") / "best_of_n.json", {
        "command": f"python tools/best_of_n_sweeps.py {' '.join(folders)}", "predictions": PREDICTIONS,
        "sizes": sizes, "n": NS, "formula": [round(float(best_of_n_bound(torch.tensor(float(n)))), 5) for n in NS],
        "intervals": "95 %, over held-out prompts, of the mean over the runs", "arms": arms,
        "differences": {f"{one} less {other}": differences(each, one, other) for one, other in pairs["less"]},
        "against PPO": {name: against(runs, name) for name in policies},
        "policies": policies, "cost": [run["cost"] for run in each], "naive": [run["naive"] for run in each],
        "distinct": [run["as the run"]["distinct"] for run in each]})


def differences(runs: list[dict], one: str, other: str) -> list[dict]:
    """Gold of one arm less another's at each n: over prompts, and of each seed."""
    gaps = [np.array(run[one]["gold"]) - np.array(run[other]["gold"]) for run in runs]
    return [{"all": over_seeds([gap[place] for gap in gaps]),
             "of seeds": [round(float(gap[place].mean()), 5) for gap in gaps]} for place in range(len(NS))]


def against(runs: dict[str, dict], name: str) -> dict:
    """Gold of a policy less that of the best of n at the KL of the policy, between the n around it.

    None where no n reaches so far. Over prompts, in the mean over the seeds, and of each seed.
    """
    gaps, places = [], []
    for run in runs.values():
        arm, policy = run["best of n"]["as the run"], run["policies"][name]
        kl_N, kl = np.array(arm["kl"]).mean(axis=1), float(np.mean(policy["kl"]))
        if kl > kl_N[-1]:
            return {"beyond": True}
        place = min(max(int(np.searchsorted(kl_N, kl)), 1), len(kl_N) - 1)
        part = (kl - kl_N[place - 1]) / (kl_N[place] - kl_N[place - 1])
        gold = np.array(arm["gold"])
        gaps.append(np.array(policy["gold"]) - (1 - part) * gold[place - 1] - part * gold[place])
        places.append(round(float(NS[place - 1] * 2 ** part), 2))
    return {"all": over_seeds(gaps), "of seeds": [round(float(gap.mean()), 5) for gap in gaps], "n there": places}


if __name__ == "__main__":
    main([each for each in sys.argv[1:] if each != "--toy"], "--toy" in sys.argv)
