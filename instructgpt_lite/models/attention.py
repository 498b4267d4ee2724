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


def _flat(a_BHSd: Tensor) -> Tensor:
    """(B, H, S, D / H) as (B S, D)."""
    return a_BHSd.transpose(1, 2).flatten(2).flatten(0, 1)


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
            parts.append(_flat(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        return torch.cat(parts).index_select(0, place_N)

    return real_N, rank_BS.flatten(), attend


def beside_prompt(segment_BS: Tensor, H: int) -> tuple[Tensor, Tensor, Callable[[int, Tensor], Tensor]]:
    """The same for rows [prompt | y_1 | ... | y_K]; segment_BS is k in y_k, 0 in the prompt, -1 in padding.

    The p tokens of a prompt attend in a square, the r of a response in a rectangle, to [prompt | itself]: one
    square of the whole row would be masked for the most part. Responses are padded to the longest of K.
    """
    sizes, sees, real = [], [], []
    for segment_S in segment_BS:
        p, length_K = int((segment_S == 0).sum()), segment_S[segment_S > 0].bincount()[1:]
        K, r = len(length_K), int(length_K.max())
        sizes += [p, K * r]
        sees.append(segment_S.new_ones(r, p + r, dtype=torch.bool).tril(p))
        own_Kr = torch.arange(r, device=segment_S.device) < length_K[:, None]
        real += [own_Kr.new_ones(p), own_Kr.flatten()]
    real_N, rank_BS = _ranked(segment_BS >= 0)
    place_N, rank = _ranked(torch.cat(real))       # padding copies the token before it, and nobody reads it
    ragged = len(rank) > len(place_N)

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        pieces, parts = (qkv_N3D.index_select(0, rank) if ragged else qkv_N3D).split(sizes), []
        for prompt, own, sees_rs in zip(pieces[::2], pieces[1::2], sees):
            q, *shared = _heads(prompt, 1, len(prompt), H)
            parts.append(_flat(F.scaled_dot_product_attention(q, *shared, is_causal=True)))
            q, *each = _heads(own, len(own) // len(sees_rs), len(sees_rs), H)
            k, v = (torch.cat([x.expand(len(q), -1, -1, -1), y], dim=2) for x, y in zip(shared, each))
            parts.append(_flat(F.scaled_dot_product_attention(q, k, v, attn_mask=sees_rs)))
        a_ND = torch.cat(parts)
        return a_ND.index_select(0, place_N) if ragged else a_ND

    return real_N, rank_BS, attend


def in_a_square(real_BS: Tensor, H: int, cache) -> tuple[Tensor, Tensor, Callable[[int, Tensor], Tensor]]:
    """The same with a cache, over all places at once."""
    B, S = real_BS.shape
    crowded = real_BS.float().mean() > 0.9         # copying tokens out and in would cost more
    real_N, rank_BS = _ranked(torch.ones_like(real_BS) if crowded else real_BS)

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        if len(real_N) < B * S:
            qkv_N3D = qkv_N3D.new_zeros(B * S, qkv_N3D.size(1)).index_copy(0, real_N, qkv_N3D)
        q, k, v = _heads(qkv_N3D, B, S, H)
        if cache is not None:
            cache.update(k, v, layer)
        a_ND = _flat(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return a_ND if len(real_N) == B * S else a_ND.index_select(0, real_N)

    return real_N, rank_BS, attend


def _ranked(real: Tensor) -> tuple[Tensor, Tensor]:
    """Flat places of what is True, and each place's rank among them."""
    return real.flatten().nonzero()[:, 0], real.flatten().cumsum(0) - 1
