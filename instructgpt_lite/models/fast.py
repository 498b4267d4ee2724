"""Speed, and nothing else: fast*.py can be deleted; numbers stay, up to rounding.

- GPT-2 and Llama read the tokens of all rows as one flat row (`fast_rows`).
- K responses share their prompt, which is read once: [prompt | y_1 | ... | y_K]. Each
  response sees the prompt and itself; its positions go on from the prompt's end.
- In sampling, one cache holds all rows; equal prompts are read once; a row that ends
  makes room for the next.

The last two, which are here, also serve other decoders that a mask can tell what each
token sees.

Shapes: B rows, S places of a row, N tokens of all rows, M kept places, P places of
tokens and padding, K responses, D width, d of a head, H heads, G of keys and values,
E = (H + 2 G) d; T response tokens at most, R prompts read at once, A rows being
decoded, U slots in use, V vocabulary.
"""

from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructgpt_lite.models import fast_rows, forward
from instructgpt_lite.models.fast_rows import is_plain, logits, states
from instructgpt_lite.models.rollout import Rollout, padded
from instructgpt_lite.models.sampling import Draws

__all__ = ["decode", "is_plain", "logits", "prefix_states", "states"]
LOOK = 8                             # a row wastes half of them, a look one wait


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
        heads = fast_rows.head_counts(model)
        attend = shared_prefix_attention(lengths, heads, model.device)
        flat = token_BS[0], position_BS[0]
        return fast_rows.flat_states(model, *flat, attend, last_M)
    sees_BSS = shared_prefix_mask(segment_BS)
    inputs = fast_rows.told(model, token_BS, position_BS, sees_BSS)
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


# Sampling

