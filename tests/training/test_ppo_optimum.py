"""Given free choice, PPO ends at the optimum of eq. (2): pi_ref exp(r / beta) / Z, here known exactly.

A policy of one free logit for every prompt, prefix and token; responses of one or two tokens: EOS, and
EOS, A or B after A or B. A response cut off after two tokens pays for its missing EOS.
"""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from instructgpt_lite.config import PPO
from instructgpt_lite.models.networks import ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training.ppo_ptx import ppo_ptx

EOS, A, B, PAD = range(4)
RESPONSES = [[EOS], [A, EOS], [A, A], [A, B], [B, EOS], [B, A], [B, B]]
PROMPTS = [[4], [5]] * 128
CONFIG = PPO(episodes=256 * 150, batch_size=256, minibatch_size=128, lr=0.05, value_lr=0.1, warmup=5,
             gamma=0.0, lam=0.95, whiten=False, missing_eos=0.5, max_new_tokens=2, value_clip=0.0, ema=0.95)


class TablePolicy(nn.Module):
    """logits[prompt, prefix, token]; the prefix is nothing (EOS), A or B. What `ppo_ptx` asks of a Policy."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(logits.clone())

    def frozen(self) -> "TablePolicy":
        return copy.deepcopy(self).requires_grad_(False)

    def law(self, temperature: float = 1.0) -> torch.Tensor:
        return (self.table / temperature).log_softmax(-1)

    def logp(self, rollout: Rollout, temperature: float = 1.0) -> torch.Tensor:
        token_BT = rollout.response_BT.masked_fill(~rollout.mask_BT, EOS)
        logp_BT = self.law(temperature)[rollout.token_BS[:, :1] - 4, prefix(rollout), token_BT]
        return logp_BT.masked_fill(~rollout.mask_BT, 0.0)

    @torch.no_grad()
    def sample(self, prompts, *, temperature, max_new_tokens, generator) -> Rollout:
        law, which = self.law(temperature).exp(), torch.tensor(prompts)[:, 0] - 4
        first = torch.multinomial(law[which, 0], 1, generator=generator)[:, 0]
        second = torch.multinomial(law[which, first], 1, generator=generator)[:, 0]
        responses = [[one] if one == EOS else [one, two] for one, two in zip(first.tolist(), second.tolist())]
        rollout = Rollout.of(prompts, responses, PAD, EOS)
        return replace(rollout, logp_BT=self.logp(rollout, temperature))

    def responses(self) -> torch.Tensor:
        """log pi(y|x) of all RESPONSES (rows: prompts)."""
        law = self.law().detach()
        columns = [law[:, 0, y[0]] + (law[:, y[0], y[1]] if len(y) > 1 else 0) for y in RESPONSES]
        return torch.stack(columns, dim=1)


class TableValue(ScalarModel):
    """value[prompt, prefix]."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.table = nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))

    def values(self, rollout: Rollout) -> torch.Tensor:
        return self.table[rollout.token_BS[:, :1] - 4, prefix(rollout)].masked_fill(~rollout.mask_BT, 0.0)


def prefix(rollout: Rollout) -> torch.Tensor:
    """What stands before each response token: nothing, or the first token."""
    before_BT = torch.zeros_like(rollout.response_BT)
    before_BT[:, 1:] = rollout.response_BT[:, :-1].masked_fill(~rollout.mask_BT[:, 1:], EOS)
    return before_BT


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


REWARD = normal(2, 7, seed=1)                                    # of each prompt, of each response
PAYS = torch.tensor([0.5 * (y[-1] != EOS) for y in RESPONSES]).double()


def score(rollout: Rollout) -> torch.Tensor:
    texts = [row[mask].tolist() for row, mask in zip(rollout.response_BT, rollout.mask_BT)]
    return REWARD[rollout.token_BS[:, 0] - 4, [RESPONSES.index(text) for text in texts]]


@pytest.mark.parametrize("beta, whiten", [(0.25, True), (0.5, False), (1.5, True)])
def test_ppo_reaches_the_optimum_of_reward_and_kl(beta, whiten):
    """Probabilities of all responses to 0.005, and the objective to 0.001 of its bound beta log Z."""
    policy = TablePolicy(normal(2, 3, 3, seed=2))
    sft = policy.frozen()
    config = replace(CONFIG, beta=beta, whiten=whiten)
    list(ppo_ptx(policy, sft, score, PROMPTS, config, value=TableValue()))
    tilted = sft.responses() + (REWARD - PAYS) / beta
    found, start, optimum = policy.responses(), sft.responses().exp(), tilted.softmax(-1)
    assert (start - optimum).abs().max() > 0.14, "it must have had some way to go"
    assert (found.exp() - optimum).abs().max() < 0.005
    objective = (found.exp() * (REWARD - PAYS - beta * (found - sft.responses()))).sum(-1)
    assert torch.allclose(objective, beta * tilted.logsumexp(-1), rtol=0, atol=1e-3)
