"""Choices of PPO on which the paper is silent, each tried another way from the same runs: results/hazards.json.

    python tools/hazards.py runs/tiny-0 runs/tiny-1 runs/tiny-2

Every arm is PPO-ptx of the run's preset with one thing changed: same start, reward model, prompts, random numbers.
"gain" is its mean gold score less that of the unchanged arm, paired by held-out prompt.
"""

import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import torch
from trial import ROOT, Arm, Trial, changed

from instructgpt_lite.files import write_json
from instructgpt_lite.judging import policies
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.masked import masked_whiten
from instructgpt_lite.training import loop, ppo_ptx

HELD_OUT = 1_000                     # prompts
CHANGES = {                          # of the configuration
    "as the preset has it": {},
    "values not clipped": {"value_clip": 0.0},
    "gamma 0": {"gamma": 0.0},
    "gamma 27.8": {"gamma": 27.8},
}


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


def scaled(trial: Trial) -> ppo_ptx.Reward:
    """Scores with deviation 1 for what the RL start says."""
    by = trial.deviation()
    return lambda rollout: trial.reward(rollout) / by


def perfect(trial: Trial) -> ppo_ptx.Reward:
    """What training labelers feel on average, with the reward model's deviation: no reward model has less error."""
    asked = {tuple(ids): prompt for ids, prompt in zip(trial.start.encode(trial.prompts), trial.unseen)}
    people = trial.world.labelers.people

    def felt(rollout: Rollout) -> torch.Tensor:
        rows = zip(rollout.token_BS.tolist(), rollout.prompt_B, trial.start.texts(rollout))
        scores = [trial.world.gold(asked[tuple(row[:start])], text) for row, start, text in rows]
        return torch.tensor([statistics.mean(person.utility(score) for person in people) for score in scores])

    scores = felt(trial.sampled(trial.start, trial.prompts[:HELD_OUT], "deviation", 0))
    mean, scale = scores.mean(), trial.deviation() / scores.std()
    return lambda rollout: (felt(rollout) - mean) * scale


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


def learned_alone(trial: Trial, iterations: int) -> ScalarModel:
    """A value function that has seen so many batches of the RL start."""
    config, value = trial.config.ppo, ScalarModel.on(trial.reward)
    optimizers = loop.make_optimizers(value, config.value_lr, betas=config.adam_betas)
    for step in range(iterations):
        rows = loop.stream(step, len(trial.prompts), config.batch_size, config.seed, "value")
        rollout = trial.sampled(trial.start, [trial.prompts[n] for n in rows], "value", step)
        experience = ppo_ptx.look_back(rollout, trial.start, trial.reward, value, config, step)
        for minibatch in ppo_ptx.minibatches(len(rollout), config, loop.generator(config.seed, "alone", step)):
            part = experience[minibatch]
            loss = ppo_ptx.value_loss(value.values(part.rollout), part.value_BT, part.return_BT, part.mask_BT,
                                      config.value_clip)
            loss.backward()
            loop.update("value", step, {value: optimizers}, config.clip_norm, loss=loss)
    return value


def in_minibatches(trial: Trial) -> tuple[Policy, list[dict]]:
    with whitened_by_minibatch():
        return trial.reinforced(trial.config.ppo)


ARMS: dict[str, Arm] = {
    **{name: changed(changes) for name, changes in CHANGES.items()},
    "an unended response is scored with an end":
        lambda trial: trial.reinforced(trial.config.ppo, reward=with_an_end(trial.reward)),
    "an unended response scores -2":
        lambda trial: trial.reinforced(trial.config.ppo, reward=constant(trial.reward, -2.0)),
    "scores with deviation 1": lambda trial: trial.reinforced(trial.config.ppo, reward=scaled(trial)),
    "whitened by minibatch": in_minibatches,
    "the value learns alone for 2 iterations":
        lambda trial: trial.reinforced(trial.config.ppo, value=learned_alone(trial, 2)),
    "scores are the training labelers' own, without noise":
        lambda trial: trial.reinforced(trial.config.ppo, reward=perfect(trial)),
}


def tried(folder: str) -> dict[str, dict]:
    """The numbers of every arm from one run."""
    torch.set_num_threads(1)
    trial, usual, found = Trial(folder, HELD_OUT), None, {}
    for name, arm in ARMS.items():
        policy, rows = arm(trial)
        said = trial.answers(policy)
        usual = usual or said
        found[name] = {"gold": policies.gold_score(said).mean, "gold_win": policies.gold_win_rate(said, trial.sft).mean,
                       "labeler_win": trial.labeler_win(said).mean,
                       "pretraining_loss": policies.pretraining_loss(policy, trial.corpus).mean,
                       "kl": rows[-1]["kl"], "ended": rows[-1]["ended"],
                       "explained_variance": [row["explained_variance"] for row in rows[:5]],
                       "gain": policies.gold_gain(said, usual)}
        print(folder, name, found[name], flush=True)
    return found


def main(folders: list[str]) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as workers:
        runs = dict(zip(folders, workers.map(tried, folders)))
    arms = {}
    for name in ARMS:
        gains = [run[name]["gain"].mean for run in runs.values()]
        arms[name] = {folder: run[name] for folder, run in runs.items()}
        arms[name]["gain"] = [statistics.mean(gains), min(gains), max(gains)]
    write_json(ROOT / "results" / "hazards.json", {
        "command": f"python tools/hazards.py {' '.join(folders)}", "prompts": HELD_OUT,
        "gain": "gold score less that of the preset: mean of the runs, lowest, highest", "arms": arms})


if __name__ == "__main__":
    main(sys.argv[1:])
