"""Run by torchrun, or alone: every stage on micro models, its rows and weights to a file."""

import sys
from dataclasses import replace

import torch

from instructgpt_lite.config import PPO, SFT, Collect, Hardware, Pretrain, Reward
from instructgpt_lite.models import ranks
from instructgpt_lite.models.hardware import placed
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.reward import center, collect, train_reward
from instructgpt_lite.training.sft import finetune
from tests.training.conftest import Corpus, Ranker, demonstrations, letters, new_policy, new_reward, rankings
from tests.training.test_reward import PROMPTS as ASKED

SMALL = PPO(episodes=26, batch_size=13, minibatch_size=13, inner_epochs=2, lr=1e-2, value_lr=1e-2, warmup=1, beta=0.3,
            gamma=0.5, ptx_ratio=0.25, ptx_length=6, max_new_tokens=5, clip_norm=0.5)


def stages(policy, reward):
    """Rows of unequal numbers a process: 5 texts, 7 and 3 demonstrations, 5 rankings, 13 and 1 episodes."""
    yield from pretrain(policy, Corpus(), Pretrain(tokens=60, batch_size=5, length=6, lr=1e-2))
    config = SFT(epochs=1, batch_size=7, lr=1e-2, dropout=0.0, pretraining_mix=0.2, mix_length=7)
    yield from finetune(policy, demonstrations(10), config, Corpus())
    yield {"ranked": [[each.prompt, *each.completions] for each in
                      collect(policy, ASKED, Ranker(), Collect(batch_size=12, max_new_tokens=5), 0)]}
    yield from train_reward(reward, rankings([4, 5, 2, 3, 6]), Reward(batch_size=4, lr=1e-2))
    yield {"bias": center(reward, policy, demonstrations(7))}
    yield from ppo_ptx(policy, policy.frozen(), reward, letters(24, 1), SMALL, Corpus())
    one = replace(SMALL, episodes=2, batch_size=1, minibatch_size=1)
    yield from ppo_ptx(policy, policy.frozen(), reward, letters(24, 1), one, Corpus())


def main(path: str, micro_batch: int) -> None:
    ranks.join(cpu=True)
    how = Hardware(device="cpu", micro_batch=micro_batch)
    policy, reward = placed(new_policy(), how), placed(new_reward(), how)
    rows = list(stages(policy, reward))
    torch.save({"rows": rows, "weights": [p.detach() for p in (*policy.parameters(), *reward.parameters())],
                "processes": ranks.size()}, f"{path}-{ranks.rank()}.pt")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
