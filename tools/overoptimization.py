"""PPO against reward models that err, watched along the way, and what holds it back: results/overoptimization.json.

    python tools/overoptimization.py runs/nano-2 runs/nano-3 runs/nano-4 --fresh runs/nano-5 runs/nano-6 runs/nano-7

The setting (how many rankings, how long) was chosen on runs/nano-0, which is not in the results; fresh runs, on which
nothing was chosen, have the usual arm for longer. Every arm of a run has its RL start, prompts and random numbers;
reward models learn from the first of its rankings. What is known of a run is kept in runs/overoptimization/, so that a
second call goes on. `--toy` tries it all in a minute.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import numpy as np
import torch
from best_of_n_sweeps import NS, Candidates, over_seeds, reward_model
from torch import Tensor
from trial import ROOT, Trial, write_results

from instructgpt_lite.data.records import Prompt, Ranking
from instructgpt_lite.files import write_json
from instructgpt_lite.judging.best_of import best_of, kl_of_best
from instructgpt_lite.judging.curves import BENDS, curve, fitted, peak
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.ppo_ptx import Reward, ppo_ptx
from instructgpt_lite.training.reward import center, train_reward
from instructgpt_lite.world.labelers import Labelers

PREDICTIONS = "5157d2f"              # the commit of results/predictions.md
FEW = 600                            # rankings of the reward model that errs
SIZES = {"few": FEW, "rankings": (150, FEW, 2_000), "iterations": 60, "every": 4, "prompts": 250,
         "N": 128, "members": 4, "second round": 12}
TOY = {"few": 24, "rankings": (12, 24, 48), "iterations": 2, "every": 1, "prompts": 10, "N": 64, "members": 2,
       "second round": 1}
LONG = 100                           # iterations of the fresh runs
SHOWN = 8                            # held-out prompts whose answers the time machine shows
TASTES = {"without a taste for length": "words", "without a taste for courtesy": "courtesy"}


class Ensemble:
    """Several reward models as one, by a rule."""

    def __init__(self, members: Sequence[ScalarModel], rule: Callable[[Tensor], Tensor]) -> None:
        self.members, self.rule = members, rule

    def __call__(self, rollout: Rollout) -> Tensor:
        return self.rule(torch.stack([member(rollout) for member in self.members]))


RULES = {"mean": lambda r_MB: r_MB.mean(dim=0), "worst": lambda r_MB: r_MB.min(dim=0).values,
         "mean less a deviation": lambda r_MB: r_MB.mean(dim=0) - r_MB.std(dim=0)}


class Watched:
    """What is measured of a policy on the same held-out prompts, two answers to each."""

    def __init__(self, trial: Trial, members: Sequence[ScalarModel]) -> None:
        self.trial, self.members = trial, members
        self.asked = [prompt for prompt in trial.held_out for _ in range(2)]

    @torch.no_grad()
    def __call__(self, policy: Policy, reward: Reward, highest: float = math.inf) -> dict:
        """highest: the score that one in a hundred answers of the start passes."""
        trial = self.trial
        rollout = policy.sample([each.prompt for each in self.asked], max_new_tokens=trial.config.ppo.max_new_tokens,
                                generator=generator(trial.config.seed, "watched"))
        texts = policy.texts(rollout)
        scores = [trial.world.gold(*each) for each in zip(self.asked, texts)]
        score_B = reward(rollout) - ~rollout.ended_B * trial.config.ppo.missing_eos
        r_MB = torch.stack([member(rollout) for member in self.members])
        kl_B = (policy.logp(rollout) - trial.start.logp(rollout)).sum(dim=1)
        return {"score": by_prompt(score_B), "gold": by_prompt([each.gold for each in scores]), "kl": by_prompt(kl_B),
                "words": by_prompt([each.words for each in scores]),
                "courtesy": by_prompt([each.courtesy for each in scores]),
                "alike": [float(a == b) for a, b in zip(texts[::2], texts[1::2])],
                "disagreement": by_prompt(r_MB.std(dim=0)),
                "above": by_prompt((score_B > highest).double()), "highest": float(score_B.quantile(0.99)),
                "correlation": float(np.corrcoef(score_B, [each.gold for each in scores])[0, 1]),
                "deviation": float(score_B.std()), "texts": texts[:2 * SHOWN:2]}


def by_prompt(values: Sequence[float] | Tensor) -> list[float]:
    return np.asarray(values, dtype=float).reshape(-1, 2).mean(axis=1).round(5).tolist()


class Seed:
    """One run: its arms, each against its own reward model."""

    def __init__(self, folder: str, sizes: dict) -> None:
        self.trial, self.sizes = Trial(folder, sizes["prompts"]), sizes
        self.rankings = self.trial.run.records("collect", Ranking)
        noise = self.trial.run.json("labelers.json")["noise"]
        self.people = self.trial.world.labelers
        self.people.noise = noise["training"]
        few = self.rankings[:sizes["few"]]
        self.members = [self.member(few, n) for n in range(sizes["members"])]
        self.watch = Watched(self.trial, self.members)

    def member(self, rankings: list[Ranking], n: int = 0) -> ScalarModel:
        """A reward model with its mean at 0 on demonstrations; n sets its head and the order of its training."""
        config = replace(self.trial.config.reward, seed=self.trial.config.reward.seed + 1_000 * n)
        reward = ScalarModel.on(self.trial.start, config.seed)
        for _ in train_reward(reward, rankings, config):
            pass
        center(reward, self.trial.start, self.trial.world.demonstrations(self.trial.config.rl_init.demonstrations))
        return reward.frozen()

    def reinforced(self, reward: Reward, iterations: int = 0, **changes: float) -> tuple[Policy, list[dict]]:
        """PPO without ptx, measured at the start and every few iterations."""
        trial, iterations = self.trial, iterations or self.sizes["iterations"]
        config = replace(trial.config.ppo, gamma=0.0, episodes=iterations * trial.config.ppo.batch_size, **changes)
        policy, seen = trial.policy(), [{"iteration": 0, **self.watch(trial.start, reward)}]
        value = reward if isinstance(reward, ScalarModel) else self.members[0]
        for row in ppo_ptx(policy, trial.start, reward, trial.prompts, config, value=value):
            if row["step"] % self.sizes["every"] == 0 or row["step"] == iterations:
                seen.append({"iteration": row["step"], **self.watch(policy, reward, seen[0]["highest"])})
        return policy, seen

    def reranked(self, people: Labelers) -> list[Ranking]:
        """The same few answers ranked by other people, with the same luck."""
        asked = {prompt.prompt: prompt for prompt in self.trial.world.train}
        ranked = [people.rank(asked[each.prompt], each.completions, Random(f"again {n}"))
                  for n, each in enumerate(self.rankings[:self.sizes["few"]])]
        return [each for each in ranked if each]

    def without(self, part: str) -> Labelers:
        """The same people, who do not care for one part of a score."""
        people = Labelers(self.trial.world.gold, "training", seed=self.trial.config.world, noise=self.people.noise)
        for person in people.people:
            person.taste[part] = 0.0
        return people

    def second_round(self) -> list[Ranking]:
        """As many rankings again, of what the policy says after some iterations."""
        policy, _ = self.reinforced(self.members[0], self.sizes["second round"], beta=0.0)
        prompts: list[Prompt] = self.trial.unseen[-self.sizes["few"]:]
        rollout = policy.sample([each.prompt for each in prompts], copies=6, generator=generator(0, "second round"),
                                max_new_tokens=self.trial.config.ppo.max_new_tokens)
        texts = iter(policy.texts(rollout))
        ranked = [self.people.rank(prompt, [next(texts) for _ in range(6)], Random(f"second {n}"))
                  for n, prompt in enumerate(prompts)]
        return [each for each in ranked if each]

    def arms(self) -> dict[str, Callable[[], list[dict]]]:
        few, sizes = self.rankings[:self.sizes["few"]], self.sizes

        def run(rankings: Callable[[], list[Ranking]], **changes: float) -> Callable[[], list[dict]]:
            return lambda: self.reinforced(self.member(rankings()), **{"beta": 0.0} | changes)[1]

        arms = {f"{count} rankings": run(lambda count=count: self.rankings[:count]) for count in sizes["rankings"]}
        arms |= {f"beta {beta:g}": run(lambda: few, beta=beta) for beta in (0.03, 0.1, 0.3)}
        arms |= {rule: lambda rule=rule: self.reinforced(Ensemble(self.members, RULES[rule]), beta=0.0)[1]
                 for rule in RULES}
        arms["twice as many rankings"] = run(lambda: self.rankings[:2 * sizes["few"]])
        arms["a second round"] = run(lambda: few + self.second_round())
        arms["ranked again"] = run(lambda: self.reranked(self.people))
        return arms | {name: run(lambda part=part: self.reranked(self.without(part)))
                       for name, part in TASTES.items()}

    @torch.no_grad()
    def best_of(self) -> dict[str, dict]:
        """The best of n by the same reward models, by prompt."""
        candidates, found = Candidates(self.trial, self.trial.start, self.sizes["N"], "best of n"), {}
        for count in self.sizes["rankings"]:
            with torch.enable_grad():
                reward = reward_model(self.trial, self.trial.start, self.rankings[:count])
            score_PN = candidates.score_PN(reward)
            ns = [n for n in NS if n <= self.sizes["N"]]
            found[f"{count} rankings"] = {
                "score": [best_of(score_PN, score_PN, n).tolist() for n in ns],
                "gold": [best_of(score_PN, candidates.gold_PN, n).tolist() for n in ns],
                "kl": [kl_of_best(score_PN, n).tolist() for n in ns], "deviation": float(score_PN.std())}
        return found


def found_in(folder: str, sizes: dict, kept) -> dict:
    """Every arm of one run; what is known already is read."""
    found = json.loads(kept.read_text()) if kept.exists() else {}
    seed = None
    for name in ["best of n", *Seed.arms(_Names(sizes))]:
        if name in found:
            continue
        seed, began = seed or Seed(folder, sizes), time.process_time()
        found[name] = seed.best_of() if name == "best of n" else seed.arms()[name]()
        write_json(kept, found)
        last = "" if name == "best of n" else {what: round(float(np.mean(found[name][-1][what])), 3)
                                               for what in ("score", "gold", "kl", "words")}
        print(folder, name, last, f"{time.process_time() - began:.0f} s", flush=True)
    return found


class _Names(Seed):
    """For the names of the arms alone."""

    def __init__(self, sizes: dict) -> None:
        self.sizes, self.rankings = sizes, []


WHAT = ("score", "gold", "kl", "words", "courtesy", "alike", "disagreement", "above")


def summary(runs: list[list[dict]]) -> dict:
    """An arm along its iterations: mean over seeds with its interval over prompts, and each seed's own."""
    told = {"iteration": [row["iteration"] for row in runs[0]],
            "start": [round(run[0]["deviation"], 4) for run in runs],
            "correlation": [[round(row["correlation"], 3) if math.isfinite(row["correlation"]) else None for row in run]
                            for run in runs]}
    for what in WHAT:
        told[what] = [over_seeds([row[what] for row in rows]) for rows in zip(*runs)]
        told[f"{what} of seeds"] = [[round(float(np.mean(row[what])), 4) for row in run] for run in runs]
    return told


