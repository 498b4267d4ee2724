"""Choices of PPO on which the paper is silent, each tried another way from the same runs: results/hazards.json.

    python tools/hazards.py runs/tiny-0 runs/tiny-1 runs/tiny-2

Every arm is PPO-ptx of the run's preset with one thing changed: same start, reward model, prompts, random numbers.
"gain" is its mean gold score less that of the unchanged arm, paired by held-out prompt.
"""

import statistics
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from instructgpt_lite.config import Run
from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.run.folder import RunFolder
from instructgpt_lite.run.stages import seeded, unseen_prompts
from instructgpt_lite.theory.masked import masked_whiten
from instructgpt_lite.training import loop, ppo_ptx
from instructgpt_lite.world.world import World

ROOT = Path(__file__).parent.parent
HELD_OUT = 1_000                     # prompts
CHANGES = {                          # of the configuration
    "as the preset has it": {},
    "values not clipped": {"value_clip": 0.0},
    "gamma 0": {"gamma": 0.0},
    "gamma 27.8": {"gamma": 27.8},
}
PERFECT = "scores are the training labelers' own, without noise"
OTHERS = ("an unended response is scored with an end", "an unended response scores -2", "scores with deviation 1",
          "whitened by minibatch", "the value learns alone for 2 iterations", PERFECT)


def with_an_end(reward: ScalarModel) -> ppo_ptx.Reward:
    """The score of a response that did not end is that of the response and an end."""
    def score(rollout: Rollout) -> torch.Tensor:
        ends = rollout.prompt_B + rollout.mask_BT.sum(dim=1)
        rows = [row.tolist() for row in rollout.token_BS]
        prompts = [row[:start] for row, start in zip(rows, rollout.prompt_B)]
        responses = [row[start:end] if ended else [*row[start:end], reward.eos]
                     for row, start, end, ended in zip(rows, rollout.prompt_B, ends, rollout.ended_B)]
        return reward(Rollout.of(prompts, responses, reward.pad, reward.eos))

    return score


def constant(reward: ScalarModel, score: float) -> ppo_ptx.Reward:
    """Every response that did not end has the same score."""
    return lambda rollout: torch.where(rollout.ended_B, reward(rollout), torch.tensor(score))


def scaled(reward: ScalarModel, by: float) -> ppo_ptx.Reward:
    """Scores in units of `by`."""
    return lambda rollout: reward(rollout) / by


@contextmanager
def whitened_by_minibatch() -> Iterator[None]:
    """The surrogate sees advantages with mean 0 and variance 1 in each minibatch."""
    usual = ppo_ptx.policy_loss

    def policy_loss(logp_BT, old_logp_BT, advantage_BT, mask_BT, clip):
        return usual(logp_BT, old_logp_BT, masked_whiten(advantage_BT, mask_BT), mask_BT, clip)

    ppo_ptx.policy_loss = policy_loss
    try:
        yield
    finally:
        ppo_ptx.policy_loss = usual


