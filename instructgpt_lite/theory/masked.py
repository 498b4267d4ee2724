"""Sums and means over counted tokens: one mask, True where a token counts.

What padding contains, be it nan, reaches neither a result nor a gradient: entries are
picked by `where`, never multiplied by 0, because 0 * nan is nan. x and its boolean mask
have one and the same shape, any shape.
"""

import torch
from torch import Tensor


def masked(x: Tensor, mask: Tensor) -> Tensor:
    """x where the mask is True, 0 elsewhere. ValueError if the shapes differ."""
    if x.shape != mask.shape:
        raise ValueError(f"x has shape {tuple(x.shape)} but its mask "
                         f"{tuple(mask.shape)}: make them equal")
    return torch.where(mask, x, 0)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over all counted entries, a scalar. ValueError if there are none."""
    if not mask.any():
        raise ValueError("the mask counts nothing, so there is no mean: drop empty "
                         "batches before")
    return masked(x, mask).sum() / mask.sum()


def masked_var(x: Tensor, mask: Tensor) -> Tensor:
    """Population variance of all counted entries, a scalar: divides by N, not N - 1."""
    return masked_mean(masked(x - masked_mean(x, mask), mask).square(), mask)


def masked_whiten(x: Tensor, mask: Tensor) -> Tensor:
    """Counted entries shifted to mean 0, scaled to population variance 1; 0 elsewhere.

    The 1e-8 (lm-human-preferences) sends equal entries to 0, not to nan.
    """
    centred = masked(x - masked_mean(x, mask), mask)
    return centred * torch.rsqrt(masked_var(x, mask) + 1e-8)
