"""Rejection sampling: of n responses, the one that the reward model prefers.

Fine-tuning on these is the simplest use of a reward model, and a baseline for PPO from
the same start with the same prompts. The paper has none.
"""

from collections.abc import Sequence

import torch

from instructgpt_lite.data.records import Demonstration, Prompt
from instructgpt_lite.models.loading import check_same_tokenizer
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.training.ppo_ptx import Reward


@torch.no_grad()
def best_of_n(policy: Policy, reward: Reward, prompts: Sequence[Prompt], n: int,
              max_new_tokens: int, generator: torch.Generator) -> list[Demonstration]:
    """To each prompt, of n responses the one with the highest score.

    A response that does not end is no candidate: as a demonstration it would get an
    end. A prompt without a candidate is left out. Sampled at temperature 1. ValueError
    where nothing ends.
    """
    check_same_tokenizer(policy=policy, reward=reward)
    rollout = policy.sample([prompt.prompt for prompt in prompts], copies=n,
                            max_new_tokens=max_new_tokens, generator=generator)
    score_B = reward(rollout).masked_fill(~rollout.ended_B, -torch.inf)
    best_B, choice_B = score_B.view(-1, n).max(dim=1)
    texts, best = policy.texts(rollout), []
    for row, prompt in enumerate(prompts):
        if best_B[row].isfinite():
            text = texts[row * n + choice_B[row]]
            best.append(Demonstration(prompt.prompt, text, f"best of {n}",
                                      prompt.category, prompt.key))
    if not best:
        raise ValueError(f"no response ends within {max_new_tokens} tokens: raise "
                         "max_new_tokens, or train the policy for longer")
    return best
