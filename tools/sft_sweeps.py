"""SFT with one thing changed, from the same base model: results/sft_sweeps.json, chapter 5.

    python tools/sft_sweeps.py runs/nano-0 runs/nano-1 runs/nano-2

Every arm of a run has its demonstrations and its random numbers, and is judged on the same held-out prompts, by gold
and by the reward model of that run. What is known of a run is kept in runs/sft_sweeps/, so that a second call goes on.
`--toy` tries it all in a minute.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random

import numpy as np
import torch
from best_of_n_sweeps import over_seeds
from trial import ROOT, Trial, write_results

from instructgpt_lite.config import SFT
from instructgpt_lite.data.records import Demonstration, Prompt
from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training import sft
from instructgpt_lite.world.prompts import demonstrate, ideal

PREDICTIONS = "5157d2f"              # the commit of results/predictions.md
FLAWED = 0.46                        # of the world's demonstrations
SIZES = {"prompts": 500, "validation": 500, "demonstrations": 2_300, "epochs": (1, 2, 4, 8, 16), "steps": (0, 50, 500)}
TOY = {"prompts": 12, "validation": 12, "demonstrations": 48, "epochs": (1, 2), "steps": (0, 2, 4)}
USUAL = "as the preset has it"
SHOWN = 6                            # held-out prompts whose answers are kept
Making = Callable[[Policy, Sequence[Demonstration]], Rollout]


def with_the_prompt(policy: Policy, shown: Sequence[Demonstration]) -> Rollout:
    """Every token but the first counts as response: the wrong mask."""
    rollout = USUALLY(policy, shown)
    rows = [row[:end].tolist() for row, end in zip(rollout.token_BS, rollout.length_B)]
    return Rollout.of([row[:1] for row in rows], [row[1:] for row in rows], policy.pad, policy.eos)


def without_the_end(policy: Policy, shown: Sequence[Demonstration]) -> Rollout:
    """What is left where PAD is EOS and padding does not count."""
    rollout = USUALLY(policy, shown)
    responses = [row[mask].tolist()[:-1] for row, mask in zip(rollout.response_BT, rollout.mask_BT)]
    prompts = [row[:n].tolist() for row, n in zip(rollout.token_BS, rollout.prompt_B)]
    return Rollout.of(prompts, responses, policy.pad, policy.eos)


USUALLY = sft.demonstrated


@contextmanager
def made_by(making: Making) -> Iterator[None]:
    """Within, demonstrations become rows in another way."""
    sft.demonstrated = making
    try:
        yield
    finally:
        sft.demonstrated = USUALLY


class Seed:
    """One run, and the arms from its base model."""

    def __init__(self, folder: str, sizes: dict) -> None:
        self.trial, self.sizes = Trial(folder, sizes["prompts"]), sizes
        self.config: SFT = replace(self.trial.config.sft, demonstrations=sizes["demonstrations"])
        world = self.trial.world
        asked = world.valid[:sizes["validation"]]
        self.valid = [demonstrate(each, world.facts, Random(f"valid {n}")) for n, each in enumerate(asked)]
        self.perfect = [Demonstration(each.prompt, ideal(each.category, each.key, Random(f"perfect {n}")))
                        for n, each in enumerate(asked)]

    def shown(self, flawed: float = FLAWED) -> list[Demonstration]:
        """The same prompts; `flawed` of the answers have something wrong with them."""
        world, prompts = self.trial.world, self.trial.world.train[:self.sizes["demonstrations"]]
        return [demonstrate(each, world.facts, Random(f"{self.config.seed} shown {n}"), flawed)
                for n, each in enumerate(prompts)]

    def trained(self, config: SFT, making: Making = USUALLY, flawed: float = FLAWED,
                steps: Sequence[int] = ()) -> dict:
        """An arm: its measures, by prompt where a prompt has one; answers at some steps."""
        policy, began, losses, samples = self.trial.policy("base"), time.process_time(), [], {}
        samples = {0: self.said(policy).texts[:SHOWN]} if steps else {}
        corpus = self.trial.corpus if config.pretraining_mix else None
        with made_by(making):
            for row in sft.finetune(policy, self.shown(flawed), config, corpus):
                losses.append(row["loss"])
                if row["step"] in steps:
                    samples[row["step"]] = self.said(policy).texts[:SHOWN]
        seconds = time.process_time() - began
        return self.judged(policy) | {"training loss": float(np.mean(losses[-len(losses) // config.epochs:])),
                                      "seconds": round(seconds, 1), "updates": len(losses), "samples": samples}

    def said(self, policy: Policy) -> policies.Answers:
        return self.trial.answers(policy)

    @torch.no_grad()
    def judged(self, policy: Policy) -> dict:
        said = self.said(policy)
        scores = [self.trial.reward(said.rollout[n:n + 128]) for n in range(0, len(said.texts), 128)]
        return {"gold": [each.gold for each in said.scores], "score": torch.cat(scores).tolist(),
                "ended": said.rollout.ended_B.double().tolist(),
                "tokens": said.rollout.mask_BT.sum(dim=1).double().tolist(),
                "validation loss": loss_of(policy, self.valid),
                "loss on perfect answers": loss_of(policy, self.perfect),
                "text loss": policies.pretraining_loss(policy, self.trial.corpus).mean}

    def arms(self) -> dict[str, Callable[[], dict]]:
        usual, init = self.config, replace(self.trial.config.rl_init, demonstrations=self.sizes["demonstrations"])

        def changed(by: float) -> SFT:
            return replace(usual, lr=by * usual.lr, matrix_lr=by * usual.matrix_lr)

        arms = {USUAL: lambda: self.trained(usual),
                "loss on the prompt as well": lambda: self.trained(usual, with_the_prompt),
                "no end in the loss": lambda: self.trained(usual, without_the_end)}
        arms |= {f"{n} epochs": lambda n=n: self.trained(replace(usual, epochs=n), steps=self.sizes["steps"])
                 for n in self.sizes["epochs"]}
        arms |= {f"{flawed:.0%} flawed": lambda flawed=flawed: self.trained(usual, flawed=flawed)
                 for flawed in (0.0, 0.15, 0.3, 0.6)}
        arms |= {f"learning rate times {by:g}": lambda by=by: self.trained(changed(by)) for by in (0.25, 0.5, 2, 4)}
        return arms | {f"mix {mix:g}": lambda mix=mix: self.trained(replace(init, pretraining_mix=mix))
                       for mix in (0.0, 0.1)}

    @torch.no_grad()
    def before(self) -> dict:
        """The base model, and the demonstrations themselves."""
        gold, asked = self.trial.world.gold, {each.prompt: each for each in self.trial.world.train}
        worth = {f"{flawed:.0%}": float(np.mean([gold(asked[each.prompt], each.completion).gold
                                                 for each in self.shown(flawed)]))
                 for flawed in (0.0, 0.15, 0.3, FLAWED, 0.6)}
        return self.judged(self.trial.policy("base")) | {"gold of demonstrations": worth}


def loss_of(policy: Policy, shown: Sequence[Demonstration]) -> float:
    """Nats a response token."""
    rollout, total = USUALLY(policy, shown), 0.0
    for n in range(0, len(rollout), 64):
        total -= policy.logp(rollout[n:n + 64]).sum().item()
    return total / rollout.mask_BT.sum().item()


def found_in(folder: str, sizes: dict, kept) -> dict:
    """Every arm of one run; what is known already is read."""
    found = json.loads(kept.read_text()) if kept.exists() else {}
    seed = Seed(folder, sizes)
    for name, arm in {"base": seed.before, **seed.arms()}.items():
        if name not in found:
            found[name] = arm()
            write_json(kept, found)
            print(folder, name, {what: round(float(np.mean(found[name][what])), 3) for what in
                                 ("gold", "score", "ended", "validation loss", "text loss")},
                  round(time.process_time()), "s", flush=True)
    return found


def summary(runs: list[dict], usual: list[dict]) -> dict:
    """An arm: means over seeds with intervals over prompts, and each seed's own."""
    told = {what: over_seeds([run[what] for run in runs]) for what in ("gold", "score", "ended", "tokens")}
    gaps = [np.array(run["gold"]) - np.array(other["gold"]) for run, other in zip(runs, usual)]
    told["gain"] = {"all": over_seeds(gaps), "of seeds": [round(float(gap.mean()), 5) for gap in gaps]}
    for what in ("validation loss", "loss on perfect answers", "text loss", "training loss", "seconds", "updates"):
        if what in runs[0]:
            told[what] = [round(run[what], 4) for run in runs]
    return told | {"gold of seeds": [round(float(np.mean(run["gold"])), 5) for run in runs]}