class Cache:
    """Keys and values of every layer, allocated once; a token's slot is its position.

    To transformers it is a `Cache`: models call `update` and `get_seq_length`.
    """

    def __init__(self, rows: int, capacity: int) -> None:
        self.rows, self.capacity, self.used = rows, capacity, 0
        self.layers: list[Tensor] = []             # each (rows, H, 2, capacity, d)

    def reading(self, start: int, parent_R: Tensor) -> None:
        """Next come whole prompts; place start + i takes prompt parent_R[i]."""
        self.slot_A, self.parent_R = None, parent_R
        self.places = slice(start, start + len(parent_R))

    def at(self, slot_A: Tensor) -> "Cache":
        """Next comes one token a row, at slot_A of the first len(slot_A) places."""
        self.slot_A, self.used = slot_A, self.used + 1
        self.row_A = torch.arange(len(slot_A), device=slot_A.device)
        return self

    def update(self, key: Tensor, value: Tensor, layer: int,
               *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write (rows, H, tokens, d) and return what the attention is to see."""
        if layer == len(self.layers):
            size = self.rows, key.size(1), 2, self.capacity, key.size(3)
            self.layers.append(key.new_zeros(size))
        if self.slot_A is None:
            kv = self.layers[layer][self.places, :, :, :key.size(2)]
            kv[:, :, 0], kv[:, :, 1] = key[self.parent_R], value[self.parent_R]
            self.used = max(self.used, key.size(2))
            return key, value
        k, v = self.layers[layer][:len(self.slot_A)].unbind(dim=2)
        k[self.row_A, :, self.slot_A] = key[:, :, 0]
        v[self.row_A, :, self.slot_A] = value[:, :, 0].to(v.dtype)    # RoPE widens k
        return k[:, :, :self.used], v[:, :, :self.used]

    def close_ranks(self, going_A: Tensor) -> Tensor:
        """The last rows take the places of those that have ended. Who is where now."""
        alive = int(going_A.sum())
        stay_A = torch.arange(alive, device=going_A.device)
        hole = (~going_A[:alive]).nonzero()[:, 0]
        stay_A[hole] = going_A[alive:].nonzero()[:, 0] + alive
        if len(hole):
            for kv in self.layers:
                kv[hole, :, :, :self.used] = kv[stay_A[hole], :, :, :self.used]
        return stay_A

    def get_seq_length(self, *_: object) -> int:
        """Tokens before the next one, as transformers asks."""
        return 0 if self.slot_A is None else self.used - 1


def decode(model: nn.Module, prompts: list[list[int]], draws: Draws,
           ends: tuple[int, ...], places: int = 128, look: int | None = None) -> None:
    """As `sampling.decode`, with at most `places` rows at once.

    look: tokens between two looks at who has ended, LOOK on anything but a CPU. Between
    them the host waits for nothing; a row goes on after its end, into its own slots.
    """
    device, T = model.device, draws.token_BT.size(1)
    look = look or (1 if device.type == "cpu" else LOOK)
    end_E = torch.tensor(ends, device=device)
    length_B = torch.tensor([len(prompt) for prompt in prompts], device=device)
    cache = Cache(min(places, len(prompts)), int(length_B.max()) + T)
    waiting, plain = reading_groups(prompts, places), is_plain(model)
    row_A, t_A = length_B[:0], length_B[:0]
    logits_AV = torch.zeros(0, model.config.vocab_size, dtype=model.dtype).to(device)
    while waiting or len(row_A):
        while waiting and len(row_A) + len(waiting[-1]) <= places:
            group = waiting.pop()
            added = [prompts[row] for row in group]
            new_RV = read(model, added, cache, len(row_A), plain)
            logits_AV = torch.cat([logits_AV, new_RV])
            row_A = torch.cat([row_A, torch.tensor(group, device=device)])
            t_A = F.pad(t_A, (0, len(group)))
        slot_A, going_A = length_B[row_A] + t_A, torch.ones_like(row_A).bool()
        cache.used = int(slot_A.max())
        for left in reversed(range(min(look, T - int(t_A.max())))):
            token_A = draws.draw(logits_AV, row_A, t_A)
            going_A, t_A = going_A & ~torch.isin(token_A, end_E), t_A + 1
            if left:
                logits_AV = step(model, token_A, cache.at(slot_A), plain)
                slot_A = slot_A + 1
        stay_A = cache.close_ranks(going_A & (t_A < T))
        row_A, t_A, token_A, slot_A = (x[stay_A] for x in (row_A, t_A, token_A, slot_A))
        logits_AV = logits_AV[:0]
        if len(row_A):
            cache.used = int(slot_A.max())
            logits_AV = step(model, token_A, cache.at(slot_A), plain)


def reading_groups(prompts: list[list[int]], places: int) -> list[list[int]]:
    """Rows to read together, the shortest last; copies together, if places allow."""
    groups: list[list[int]] = []
    few = min(fast_rows.GROUP, places)
    for _, prompt, row in sorted((-len(x), x, row) for row, x in enumerate(prompts)):
        same = groups and prompts[groups[-1][-1]] == prompt
        if groups and len(groups[-1]) < (places if same else few):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def read(model: nn.Module, prompts: list[list[int]], cache: Cache, start: int,
         plain: bool) -> Tensor:
    """Logits (R, V) after prompts, which fill the cache's places from `start` on."""
    distinct = sorted(dict.fromkeys(map(tuple, prompts)), key=len)
    index = {prompt: i for i, prompt in enumerate(distinct)}
    parent_R = torch.tensor([index[tuple(x)] for x in prompts], device=model.device)
    cache.reading(start, parent_R)
    whole = Rollout.of(distinct, [[]] * len(distinct), pad=0, eos=()).to(model.device)
    if plain:
        rows = whole.token_BS, whole.real_BS, whole.last_B
        return logits(model, *rows, cache=cache)[parent_R]
    B, S = whole.token_BS.shape
    sees_BSS = torch.ones(B, S, S, dtype=torch.bool, device=model.device).tril()
    inputs = fast_rows.told(model, whole.token_BS, sees_BSS.sum(dim=2) - 1, sees_BSS)
    logits_BSV = model(**inputs, past_key_values=cache, use_cache=True).logits
    return logits_BSV.flatten(0, 1)[whole.last_B[parent_R]]


def step(model: nn.Module, token_A: Tensor, cache: Cache, plain: bool) -> Tensor:
    """Logits (A, V) after one more token of each row, written to `cache.slot_A`."""
    slot_A1 = cache.slot_A[:, None]
    sees_AU = torch.arange(cache.used, device=model.device) <= slot_A1
    inputs = fast_rows.told(model, token_A[:, None], slot_A1, sees_AU[:, None])
    if not plain:
        return model(**inputs, past_key_values=cache, use_cache=True).logits[:, 0]
    A, (H, G) = len(token_A), fast_rows.head_counts(model)
    mask_b1U = inputs["attention_mask"][:, 0].repeat_interleave(G, dim=0)

    def attend(layer: int, qkv_AE: Tensor) -> Tensor:    # b: A * G; g: H / G heads
        q, k, v = fast_rows.by_head(qkv_AE, A, 1, (H, G))
        k, v = cache.update(k, v, layer)
        q_bgd, k_bUd, v_bUd = (x.reshape(A * G, -1, x.size(3)) for x in (q, k, v))
        score_bgU = torch.baddbmm(mask_b1U, q_bgd, k_bUd.transpose(1, 2),
                                  alpha=q.size(-1) ** -0.5)
        return torch.bmm(score_bgU.softmax(dim=-1), v_bUd).view(A, -1)

    return model.lm_head(fast_rows.flat_states(model, token_A, cache.slot_A, attend))
