"""Step 2, the reward model: rank what the policy says, then learn the ranking (§3.5).

One prompt with all its responses is one batch element: K forward passes for K(K-1)/2
comparisons, and one update for the correlated pairs together (App. C.2).
"""

import math
from collections.abc import Iterator, Sequence
from random import Random

import torch

from instructgpt_lite.config import Collect, Reward
from instructgpt_lite.data.protocols import Answer, Labelers
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking
from instructgpt_lite.models import ranks
from instructgpt_lite.models.loading import check_same_tokenizer
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import padded
from instructgpt_lite.theory.bradley_terry import pair_accuracy, reward_loss
from instructgpt_lite.training import loop
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.sft import demonstrated


def collect(policy: Policy, prompts: Sequence[Prompt], labelers: Labelers,
            config: Collect, batch: int) -> list[Ranking]:
    """Rankings of K responses to each prompt of batch number `batch`.

    Fewer than prompts: equal responses count once, and one alone is no ranking.
    """
    asked, answer, rng = to_rank(policy, prompts, config, batch)
    ranked = [labelers.rank(*each, rng) for each in zip(asked, answer(asked))]
    return [ranking for ranking in ranked if ranking]


def to_rank(policy: Policy, prompts: Sequence[Prompt], config: Collect,
            batch: int) -> tuple[Sequence[Prompt], Answer, Random]:
    """The prompts of a batch, what answers each K times, and the labelers' chance."""
    def answer(asked: Sequence[Prompt]) -> list[list[str]]:
        random = loop.generator(config.seed, "collect", batch)
        K = torch.randint(config.K_min, config.K_max + 1, (len(asked),),
                          generator=random).tolist()
        rollout = policy.sample([prompt.prompt for prompt in asked], copies=K,
                                temperature=config.temperature, generator=random,
                                max_new_tokens=config.max_new_tokens)
        texts = iter(policy.texts(rollout))
        return [[next(texts) for _ in range(k)] for k in K]

    asked = prompts[batch * config.batch_size:(batch + 1) * config.batch_size]
    return asked, answer, Random(f"{config.seed} rank {batch}")


def tokens(reward: ScalarModel, rankings: Sequence[Ranking]
           ) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts, and K responses to each, as token ids; EOS ends a response."""
    def ids(texts: Sequence[str]) -> list[list[int]]:
        return reward.tokenizer(list(texts), add_special_tokens=False)["input_ids"]

    responses = [[[*response, reward.eos] for response in ids(each.completions)]
                 for each in rankings]
    return reward.encode([each.prompt for each in rankings]), responses


def rank_table(rankings: Sequence[Ranking]) -> torch.Tensor:
    """rank_BK, 0 where a prompt has fewer than K responses."""
    return padded([[*ranking.ranks] for ranking in rankings], pad=0)


def train_reward(reward: ScalarModel, rankings: Sequence[Ranking], config: Reward,
                 resume: ResumeState | None = None) -> Iterator[dict[str, float]]:
    """Train `reward` in place by eq. (1); yields loss (nats a pair) and accuracy."""
    if not rankings:
        raise ValueError("there are no rankings: give one at least")
    resume = resume or ResumeState()
    optimizers = loop.make_optimizers(reward, config.lr, config.matrix_lr)
    resume.track(reward=reward, optimizers=optimizers)
    prompts, responses = tokens(reward, rankings)
    steps = config.epochs * math.ceil(len(rankings) / config.batch_size)
    for step in range(resume.step, steps):
        count, size = len(rankings), config.batch_size
        batch = loop.passes(step, count, size, config.seed, "reward")
        row = {"loss": 0.0, "accuracy": 0.0}
        for part, share in loop.pieces(batch, torch.ones(count), reward):
            r_BK, mask_BK = reward.scores([prompts[n] for n in part],
                                          [responses[n] for n in part])
            rank_BK = rank_table([rankings[n] for n in part]).to(r_BK.device)
            loop.learn(row, share, loss=reward_loss(r_BK, rank_BK, mask_BK))
            right = pair_accuracy(r_BK.detach(), rank_BK, mask_BK)
            row["accuracy"] += share * right.item()
        row = ranks.summed(row)
        loop.schedule(optimizers, step, steps, config)
        loop.update("reward", step, {reward: optimizers}, config.clip_norm,
                    loss=row["loss"])
        resume.step = step + 1
        yield {"step": resume.step, "steps": steps,
               "prompts": min(count, resume.step * size), **row}


@torch.no_grad()
def center(reward: ScalarModel, policy: Policy,
           demonstrations: Sequence[Demonstration]) -> float:
    """Shift the reward so that demonstrations score 0 on average (§3.5); the bias."""
    check_same_tokenizer(policy=policy, reward=reward)
    reward.bias -= reward(demonstrated(policy, demonstrations)).mean()
    return reward.bias.item()
