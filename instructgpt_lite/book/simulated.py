"""Labelers of known strengths, and the strengths that make a surprise smallest.

N items of strengths s_N, B rankings of K of them. All draws come from the generator,
uniform numbers only, so that a seed means the same choices on every machine.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor


def gumbel(*shape: int, generator: Generator) -> Tensor:
    """Noise with P(noise <= x) = exp(-exp(-x)); a difference of two is logistic."""
    u = torch.rand(*shape, generator=generator, dtype=torch.float64).clamp(min=1e-300)
    return -(-u.log()).log()


def drawn_wins(s_N: Tensor, count: int, generator: Generator) -> Tensor:
    """wins_NN of `count` Bradley-Terry comparisons, each of a pair drawn at random."""
    pair_B2 = drawn_groups(len(s_N), count, 2, generator)
    chance_B = torch.sigmoid(s_N[pair_B2[:, 0]] - s_N[pair_B2[:, 1]])
    better_B = torch.rand(count, generator=generator, dtype=torch.float64) < chance_B
    return wins_of(torch.where(better_B[:, None], pair_B2, pair_B2.flip(1)), len(s_N))


def drawn_rankings(s_N: Tensor, count: int, K: int, generator: Generator) -> Tensor:
    """ranked_BK: random groups of K items, each from best to worst by s + Gumbel."""
    item_BK = drawn_groups(len(s_N), count, K, generator)
    felt_BK = s_N[item_BK] + gumbel(count, K, generator=generator)
    return item_BK.gather(1, felt_BK.argsort(dim=1, descending=True))


def drawn_groups(N: int, count: int, K: int, generator: Generator) -> Tensor:
    """item_BK: K different items of N, in random order."""
    u_BN = torch.rand(count, N, generator=generator, dtype=torch.float64)
    return u_BN.argsort(dim=1)[:, :K]


def wins_of(ranked_BK: Tensor, N: int) -> Tensor:
    """wins_NN of all pairs of rankings that list items from best to worst."""
    first, second = torch.triu_indices(ranked_BK.size(1), ranked_BK.size(1), 1)
    place_P = (ranked_BK[:, first] * N + ranked_BK[:, second]).flatten()
    return torch.bincount(place_P, minlength=N * N).double().view(N, N)


def fitted(surprise: Callable[[Tensor], Tensor], N: int,
           start: Tensor | None = None) -> Tensor:
    """s_N (mean 0) of least surprise, by L-BFGS: for losses without an iteration."""
    s_N = torch.zeros(N, dtype=torch.float64) if start is None else start.clone()
    s_N.requires_grad_()
    descent = torch.optim.LBFGS([s_N], max_iter=200, tolerance_grad=1e-9,
                                tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def evaluate() -> Tensor:
        descent.zero_grad()
        loss = surprise(s_N)
        loss.backward()
        return loss

    descent.step(evaluate)
    return (s_N - s_N.mean()).detach()
