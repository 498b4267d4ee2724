"""Muon (Jordan et al., 2024): a step along a matrix with all singular values near 1.

In float32, where torch.optim.Muon rounds to bfloat16: most CPUs have no instructions
for that, and there a step of a small model takes 20 times as long.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTUM = 0.95
STEPS = 5
A, B, C = 3.4445, -4.7750, 2.0315    # of the polynomial: a steep slope at 0


class Muon(Optimizer):
    """For groups of matrices, with Nesterov momentum and no weight decay.

    Its step is as large as Adam's at equal lr (Liu et al., 2025, eq. 4).
    """

    def __init__(self, groups: Iterable[dict]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self) -> None:
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                mean = state.setdefault("momentum_buffer", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - MOMENTUM)
                update = orthogonal(p.grad.lerp(mean, MOMENTUM).float())
                p.add_(update, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values moved to about 1 (0.7 to 1.2).

    Each step of Newton-Schulz maps a singular value s to A s + B s^3 + C s^5.
    """
    is_tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x.T if is_tall else x