def difference(one: list[list[dict]], other: list[list[dict]], what: str, place: int = -1) -> dict:
    """At the end of two arms, paired by prompt."""
    gaps = [np.array(a[place][what]) - np.array(b[place][what]) for a, b in zip(one, other)]
    return {"all": over_seeds(gaps), "of seeds": [round(float(gap.mean()), 5) for gap in gaps]}


def along(found: list[dict], kind: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """KL and gold by place and prompt, in the mean over seeds; the start first."""
    runs = [run["best of n"][name] if kind == "best of n" else
            {what: [row[what] for row in run[name]] for what in ("kl", "gold")} for run in found]
    kl_AP, gold_AP = (np.mean([run[what] for run in runs], axis=0) for what in ("kl", "gold"))
    return kl_AP, gold_AP


def fits(kl_AP: np.ndarray, gold_AP: np.ndarray, kind: str, draws: int = 500) -> dict:
    """Coefficients over all points and over the first half of the way, with intervals over prompts; and how far off
    each is at the last point."""
    rng, A = np.random.default_rng(0), len(kl_AP)
    told = {}
    for name, upto in (("all", A), ("first half", A // 2 + 1)):
        found = []
        for draw in range(draws + 1):
            some = rng.integers(0, kl_AP.shape[1], kl_AP.shape[1]) if draw else np.arange(kl_AP.shape[1])
            d_A = np.sqrt(np.maximum(kl_AP[:, some].mean(axis=1), 1e-6))
            gain_A = gold_AP[:, some].mean(axis=1) - gold_AP[0, some].mean()
            alpha, beta = fitted(d_A[:upto], gain_A[:upto], kind)
            off = float(curve(d_A, alpha, beta, kind)[-1] - gain_A[-1])
            worst = float(np.abs(curve(d_A, alpha, beta, kind)[:upto] - gain_A[:upto]).max())
            found.append((alpha, beta, min(peak(alpha, beta, kind), 99.0), off, worst))
        low, high = np.quantile(found[1:], (0.025, 0.975), axis=0)
        told[name] = {what: [round(float(x), 4) for x in each] for what, each in
                      zip(("alpha", "beta", "peak", "off at the end", "largest miss"), zip(found[0], low, high))}
    return told


def longer(folder: str, sizes: dict, kept) -> list[dict]:
    """The usual arm of a fresh run, for longer."""
    if not kept.exists():
        seed = Seed(folder, sizes)
        seen = seed.reinforced(seed.members[0], LONG if sizes is SIZES else 2, beta=0.0)[1]
        write_json(kept, seen)
        print(folder, "longer", {what: round(float(np.mean(seen[-1][what])), 3) for what in ("score", "gold", "kl")},
              flush=True)
    return json.loads(kept.read_text())


def main(folders: list[str], fresh: list[str], toy: bool) -> None:
    torch.set_num_threads(1)
    sizes, home = TOY if toy else SIZES, ROOT / "runs" / ("overoptimization_toy" if toy else "overoptimization")
    home.mkdir(parents=True, exist_ok=True)
    found = [found_in(folder, sizes, home / f"{folder.rpartition('-')[2]}.json") for folder in folders]
    arms = {name: [run[name] for run in found] for name in found[0] if name != "best of n"}
    few, usual = f"{sizes['few']} rankings", "twice as many rankings"
    pairs = [*((name, few) for name in arms if name != few), ("a second round", usual),
             *((name, "ranked again") for name in TASTES), *(("mean", rule) for rule in RULES if rule != "mean")]
    best = {name: {what: [over_seeds([run["best of n"][name][what][n] for run in found]) for n in range(len(NS))]
                   for what in ("score", "gold", "kl")} | {"deviation": [run["best of n"][name]["deviation"]
                                                                         for run in found]}
            for name in found[0]["best of n"]}
    trial = Trial(folders[0], SHOWN)
    machine = {"prompts": [each.prompt for each in trial.held_out],
               "use cases": [each.category for each in trial.held_out],
               "texts": [row["texts"] for row in found[0][few]],
               "gold": [[trial.world.gold(prompt, text).gold for prompt, text in zip(trial.held_out, row["texts"])]
                        for row in found[0][few]]}
    long = [longer(folder, sizes, home / f"{folder.rpartition('-')[2]}.json") for folder in fresh]
    examples = {name: runs[0][-1]["texts"] for name, runs in arms.items()}
    write_results((home if toy else ROOT / "results") / "overoptimization.json", {
        "command": f"python tools/overoptimization.py {' '.join([*folders, *(['--fresh'] if fresh else []), *fresh])}",
        "predictions": PREDICTIONS, "sizes": sizes,
        "intervals": "95 %, over held-out prompts, of the mean over the runs", "n": NS,
        "arms": {name: summary(runs) for name, runs in arms.items()}, "best of n": best,
        "differences": {f"{one} less {other}": {what: difference(arms[one], arms[other], what)
                                                for what in ("gold", "words", "courtesy")} for one, other in pairs},
        "fits": {kind: {f"{count} rankings": fits(*along(found, kind, f"{count} rankings"), kind)
                        for count in sizes["rankings"]} for kind in BENDS},
        "fresh": {"runs": fresh, **summary(long)} if fresh else {}, "time machine": machine, "last answers": examples})


if __name__ == "__main__":
    given = [each for each in sys.argv[1:] if each != "--toy"]
    place = given.index("--fresh") if "--fresh" in given else len(given)
    main(given[:place], given[place + 1:], "--toy" in sys.argv)
