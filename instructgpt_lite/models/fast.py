"""Speed, and nothing else: fast*.py can be deleted; numbers stay, up to rounding.

- GPT-2 and Llama read the tokens of all rows as one flat row (`fast_rows`).
- K responses share their prompt, which is read once: [prompt | y_1 | ... | y_K]. Each
  response sees the prompt and itself; its positions go on from the prompt's end.
- In sampling, one cache holds all rows; equal prompts are read once; a row that ends
  makes room for the next (`fast_sampling`).

The last two also serve other decoders that a mask can tell what each token sees.

Shapes: B rows, S places of a row, N tokens of all rows, M kept places, P places of
tokens and padding, K responses, D width, d of a head, E of its q, k and v.
"""

from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructgpt_lite.models import fast_rows, forward
from instructgpt_lite.models.fast_rows import flat_states, is_plain, logits, states
from instructgpt_lite.models.fast_sampling import decode
from instructgpt_lite.models.rollout import padded

__all__ = ["decode", "is_plain", "logits", "prefix_states", "states"]


def prefix_states(model: nn.Module, prompts: list[list[int]],
                  responses: list[list[list[int]]]) -> Tensor:
    """Final states (M, D) at each response's last token; a prompt is read once."""
    lengths = [(len(x), [*map(len, group)]) for x, group in zip(prompts, responses)]
    tokens = [[*x, *chain(*group)] for x, group in zip(prompts, responses)]
    spans = [[range(p), *(range(p, p + r) for r in group)] for p, group in lengths]
    positions = [[*chain(*each)] for each in spans]
    segments = [[k for k, span in enumerate(each) for _ in span] for each in spans]
    forward.check_context(model, max(map(max, positions)) + 1)
    plain = is_plain(model)
    token_BS, position_BS, segment_BS = (
        padded([[*chain(*rows)]] if plain else rows, pad).to(model.device)
        for rows, pad in ((tokens, 0), (positions, 0), (segments, -1)))
    following_BS = F.pad(segment_BS[:, 1:], (0, 1), value=-1)
    last_BS = (segment_BS > 0) & (segment_BS != following_BS)
    last_M = last_BS.flatten().nonzero()[:, 0]
    if plain:
        attend = shared_prefix_attention(lengths, fast_rows.head_counts(model),
                                         model.device)
        return flat_states(model, token_BS[0], position_BS[0], attend, last_M)
    inputs = fast_rows.told(model, token_BS, position_BS,
                            shared_prefix_mask(segment_BS))
    state_BSD = model.base_model.eval()(**inputs, use_cache=False).last_hidden_state
    return state_BSD.flatten(0, 1).index_select(0, last_M)


def shared_prefix_attention(lengths: list[tuple[int, list[int]]],
                            heads: tuple[int, int],
                            device: torch.device) -> fast_rows.Attend:
    """Attention in a flat row of one [prompt | y_1 | ... | y_K] after the other.

    lengths: (p, [r_1, ..., r_K]) of each. A prompt attends in a square, its responses,
    padded to the longest, in rectangles to [prompt | itself].
    """
    sizes, sees, real = [], [], []
    for p, group in lengths:
        K, r = len(group), max(group)
        sizes += [p, K * r]
        sees.append(torch.ones(r, p + r, dtype=torch.bool, device=device).tril(p))
        real += [torch.ones(p, dtype=torch.bool),
                 (torch.arange(r) < torch.tensor(group)[:, None]).flatten()]
    real_P = torch.cat(real).to(device)
    rank_P = real_P.cumsum(0) - 1              # padding is a copy of the token before
    place_N = real_P.nonzero()[:, 0]

    def attend(layer: int, qkv_NE: Tensor) -> Tensor:
        pieces, parts = qkv_NE.index_select(0, rank_P).split(sizes), []
        for prompt, own, sees_rs in zip(pieces[::2], pieces[1::2], sees):
            q, *shared = fast_rows.by_head(prompt, 1, len(prompt), heads)
            parts.append(fast_rows.attention(q, *shared))
            K, r = len(own) // len(sees_rs), len(sees_rs)
            q, *each = fast_rows.by_head(own, K, r, heads)
            k, v = (torch.cat([x.expand(len(q), -1, -1, -1), y], dim=2)
                    for x, y in zip(shared, each))
            parts.append(fast_rows.attention(q, k, v, sees_rs))
        return torch.cat(parts).index_select(0, place_N)

    return attend


def shared_prefix_mask(segment_BS: Tensor) -> Tensor:
    """(B, S, S), True where a token (dim 1) sees another: its own past.

    segment_BS: 0 in the prompt, k in y_k, -1 in padding.
    """
    query_BS1, key_B1S = segment_BS[:, :, None], segment_BS[:, None, :]
    return ((key_B1S == 0) | (key_B1S == query_BS1)).tril()
