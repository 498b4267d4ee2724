"""GPT-2's attention over rows whose real tokens lie flat, one after another: padding enters no linear layer.

Each function gives the flat places of the real tokens (N,), every place's rank among them (B S,), and
attend(layer, qkv (N, 3D)) -> (N, D).

B rows, S places in a row, N real tokens, D width, H heads.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def _heads(qkv: Tensor, B: int, S: int, H: int) -> Tensor:
    """(B S, 3D) as queries, keys and values (3, B, H, S, D / H)."""
    return qkv.view(B, S, 3, H, -1).permute(2, 0, 3, 1, 4)


def by_length(real_BS: Tensor, H: int) -> tuple[Tensor, Tensor, Callable[[int, Tensor], Tensor]]:
    """Flat places of the real tokens, each place's rank among them, and causal attention over them.

    Rows of like length attend together, 16 at a time, so little padding is in any square.
    """
    length_B, rank_BS = real_BS.sum(dim=1), (real_BS.flatten().cumsum(0) - 1).view_as(real_BS)
    groups = [(rows, int(length_B[rows[-1]])) for rows in length_B.argsort().split(16)]
    ranks = [rank_BS[rows, :S] for rows, S in groups]
    real = torch.cat([real_BS[rows, :S].flatten() for rows, S in groups])
    place_N = torch.empty_like(real_N := real_BS.flatten().nonzero()[:, 0])
    place_N[torch.cat([rank.flatten() for rank in ranks])[real]] = real.nonzero()[:, 0]

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        parts = []
        for rank in ranks:
            q, k, v = _heads(qkv_N3D.index_select(0, rank.flatten()), *rank.shape, H)
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            parts.append(a.transpose(1, 2).reshape(rank.numel(), -1))
        return torch.cat(parts).index_select(0, place_N)

    return real_N, rank_BS.flatten(), attend


def in_a_square(real_BS: Tensor, sees_BSS: Tensor | None, H: int,
                cache) -> tuple[Tensor, Tensor, Callable[[int, Tensor], Tensor]]:
    """The same with a mask or a cache, over all places at once."""
    B, S = real_BS.shape
    real_N, rank_BS = _real_places(real_BS)
    sees = None if sees_BSS is None else sees_BSS[:, None]

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        if len(real_N) < B * S:
            qkv_N3D = qkv_N3D.new_zeros(B * S, qkv_N3D.size(1)).index_copy(0, real_N, qkv_N3D)
        q, k, v = _heads(qkv_N3D, B, S, H)
        if cache is not None:
            cache.update(k, v, layer)
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=sees, is_causal=sees is None)
        a_ND = a.transpose(1, 2).reshape(B * S, -1)
        return a_ND if len(real_N) == B * S else a_ND.index_select(0, real_N)

    return real_N, rank_BS, attend


def _real_places(real_BS: Tensor) -> tuple[Tensor, Tensor]:
    """Flat places of the real tokens, and each place's rank among them; all places if most are real."""
    real = real_BS.flatten()
    if real.float().mean() > 0.9:                  # copying tokens out and in would cost more
        real = torch.ones_like(real)
    return real.nonzero()[:, 0], real.cumsum(0) - 1
