"""Step 2, the reward model: rank what the policy says, then learn the ranking (§3.5, App. C.2).

One prompt with all its responses is one batch element: K forward passes for K(K-1)/2 comparisons,
and one update for the correlated pairs together.
"""

import math
from collections.abc import Iterator
from random import Random

import torch

from instructgpt_lite.config import Collect, Reward
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.theory.bradley_terry import pair_accuracy, reward_loss
from instructgpt_lite.training.loop import (
    generator,
    make_optimizers,
    passes,
    schedule,
    update,
)
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.sft import demonstrated


def collect(policy: Policy, prompts, labelers, config: Collect, batch: int) -> list:
    """Rankings of the policy's responses to batch number `batch` of the prompts, K drawn for each.

    Fewer than were asked for: equal responses count once, and a ranking without order is dropped.
    """
    draw = generator(config.seed, "collect", batch)
    part = prompts[batch * config.batch_size:(batch + 1) * config.batch_size]
    K = torch.randint(config.K_min, config.K_max + 1, (len(part),), generator=draw).tolist()
    rollout = policy.sample([prompt.prompt for prompt in part], copies=K, temperature=config.temperature,
                            max_new_tokens=config.max_new_tokens, generator=draw)
    texts = iter(policy.texts(rollout))
    rng = Random(f"{config.seed} rank {batch}")
    ranked = [labelers.rank(prompt, [next(texts) for _ in range(k)], rng) for prompt, k in zip(part, K)]
    return [ranking for ranking in ranked if ranking]


def tokens(reward: ScalarModel, rankings) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts, and K responses to each, as token ids; EOS ends a response."""
    prompts = reward.encode([ranking.prompt for ranking in rankings])
    responses = [[[*ids, reward.eos] for ids in
                  reward.tokenizer(list(ranking.completions), add_special_tokens=False)["input_ids"]]
                 for ranking in rankings]
    return prompts, responses


def rank_table(rankings) -> torch.Tensor:
    """rank_BK, 0 where a prompt has fewer than K responses."""
    widest = max(len(ranking.ranks) for ranking in rankings)
    return torch.tensor([[*ranking.ranks, *[0] * (widest - len(ranking.ranks))] for ranking in rankings])


def train_reward(reward: ScalarModel, rankings, config: Reward,
                 resume: ResumeState | None = None) -> Iterator[dict[str, float]]:
    """Train `reward` in place by eq. (1); yields step, loss (nats per comparison) and pair accuracy."""
    resume = resume or ResumeState()
    optimizers = make_optimizers(reward, config.lr, config.matrix_lr)
    resume.track(reward=reward, optimizers=optimizers)
    prompts, responses = tokens(reward, rankings)
    steps = config.epochs * math.ceil(len(rankings) / config.batch_size)
    for step in range(resume.step, steps):
        pick = passes(step, len(rankings), config.batch_size, config.seed, "reward").tolist()
        r_BK, mask_BK = reward.scores([prompts[n] for n in pick], [responses[n] for n in pick])
        rank_BK = rank_table([rankings[n] for n in pick])
        loss = reward_loss(r_BK, rank_BK, mask_BK)
        loss.backward()
        schedule(optimizers, step, steps, config)
        update("reward", step, {reward: optimizers}, config.clip_norm, loss=loss)
        resume.step = step + 1
        yield {"step": resume.step, "steps": steps,
               "prompts": min(len(rankings), resume.step * config.batch_size), "loss": loss.item(),
               "accuracy": pair_accuracy(r_BK.detach(), rank_BK, mask_BK).item()}


@torch.no_grad()
def center(reward: ScalarModel, policy: Policy, demonstrations) -> float:
    """Shift the reward so that demonstrations score 0 on average (§3.5); returns the new bias."""
    shown = demonstrated(policy, demonstrations)
    reward.bias -= torch.cat([reward(shown[rows]) for rows in torch.arange(len(shown)).split(256)]).mean()
    return reward.bias.item()
