"""Given free choice, PPO ends at the optimum of eq. (2): pi_ref exp(r / beta) / Z, here known exactly.

A policy of one free logit for every prompt, prefix and token; responses of one or two tokens: EOS, and
EOS, A or B after A or B. A response cut off after two tokens pays for its missing EOS.
"""

from dataclasses import replace

import pytest
import torch

from instructgpt_lite.book.enumerable import EOS, TablePolicy, TableValue, Tree
from instructgpt_lite.config import PPO
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training.ppo_ptx import ppo_ptx

A, B = 1, 2
RESPONSES = [(EOS,), (A, EOS), (B, EOS), (A, A), (A, B), (B, A), (B, B)]
TREE = Tree(tokens=3, longest=2)
PROMPTS = TREE.prompts(2) * 128
CONFIG = PPO(episodes=256 * 150, batch_size=256, minibatch_size=128, lr=0.05, value_lr=0.1, warmup=5,
             gamma=0.0, lam=0.95, whiten=False, missing_eos=0.5, max_new_tokens=2, value_clip=0.0, ema=0.95)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


REWARD = normal(2, 7, seed=1)                                    # of each prompt, of each response
PAYS = torch.tensor([0.5 * (y[-1] != EOS) for y in RESPONSES]).double()


def score(rollout: Rollout) -> torch.Tensor:
    return REWARD[rollout.token_BS[:, 0] - 4, TREE.number_B(rollout)]


@pytest.mark.parametrize("beta, whiten", [(0.25, True), (0.5, False), (1.5, True)])
def test_ppo_reaches_the_optimum_of_reward_and_kl(beta, whiten):
    """Probabilities of all responses to 0.005, and the objective to 0.001 of its bound beta log Z."""
    policy = TablePolicy(TREE, normal(2, 3, 3, seed=2))
    sft = policy.frozen()
    config = replace(CONFIG, beta=beta, whiten=whiten)
    list(ppo_ptx(policy, sft, score, PROMPTS, config, value=TableValue(TREE, torch.zeros(2, 3).double())))
    tilted = sft.responses() + (REWARD - PAYS) / beta
    found, start, optimum = policy.responses().detach(), sft.responses().exp(), tilted.softmax(-1)
    assert (start - optimum).abs().max() > 0.14, "it must have had some way to go"
    assert (found.exp() - optimum).abs().max() < 0.005
    objective = (found.exp() * (REWARD - PAYS - beta * (found - sft.responses()))).sum(-1)
    assert torch.allclose(objective, beta * tilted.logsumexp(-1), rtol=0, atol=1e-3)
