"""What the stages of a run share: its world, its data, its finished models; and each stage set up."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from instructgpt_lite.config import Run
from instructgpt_lite.data.jsonl import read_jsonl, write_jsonl
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.files import write_json
from instructgpt_lite.judging import table
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.reward import center, collect, train_reward
from instructgpt_lite.training.sft import finetune
from instructgpt_lite.world.world import World


class Workshop:
    """A configuration and a folder, and what the stages share: world, data, finished models."""

    def __init__(self, config: Run, folder: str | Path):
        self.config, self.folder = config, Path(folder)

    @cached_property
    def world(self) -> World:
        return World(self.config.world)

    @cached_property
    def base(self) -> Policy:
        return self.policy("base")

    @cached_property
    def corpus(self):
        return self.world.corpus(self.base.tokenizer)

    def stage_config(self, name: str):
        """The configuration of a stage, with the seed of the run added to its own."""
        config = getattr(self.config, {"ppo_ptx": "ppo", "base": "pretrain"}.get(name, name))
        config = replace(config, seed=config.seed + self.config.seed)
        return replace(config, gamma=0.0) if name == "ppo" else config

    def model(self, name: str) -> Path:
        return self.folder / "models" / name

    def policy(self, name: str) -> Policy:
        return Policy.load(self.model(name))

    def prompts(self, use: str) -> list:
        """Training prompts of a use; no prompt serves two, as in the paper (Table 6)."""
        sizes = {"sft": max(self.config.sft.demonstrations, self.config.rl_init.demonstrations),
                 "collect": self.config.collect.prompts, "ppo": self.config.ppo.prompts}
        uses = list(sizes)
        start = sum(sizes[earlier] for earlier in uses[:uses.index(use)])
        if sum(sizes.values()) > len(self.world.train):
            raise ValueError(f"sft.demonstrations + collect.prompts + ppo.prompts = {sum(sizes.values())}, but world "
                             f"{self.config.world} has {len(self.world.train)} training prompts: ask for fewer")
        return self.world.train[start:start + sizes[use]]

    @cached_property
    def rankings(self) -> list[Ranking]:
        return [ranking for part in sorted((self.folder / "rankings").glob("*.jsonl"))
                for ranking in read_jsonl(part, Ranking, allow_empty=True)]

    # Each stage: what it trains, and the generator that trains it.

    def stage_base(self, resume):
        policy = Policy.new(self.config.architecture, self.world.tokenizer(), seed=self.stage_config("base").seed)
        corpus = self.world.corpus(policy.tokenizer)
        return policy, pretrain(policy, corpus, self.stage_config("base"), resume)

    def stage_sft(self, resume, name: str = "sft"):
        policy, config = self.policy("base"), self.stage_config(name)
        shown = self.world.demonstrations(config.demonstrations, config.seed)
        return policy, finetune(policy, shown, config, self.corpus, resume)

    def stage_rl_init(self, resume):
        return self.stage_sft(resume, "rl_init")

    def stage_collect(self, resume):
        policy, config = self.policy("rl_init"), self.stage_config("collect")
        self.calibrate()
        return None, self.collecting(policy, config)

    def calibrate(self) -> dict:
        """The labelers of a run stay the same people: what they are is kept in a file."""
        path = self.folder / "labelers.json"
        if not path.exists():
            write_json(path, table.calibrate(self.world, self.policy("rl_init"), self.stage_config("collect")))
        found = json.loads(path.read_text())
        for people in (self.world.labelers, self.world.heldout_labelers):
            people.noise = found["noise"][people.population]
        return found

    def collecting(self, policy, config) -> Iterator[dict]:
        prompts = self.prompts("collect")
        (self.folder / "rankings").mkdir(exist_ok=True)
        steps = -(-len(prompts) // config.batch_size)
        for batch in range(steps):
            path = self.folder / "rankings" / f"{batch:05}.jsonl"
            if not path.exists():                       # else an interrupted run has left it, whole
                write_jsonl(path, collect(policy, prompts, self.world.labelers, config, batch))
            ranked = read_jsonl(path, Ranking, allow_empty=True)
            yield {"step": batch + 1, "steps": steps, "rankings": len(ranked),
                   "pairs": sum(len(each.pairs) for each in ranked)}

    def stage_reward(self, resume):
        policy, config = self.policy("rl_init"), self.stage_config("reward")
        reward = ScalarModel.on(policy, config.seed)
        shown = self.world.demonstrations(self.config.rl_init.demonstrations)
        return reward, self.rewarding(reward, policy, shown, config, resume)

    def rewarding(self, reward, policy, shown, config, resume) -> Iterator[dict]:
        yield from train_reward(reward, self.rankings, config, resume)
        center(reward, policy, shown)

    def stage_ppo(self, resume, name: str = "ppo"):
        policy, reward = self.policy("rl_init"), ScalarModel.load(self.model("reward")).frozen()
        prompts = [prompt.prompt for prompt in self.prompts("ppo")]
        return policy, ppo_ptx(policy, self.policy("rl_init").frozen(), reward, prompts, self.stage_config(name),
                               self.corpus, resume)

    def stage_ppo_ptx(self, resume):
        return self.stage_ppo(resume, "ppo_ptx")

    def stage_evaluate(self, resume):
        return None, self.evaluating(self.calibrate())

    def evaluating(self, people: dict) -> Iterator[dict]:
        """Write evaluation.json and samples.json; yields one row of means for each part."""
        config, room = self.config.evaluate, self.config.collect.max_new_tokens
        models = {name: self.policy(name) for name in ("base", "sft", "rl_init", "ppo", "ppo_ptx")}
        answers = table.answers_of(models, self.world, config, room)
        policies = table.judge_policies(models, answers, self.world, config.seed)
        write_json(self.folder / "samples.json", table.samples(answers))
        yield {"step": 1, "steps": 2, **{f"{name} {what}": value.mean
                                         for name, row in policies.items() for what, value in row.items()}}
        reward = ScalarModel.load(self.model("reward"))
        judged = table.judge_reward(reward, models["rl_init"], self.world, config, room)
        yield {"step": 2, "steps": 2, **{name: value.mean for name, value in judged.items()}}
        write_json(self.folder / "evaluation.json", {"policies": policies, "reward": judged, "labelers": people})
