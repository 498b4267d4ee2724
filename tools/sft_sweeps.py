"""Supervised fine-tuning with one thing changed, from the same base model: results/sft_sweeps.json, chapter 5.

    python tools/sft_sweeps.py runs/nano-0 runs/nano-1 runs/nano-2

A run gives the base model, the seed, the reward model that scores and the labelers' noise. What an arm has found is
kept in runs/sft_sweeps/, so that a second call goes on where the first stopped. Arms are compared by held-out prompt.
`--toy` tries it all in seconds, at a size that learns nothing.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
import torch
from trial import ROOT, Trial, write_results

from instructgpt_lite.config import SFT
from instructgpt_lite.data.records import Demonstration
from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.judging.intervals import bootstrap
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training import sft
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.sft import finetune
from instructgpt_lite.world.prompts import demonstrate

PREDICTIONS = "5157d2f"              # the commit of results/predictions.md
SIZES = {"held out": 500, "valid": 800, "seen": 400, "demonstrations": None, "text rows": 256}
TOY = {"held out": 12, "valid": 12, "seen": 12, "demonstrations": 32, "text rows": 2}
EPOCHS = (1, 2, 4, 8, 16)
NOISES = (0.0, 0.2, 0.4, 0.6)
RATES = (0.25, 0.5, 2.0, 4.0)
MIXES = (0.0, 0.1, 0.5)
TEMPERATURES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
USUAL, PROMPT, PAD_IS_EOS, PADDING = "usual", "loss on the prompt too", "PAD = EOS", "padding in the loss"
Change = Callable[[Rollout], Rollout]


# ---- what may go wrong with the mask

def prompt_counts(rollout: Rollout) -> Rollout:
    """All tokens but the first are predicted: prompt and response."""
    rows = [row[:length].tolist() for row, length in zip(rollout.token_BS, rollout.length_B)]
    return Rollout.of([row[:1] for row in rows], [row[1:] for row in rows], rollout.pad, rollout.eos)


def end_is_padding(rollout: Rollout) -> Rollout:
    """With one token for both, what masks the padding masks the end."""
    return replace(rollout, mask_BT=rollout.mask_BT & (rollout.response_BT != rollout.eos))


def padding_counts(rollout: Rollout) -> Rollout:
    """All rows are filled with ends up to the longest, and every end counts."""
    width = rollout.token_BS.size(1)
    rows = zip(rollout.token_BS, rollout.prompt_B, rollout.length_B)
    halves = [(row[:start].tolist(), row[start:end].tolist() + [rollout.eos] * (width - int(end)))
              for row, start, end in rows]
    return Rollout.of(*map(list, zip(*halves)), rollout.pad, rollout.eos)


@contextmanager
def masked_by(change: Change | None) -> Iterator[None]:
    """Within, fine-tuning sees its demonstrations changed."""
    usual = sft.demonstrated
    if change:
        sft.demonstrated = lambda *given: change(usual(*given))
    try:
        yield
    finally:
        sft.demonstrated = usual


# ---- arms

@dataclass(frozen=True)
class Arm:
    """Changes of the stage's configuration, of the mask and of the demonstrations; with which arm it is compared."""

    changes: dict = field(default_factory=dict)
    rate: float = 1.0
    mask: Change | None = None
    noise: float | None = None
    stage: str = "sft"
    than: str | None = USUAL
    along: tuple[int, ...] = ()          # epochs after which it is judged as well


ARMS = {
    USUAL: Arm(than=None),
    "base": Arm({"epochs": 0}),
    PROMPT: Arm(mask=prompt_counts),
    PAD_IS_EOS: Arm(mask=end_is_padding),
    PADDING: Arm(mask=padding_counts),
    **{f"epochs {n}": Arm({"epochs": n}, than="epochs 1" if n > 1 else None, along=EPOCHS[:-1] * (n == EPOCHS[-1]))
       for n in EPOCHS},
    "epochs 16, no dropout": Arm({"epochs": 16, "dropout": 0.0}, than="epochs 16", along=EPOCHS[:-1]),
    **{f"mix {mix:g}": Arm({"pretraining_mix": mix}, stage="rl_init", than="mix 0.1" if mix != 0.1 else None)
       for mix in MIXES},
    **{f"noise {noise:g}": Arm(noise=noise, than=f"noise {last:g}" if noise else None)
       for last, noise in zip((0, *NOISES), NOISES)},
    **{f"rate {rate:g}": Arm(rate=rate) for rate in RATES},
}


