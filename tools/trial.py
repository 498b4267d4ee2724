"""A finished run, from whose RL start and reward model PPO is tried again with something changed."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from instructgpt_lite.config import PPO, Run
from instructgpt_lite.files import write_bytes
from instructgpt_lite.judging import policies
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.run.folder import RunFolder
from instructgpt_lite.run.stages import seeded, unseen_prompts
from instructgpt_lite.training import loop, ppo_ptx
from instructgpt_lite.world.world import World

ROOT = Path(__file__).parent.parent


class Trial:
    """What every arm of one run shares: start, reward model, prompts, random numbers, held-out prompts."""

    def __init__(self, folder: str, held_out: int) -> None:
        self.run = RunFolder.read(ROOT / folder)
        asked = self.run.config
        self.config: Run = seeded(replace(PRESETS[asked["preset"]], seed=asked["seed"]))
        self.world = World(self.config.world)
        noise = self.run.json("labelers.json")["noise"]
        self.world.heldout_labelers.noise = noise[self.world.heldout_labelers.population]
        self.held_out = self.world.test[:held_out]
        self.start = Policy.load(self.run.model("rl_init")).frozen()
        self.reward = ScalarModel.load(self.run.model("reward")).frozen()
        self.corpus = self.world.corpus(self.start.tokenizer)
        self.unseen = unseen_prompts(self.config, self.world)[1]
        self.prompts = [prompt.prompt for prompt in self.unseen]
        self.sft = self.answers(self.policy("sft"))

    def policy(self, stage: str = "rl_init") -> Policy:
        """A stage's model, to train or to judge; that of the RL start by itself."""
        return Policy.load(self.run.model(stage))

    def reinforced(self, config: PPO, policy: Policy | None = None, reward: ppo_ptx.Reward | None = None,
                   value: ScalarModel | None = None) -> tuple[Policy, list[dict]]:
        """The policy after PPO-ptx, and the rows of its training."""
        policy = policy or self.policy()
        rows = ppo_ptx.ppo_ptx(policy, self.start, reward or self.reward, self.prompts, config, self.corpus,
                               value=value or self.reward)
        return policy, list(rows)

    def answers(self, policy: Policy) -> policies.Answers:
        return policies.answer(policy, self.world, self.held_out, self.config.ppo.max_new_tokens,
                               self.config.evaluate.seed)

    def labeler_win(self, said: policies.Answers) -> policies.Interval:
        """Over SFT, by labelers whom no model was trained on."""
        return policies.labeler_win_rate(said, self.sft, self.world.heldout_labelers, self.config.evaluate.seed)

    def sampled(self, policy: Policy, prompts: list[str], *names: str | int) -> Rollout:
        return policy.sample(prompts, max_new_tokens=self.config.ppo.max_new_tokens,
                             generator=loop.generator(self.config.ppo.seed, *names))

    def deviation(self) -> float:
        """Of the scores of what the RL start says."""
        return float(self.reward(self.sampled(self.start, self.prompts[:len(self.held_out)], "deviation", 0)).std())


Arm = Callable[[Trial], tuple[Policy, list[dict]]]


def changed(changes: dict) -> Arm:
    """PPO-ptx with these fields of its configuration replaced."""
    return lambda trial: trial.reinforced(replace(trial.config.ppo, **changes))


def one_line_lists(results: dict) -> str:
    """JSON with every list of numbers on one line."""
    return re.sub(r"\[[-+.\deE,\s]+\]", lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"),
                  json.dumps(results, indent=1)) + "\n"


def write_results(path: Path, results: dict) -> None:
    """With the commit whose code made them, after the command."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    command = {"command": results["command"], "commit": commit.stdout.strip()}
    write_bytes(path, one_line_lists(command | results).encode())