class Trial:
    """One finished run, from whose RL start and reward model every arm begins."""

    def __init__(self, folder: Path) -> None:
        self.run = RunFolder.read(folder)
        asked = self.run.config
        self.config: Run = seeded(replace(PRESETS[asked["preset"]], seed=asked["seed"]))
        self.world = World(self.config.world)
        noise = self.run.json("labelers.json")["noise"]
        self.world.heldout_labelers.noise = noise[self.world.heldout_labelers.population]
        self.start = Policy.load(self.run.model("rl_init")).frozen()
        self.reward = ScalarModel.load(self.run.model("reward")).frozen()
        self.corpus = self.world.corpus(self.start.tokenizer)
        self.prompts = [prompt.prompt for prompt in unseen_prompts(self.config, self.world)[1]]
        self.sft = self.answers(Policy.load(self.run.model("sft")))

    def answers(self, policy: Policy) -> policies.Answers:
        return policies.answer(policy, self.world, self.world.test[:HELD_OUT], self.config.ppo.max_new_tokens,
                               self.config.evaluate.seed)

    def deviation(self) -> float:
        """Of the scores of what the RL start says."""
        rollout = self.sampled(self.start, self.prompts[:HELD_OUT], "deviation", 0)
        return float(self.reward(rollout).std())

    def perfect(self) -> ppo_ptx.Reward:
        """What training labelers feel on average, with the reward model's deviation: no reward model has less error."""
        prompts = unseen_prompts(self.config, self.world)[1]
        asked = {tuple(ids): prompt for ids, prompt in zip(self.start.encode(self.prompts), prompts)}
        people = self.world.labelers.people

        def felt(rollout: Rollout) -> torch.Tensor:
            rows = zip(rollout.token_BS.tolist(), rollout.prompt_B, self.start.texts(rollout))
            scores = [self.world.gold(asked[tuple(row[:start])], text) for row, start, text in rows]
            return torch.tensor([statistics.mean(person.utility(score) for person in people) for score in scores])

        rollout = self.sampled(self.start, self.prompts[:HELD_OUT], "deviation", 0)
        mean, scale = felt(rollout).mean(), self.deviation() / felt(rollout).std()
        return lambda rollout: (felt(rollout) - mean) * scale

    def sampled(self, policy: Policy, prompts: list[str], *names: str | int) -> Rollout:
        return policy.sample(prompts, max_new_tokens=self.config.ppo.max_new_tokens,
                             generator=loop.generator(self.config.ppo.seed, *names))

    def learned_alone(self, iterations: int) -> ScalarModel:
        """A value function that has seen so many batches of the RL start."""
        config, value = self.config.ppo, ScalarModel.on(self.reward)
        optimizers = loop.make_optimizers(value, config.value_lr, betas=config.adam_betas)
        for step in range(iterations):
            rows = loop.stream(step, len(self.prompts), config.batch_size, config.seed, "value")
            rollout = self.sampled(self.start, [self.prompts[n] for n in rows], "value", step)
            experience = ppo_ptx.look_back(rollout, self.start, self.reward, value, config, step)
            for minibatch in ppo_ptx.minibatches(len(rollout), config, loop.generator(config.seed, "alone", step)):
                part = experience[minibatch]
                loss = ppo_ptx.value_loss(value.values(part.rollout), part.value_BT, part.return_BT, part.mask_BT,
                                          config.value_clip)
                loss.backward()
                loop.update("value", step, {value: optimizers}, config.clip_norm, loss=loss)
        return value

    def arm(self, name: str) -> tuple[dict, policies.Answers]:
        """What the policy of an arm says, and numbers about it."""
        reward: Callable = self.reward
        value, config = self.reward, replace(self.config.ppo, **CHANGES.get(name, {}))
        if name == "an unended response is scored with an end":
            reward = with_an_end(self.reward)
        elif name == "an unended response scores -2":
            reward = constant(self.reward, -2.0)
        elif name == "scores with deviation 1":
            reward = scaled(self.reward, self.deviation())
        elif name == PERFECT:
            reward = self.perfect()
        elif name.startswith("the value learns alone"):
            value = self.learned_alone(int(name.split()[5]))
        policy = Policy.load(self.run.model("rl_init"))
        stage = ppo_ptx.ppo_ptx(policy, self.start, reward, self.prompts, config, self.corpus, value=value)
        if name == "whitened by minibatch":
            with whitened_by_minibatch():
                rows = list(stage)
        else:
            rows = list(stage)
        said = self.answers(policy)
        win = policies.labeler_win_rate(said, self.sft, self.world.heldout_labelers, self.config.evaluate.seed)
        return {"gold": policies.gold_score(said).mean,
                "gold_win": policies.gold_win_rate(said, self.sft).mean, "labeler_win": win.mean,
                "pretraining_loss": policies.pretraining_loss(policy, self.corpus).mean,
                "kl": rows[-1]["kl"], "ended": rows[-1]["ended"],
                "explained_variance": [row["explained_variance"] for row in rows[:5]]}, said


def tried(folder: str) -> dict[str, dict]:
    """The numbers of every arm from one run."""
    torch.set_num_threads(1)
    trial, usual, found = Trial(ROOT / folder), None, {}
    for name in (*CHANGES, *OTHERS):
        numbers, said = trial.arm(name)
        usual = usual or said
        found[name] = numbers | {"gain": policies.gold_gain(said, usual)}
        print(folder, name, found[name], flush=True)
    return found


def main(folders: list[str]) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as workers:
        runs = dict(zip(folders, workers.map(tried, folders)))
    arms = {}
    for name in (*CHANGES, *OTHERS):
        gains = [run[name]["gain"].mean for run in runs.values()]
        arms[name] = {folder: run[name] for folder, run in runs.items()}
        arms[name]["gain"] = [statistics.mean(gains), min(gains), max(gains)]
    write_json(ROOT / "results" / "hazards.json", {
        "command": f"python tools/hazards.py {' '.join(folders)}", "prompts": HELD_OUT,
        "gain": "gold score less that of the preset: mean of the runs, lowest, highest", "arms": arms})


if __name__ == "__main__":
    main(sys.argv[1:])