class Seed:
    """What the arms of one run share."""

    def __init__(self, folder: str, sizes: dict) -> None:
        self.folder, self.sizes, self.trial = folder, sizes, Trial(folder, sizes["held out"])
        world, rng = self.trial.world, Random("held-out demonstrations")
        self.valid = [demonstrate(each, world.facts, rng) for each in world.valid[:sizes["valid"]]]
        self.right = [world.gold(prompt, shown.completion).gold > 0.99
                      for prompt, shown in zip(world.valid, self.valid)]

    def config(self, arm: Arm) -> SFT:
        config = getattr(self.trial.config, arm.stage)
        few = {"demonstrations": self.sizes["demonstrations"]} if self.sizes["demonstrations"] else {}
        return replace(config, lr=arm.rate * config.lr, matrix_lr=arm.rate * config.matrix_lr, **few | arm.changes)

    def shown(self, arm: Arm, config: SFT) -> list[Demonstration]:
        world = self.trial.world
        if arm.noise is None:
            return world.demonstrations(config.demonstrations, config.seed)
        rng = Random(f"demonstrations {world.seed} {config.seed}")
        return [demonstrate(each, world.facts, rng, arm.noise) for each in world.train[:config.demonstrations]]

    def tried(self, arm: Arm) -> dict:
        """What an arm finds: at its end, and after the epochs at which it is looked at."""
        config, policy, found, losses = self.config(arm), self.trial.policy("base"), {}, []
        shown, began, seconds = self.shown(arm, config), time.process_time(), 0.0
        with masked_by(arm.mask):
            for row in finetune(policy, shown, config, self.trial.corpus):
                losses.append(row["loss"])
                if row["epoch"] in arm.along:
                    seconds += time.process_time() - began
                    found[f"{row['epoch']:g}"] = self.judged(policy, shown)
                    began = time.process_time()
        seconds += time.process_time() - began
        last = losses[-max(1, len(losses) // max(1, config.epochs)):]
        return {"steps": len(losses), "seconds": round(seconds, 2), "loss": float(np.mean(last)) if last else None,
                **self.judged(policy, shown), "along": found}

    @torch.no_grad()
    def judged(self, policy: Policy, shown: Sequence[Demonstration]) -> dict:
        """By prompt, by held-out demonstration and by demonstration that was learned from."""
        trial = self.trial
        said, longest = trial.answers(policy), trial.config.ppo.max_new_tokens
        surest = policy.sample([each.prompt for each in trial.held_out], max_new_tokens=longest, temperature=0.01,
                               generator=generator(0, "surest"))
        surest = policies.judged(trial.world.gold, trial.held_out, policy.texts(surest))
        valid = [losses(policy, self.valid, each) for each in TEMPERATURES]
        return {"texts": said.texts, "gold": [each.gold for each in said.scores],
                "surest": [each.gold for each in surest.scores], "score": policies.scores(trial.reward, said),
                "ended": said.rollout.ended_B.tolist(), "length": said.rollout.mask_BT.sum(dim=1).tolist(),
                "valid": [each for each, _ in valid], "tokens": valid[0][1], "end": end_losses(policy, self.valid),
                "seen": [sum(each) for each in losses(policy, shown[:self.sizes["seen"]])],
                "text": policies.pretraining_loss(policy, trial.corpus, self.sizes["text rows"])}


def losses(policy: Policy, shown: Sequence[Demonstration], temperature: float = 1.0) -> tuple[list, list]:
    """Of each demonstration: nats in all, and tokens."""
    rollout = sft.demonstrated(policy, shown)
    logp_BT = policy.logp(rollout, temperature)
    return (-logp_BT.sum(dim=1)).tolist(), rollout.mask_BT.sum(dim=1).tolist()


def end_losses(policy: Policy, shown: Sequence[Demonstration]) -> list[float]:
    """Nats at each demonstration's end."""
    rollout = sft.demonstrated(policy, shown)
    last_B1 = rollout.mask_BT.sum(dim=1, keepdim=True) - 1
    return (-policy.logp(rollout).gather(1, last_B1)[:, 0]).tolist()


# ---- over seeds

def over(by_seed: Sequence[Sequence[float]], weights: Sequence[float] | None = None) -> list[float]:
    """Mean over seeds of each prompt's value; its mean and interval over prompts; then that of each seed."""
    value_SN = np.asarray(by_seed, dtype=float)
    mean_N = value_SN.mean(axis=0)
    if weights is None:
        return [round(x, 5) for x in bootstrap(mean_N)]
    return [round(x, 5) for x in bootstrap(mean_N / np.asarray(weights), weights)]


def of_seeds(by_seed: Sequence[Sequence[float]], weights: Sequence[float] | None = None) -> list[float]:
    total = len(by_seed[0]) if weights is None else sum(weights)
    return [round(float(np.sum(each) / total), 5) for each in by_seed]


def measured(seeds: Sequence[Seed], found: Sequence[dict], ones: Sequence[dict]) -> dict:
    """One arm, at one time, over its seeds; `ones` is what held-out labelers compare its answers with."""
    tokens, right = found[0]["tokens"], np.array(seeds[0].right)
    prefers = []
    for seed, each, one in zip(seeds, found, ones):
        rng, people = Random("judge sweep"), seed.trial.world.heldout_labelers
        prefers.append([people.prefers(*row, rng) for row in zip(seed.trial.held_out, each["texts"], one["texts"])])
    by_prompt = {what: [each[what] for each in found] for what in ("gold", "surest", "score", "ended", "length")}
    by_prompt |= {"win": prefers, "end loss": [each["end"] for each in found]}
    result = {what: over(values) for what, values in by_prompt.items()}
    result["valid"] = over([each["valid"][0] for each in found], tokens)
    result["valid by temperature"] = [over([each["valid"][t] for each in found], tokens)[0]
                                      for t in range(len(TEMPERATURES))]
    for name, chosen in (("valid, right", right), ("valid, flawed", ~right)):
        kept = np.flatnonzero(chosen)
        result[name] = over([np.array(each["valid"][0])[kept] for each in found], np.array(tokens)[kept])
    seeds_of = {what: of_seeds(values) for what, values in by_prompt.items()}
    seeds_of["valid"] = of_seeds([each["valid"][0] for each in found], tokens)
    seeds_of["seen"] = [round(nats / count, 5) for nats, count in (each["seen"] for each in found)]
    seeds_of["text"] = [[round(x, 5) for x in each["text"]] for each in found]
    cases = np.array([prompt.category for prompt in seeds[0].trial.held_out])
    by_case = {str(case): {what: over([np.array(each[what])[cases == case] for each in found])
                           for what in ("gold", "score")} for case in np.unique(cases)}
    return result | {"of seeds": seeds_of, "use cases": by_case}


def less(found: Sequence[dict], other: Sequence[dict]) -> dict:
    """An arm's measures less another's, paired; "clear" as results/predictions.md has it, 1 or -1, else 0."""
    result = {}
    for what, at in (("gold", lambda x: x["gold"]), ("surest", lambda x: x["surest"]), ("score", lambda x: x["score"]),
                     ("ended", lambda x: x["ended"]), ("valid", lambda x: x["valid"][0])):
        tokens = found[0]["tokens"] if what == "valid" else None
        gap = [np.array(at(a), dtype=float) - np.array(at(b), dtype=float) for a, b in zip(found, other, strict=True)]
        whole, each = over(gap, tokens), of_seeds(gap, tokens)
        side = int(whole[1] > 0) - int(whole[2] < 0)
        result[what] = {"all": whole, "of seeds": each,
                        "clear": side * int(sum(side * x > 0 for x in each) >= len(each) - 1)}
    return result


def against_people(seeds: Sequence[Seed], name: str, found: Sequence[dict]) -> dict:
    """Gold of what people with as many flaws write to the held-out prompts, and of the model less that."""
    own = []
    for seed in seeds:
        world, rng = seed.trial.world, Random("people")
        own.append([world.gold(each, demonstrate(each, world.facts, rng, ARMS[name].noise).completion).gold
                    for each in seed.trial.held_out])
    result = {"gold": over(own)}
    for title, what in (("model", "gold"), ("surest", "surest")):
        gap = [np.array(each[what]) - np.array(people) for each, people in zip(found, own)]
        result |= {f"{title} less people": over(gap), f"{title}, of seeds": of_seeds(gap)}
    return result


def on_the_way(found: Sequence[dict]) -> dict:
    """What changes from one look at an arm to the next."""
    looks = {n: [each["along"][n] for each in found] for n in found[0]["along"]} | {"the end": found}
    return {f"{b} less {a}": less(looks[b], looks[a]) for place, a in enumerate(looks) for b in list(looks)[place + 1:]}


def shortened(arm: Arm) -> Arm:
    """At most an epoch, or two where it is looked at on the way."""
    epochs = 2 if arm.along else min(1, arm.changes.get("epochs", 1))
    return replace(arm, changes=arm.changes | {"epochs": epochs}, along=arm.along[:1])


class Sweep:
    """All seeds, their arms so far, and the file of results."""

    def __init__(self, folders: list[str], toy: bool) -> None:
        self.toy, self.sizes, self.folders = toy, TOY if toy else SIZES, folders
        self.kept = ROOT / "runs" / ("sft_sweeps_toy" if toy else "sft_sweeps")
        self.kept.mkdir(parents=True, exist_ok=True)
        self.seeds = [Seed(folder, self.sizes) for folder in folders]
        self.found: dict[str, list[dict]] = {}

    def run(self) -> None:
        for name, arm in ARMS.items():
            for seed in self.seeds:
                path = self.kept / f"{seed.folder.rpartition('-')[2]} {name}.json"
                if not path.exists():
                    write_json(path, seed.tried(shortened(arm) if self.toy else arm))
                self.found.setdefault(name, []).append(json.loads(path.read_text()))
                last = self.found[name][-1]
                print(seed.folder, name, f"gold {np.mean(last['gold']):.3f}, trained {last['seconds']:.0f} s,",
                      f"all {time.process_time():.0f} s", flush=True)
        self.write()

    def write(self) -> None:
        found, arms = self.found, {}
        for name, arm in ARMS.items():
            arms[name] = measured(self.seeds, found[name], found["epochs 1"])
            arms[name] |= {what: [each[what] for each in found[name]] for what in ("steps", "seconds", "loss")}
            arms[name]["along"] = {n: measured(self.seeds, [each["along"][n] for each in found[name]],
                                               found["epochs 1"]) for n in found[name][0]["along"]}
            if arms[name]["along"]:
                arms[name]["on the way"] = on_the_way(found[name])
            if arm.than:
                arms[name]["less"] = {"than": arm.than, **less(found[name], found[arm.than])}
            if arm.noise is not None:
                arms[name]["people"] = against_people(self.seeds, name, found[name])
        pairs = [(f"epochs {b}", f"epochs {a}") for a, b in zip(EPOCHS, EPOCHS[1:])]
        pairs += [(USUAL, "base"), ("noise 0.6", "noise 0")]
        write_results((self.kept if self.toy else ROOT / "results") / "sft_sweeps.json", {
            "command": f"python tools/sft_sweeps.py {' '.join(self.folders)}", "predictions": PREDICTIONS,
            "sizes": self.sizes, "temperatures": TEMPERATURES, "right": round(float(np.mean(self.seeds[0].right)), 4),
            "deviation": [round(seed.trial.deviation(), 4) for seed in self.seeds],
            "intervals": "95 %, over held-out prompts or demonstrations, of the mean over seeds",
            "win": "over what the model of one epoch says, by held-out labelers", "arms": arms,
            "steps": {f"{one} less {other}": less(found[one], found[other]) for one, other in pairs}})


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    toy = "--toy" in arguments
    Sweep([each for each in arguments if each != "--toy"] or [f"runs/nano-{n}" for n in range(3)], toy).run()


if __name__ == "__main__":
    main(sys.argv[1:])
