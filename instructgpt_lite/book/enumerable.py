"""A world so small that all responses can be listed; the real `ppo_ptx` trains in it.

Token 0 ends a response, tokens 1 .. V - 1 are words, V pads, V + 1 + p is prompt p. A
response ends, or is cut off after its longest. What PPO estimates from samples is exact
here: sums over all responses.

P prompts, N prefixes (numbered as below), V tokens, Y responses, B rows, T tokens.
"""

import copy
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import torch
from torch import Tensor, nn

from instructgpt_lite.models.networks import ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.objective import gae, tempered

EOS = 0


@dataclass(frozen=True)
class Tree:
    """All responses of at most `longest` tokens, of `tokens` tokens, the end included.

    Prefixes are numbered from the empty one, 0: word w after n is n (tokens - 1) + w.
    """

    tokens: int
    longest: int

    @property
    def prefixes(self) -> list[tuple[int, ...]]:
        """Where a token is drawn: words without an end, in the order of numbers."""
        words = range(1, self.tokens)
        return [y for n in range(self.longest) for y in product(words, repeat=n)]

    @property
    def responses(self) -> list[tuple[int, ...]]:
        """Those that end, then those cut off."""
        words = range(1, self.tokens)
        cut_off = [*product(words, repeat=self.longest)]
        return [(*y, EOS) for y in self.prefixes] + cut_off

    def prompts(self, count: int = 1, each: int = 1) -> list[list[int]]:
        """Token ids of `count` prompts, each that often in a row."""
        return [[self.tokens + 1 + p] for p in range(count) for _ in range(each)]

    def everything(self, count: int = 1) -> Rollout:
        """Every response to every prompt; its log-probabilities are 0."""
        ys = [list(y) for y in self.responses]
        return Rollout.of(self.prompts(count, len(ys)), ys * count, self.tokens, EOS)

    def place_BT(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """The prompt, and the number of the prefix before each response token."""
        word_BT = rollout.response_BT.masked_fill(~rollout.mask_BT, EOS)
        place_BT = torch.zeros_like(word_BT)
        for t in range(1, word_BT.size(1)):
            place_BT[:, t] = place_BT[:, t - 1] * (self.tokens - 1) + word_BT[:, t - 1]
        prompt_BT = (rollout.token_BS[:, :1] - self.tokens - 1).expand_as(place_BT)
        return prompt_BT, place_BT.masked_fill(~rollout.mask_BT, 0)

    def number_B(self, rollout: Rollout) -> Tensor:
        """The number of each response in `responses`."""
        last_B1 = rollout.mask_BT.sum(dim=1, keepdim=True) - 1
        place_B = self.place_BT(rollout)[1].gather(1, last_B1)[:, 0]
        word_B = rollout.response_BT.gather(1, last_B1)[:, 0]
        return torch.where(word_B == EOS, place_B, place_B * (self.tokens - 1) + word_B)


class TablePolicy(nn.Module):
    """pi(y|x) of one free logit for every prompt, prefix and token: logits_PNV."""

    def __init__(self, tree: Tree, logits_PNV: Tensor) -> None:
        super().__init__()
        self.tree, self.logits_PNV = tree, nn.Parameter(logits_PNV.clone())

    def frozen(self) -> Self:
        """A copy that no gradient reaches."""
        return copy.deepcopy(self).requires_grad_(False)

    def logp(self, rollout: Rollout, temperature: float = 1.0) -> Tensor:
        """logp_BT: log pi of each response token, 0 where the mask is False."""
        token_BT = rollout.response_BT.masked_fill(~rollout.mask_BT, EOS)
        logp_PNV = tempered(self.logits_PNV, temperature).log_softmax(dim=-1)
        logp_BT = logp_PNV[*self.tree.place_BT(rollout), token_BT]
        return logp_BT.masked_fill(~rollout.mask_BT, 0.0)

    def responses(self) -> Tensor:
        """logp_PY: log pi(y|x) of the whole response, in the order of the tree."""
        count = len(self.logits_PNV)
        return self.logp(self.tree.everything(count)).sum(dim=1).view(count, -1)

    @torch.no_grad()
    def sample(self, prompts: list[list[int]], *, temperature: float,
               max_new_tokens: int, generator: torch.Generator) -> Rollout:
        """Draw a response to each prompt; max_new_tokens is that of the tree."""
        p_PNV = tempered(self.logits_PNV, temperature).softmax(dim=-1)
        start_B = torch.tensor(prompts)[:, 0]
        place_B, drawn = torch.zeros_like(start_B), []
        for _ in range(max_new_tokens):
            p_BV = p_PNV[start_B - self.tree.tokens - 1, place_B]
            drawn.append(torch.multinomial(p_BV, 1, generator=generator)[:, 0])
            place_B = place_B * (self.tree.tokens - 1) + drawn[-1]
            place_B = place_B.clamp(max=p_PNV.size(1) - 1)       # after an end: unused
        token_BT = torch.stack(drawn, dim=1)
        ended_BT = (token_BT == EOS).cumsum(dim=1) - (token_BT == EOS).int() > 0
        token_BT = token_BT.masked_fill(ended_BT, self.tree.tokens)
        token_BS = torch.cat([start_B[:, None], token_BT], dim=1)
        rollout = Rollout(token_BS, torch.ones_like(start_B), ~ended_BT,
                          torch.zeros(token_BT.shape), self.tree.tokens, EOS)
        return replace(rollout, logp_BT=self.logp(rollout, temperature))


class TableValue(ScalarModel):
    """V(x, y_<t) of one free number for every prompt and prefix: value_PN."""

    def __init__(self, tree: Tree, value_PN: Tensor) -> None:
        nn.Module.__init__(self)
        self.tree, self.value_PN = tree, nn.Parameter(value_PN.clone())

    def values(self, rollout: Rollout) -> Tensor:
        """value_BT: before each response token is drawn; 0 where the mask is False."""
        value_BT = self.value_PN[self.tree.place_BT(rollout)]
        return value_BT.masked_fill(~rollout.mask_BT, 0.0)


def exact_value(policy: TablePolicy, reward_BT: Tensor) -> Tensor:
    """value_PN: of each prefix the mean of what follows it, where the policy writes.

    reward_BT: of each token of `tree.everything(P)`, such as `token_rewards` gives.
    """
    count = len(policy.logits_PNV)
    rollout = policy.tree.everything(count)
    mask_BT, zero_BT = rollout.mask_BT, torch.zeros_like(reward_BT)
    p_BT = policy.responses().detach().exp().flatten()[:, None] * mask_BT
    following_BT = gae(reward_BT, zero_BT, mask_BT, lam=1.0)
    place = policy.tree.place_BT(rollout)
    total_PN, weight_PN = torch.zeros(2, *policy.logits_PNV.shape[:2]).to(reward_BT)
    total_PN.index_put_(place, p_BT * following_BT, accumulate=True)
    weight_PN.index_put_(place, p_BT, accumulate=True)
    return total_PN / weight_PN