def main(folders: list[str], toy: bool) -> None:
    torch.set_num_threads(1)
    sizes, home = TOY if toy else SIZES, ROOT / "runs" / ("sft_sweeps_toy" if toy else "sft_sweeps")
    home.mkdir(parents=True, exist_ok=True)
    found = [found_in(folder, sizes, home / f"{folder.rpartition('-')[2]}.json") for folder in folders]
    longest = f"{sizes['epochs'][2 if len(sizes['epochs']) > 2 else -1]} epochs"
    prompts: list[Prompt] = Seed(folders[0], sizes).trial.held_out[:SHOWN]
    write_results((home if toy else ROOT / "results") / "sft_sweeps.json", {
        "command": f"python tools/sft_sweeps.py {' '.join(folders)}", "predictions": PREDICTIONS, "sizes": sizes,
        "intervals": "95 %, over held-out prompts, of the mean over the runs",
        "gain": f"gold less that of {USUAL!r}; of mix 0.1, less that of mix 0",
        "arms": {name: summary([run[name] for run in found],
                               [run["mix 0" if name == "mix 0.1" else USUAL] for run in found]) for name in found[0]},
        "gold of demonstrations": [run["base"]["gold of demonstrations"] for run in found],
        "samples": {"prompts": [each.prompt for each in prompts], "answers": found[0][longest]["samples"]}})


if __name__ == "__main__":
    main([each for each in sys.argv[1:] if each != "--toy"], "--toy" in sys.argv)
