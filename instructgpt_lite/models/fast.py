"""Speed, and nothing else: this file can be deleted, and every number stays, up to rounding.

- GPT-2 reads the tokens of all rows as one flat row, so that padding is in no linear layer. Only
  attention, which is handed in, knows whose they are. The last block goes on with the kept places alone.
- K responses share their prompt, which is read once: [prompt | y_1 | ... | y_K], where each response
  sees the prompt and itself, and its positions go on from the prompt's end.
- In sampling, one cache holds all rows; equal prompts are read once; a row that ends makes room for
  the next.

The last two also serve decoders other than GPT-2 that can be told by a mask what each token sees.

Shapes: B rows, S places of a row, N tokens of all rows, M kept places, R rows read at once, A rows
being decoded, U slots in use, D width, H heads, d width of a head.
"""

from collections.abc import Callable
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructgpt_lite.models import forward
from instructgpt_lite.models.forward import Dropout
from instructgpt_lite.models.rollout import padded
from instructgpt_lite.models.sampling import Draws

GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}   # transformers': torch's
BLOCK = ("GPT2Block", "LayerNorm", "GPT2Attention", "Conv1D", "Conv1D", "Dropout", "Dropout",
         "LayerNorm", "GPT2MLP", "Conv1D", "Conv1D", "", "Dropout")           # "" is the activation
GROUP = 16              # rows that attend together, and prompts read at once: a core's second-level cache

Attend = Callable[[int, Tensor], Tensor]           # (layer, queries, keys and values (N, 3D)) -> (N, D)


def is_plain_gpt2(model: nn.Module) -> bool:
    """True for a GPT-2 whose trunk holds the modules of transformers, none of them hooked or patched."""
    config, gpt2 = model.config, model.base_model
    if config.model_type != "gpt2" or config.activation_function not in GELU or config.add_cross_attention:
        return False
    if config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights:
        return False
    kinds = ["GPT2Model", "Embedding", "Embedding", "Dropout", "ModuleList", *config.n_layer * BLOCK, "LayerNorm"]
    parts = list(gpt2.modules())
    return (len(parts) == len(kinds) and all(map(untouched, (model, *parts)))
            and all(kind in ("", type(part).__name__) for part, kind in zip(parts, kinds)))


def untouched(part: nn.Module) -> bool:
    """True for a module of torch or transformers whose forward is its own, and without a hook."""
    return (type(part).__module__.startswith(("torch.nn.", "transformers.")) and "forward" not in vars(part)
            and not (part._forward_pre_hooks or part._forward_hooks or part._backward_pre_hooks
                     or part._backward_hooks))


# GPT-2 without padding

def logits(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: Dropout | None = None) -> Tensor:
    """As `forward.logits`, of a plain GPT-2."""
    return model.lm_head(states(model, token_BS, real_BS, keep_M, drop))


def states(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: Dropout | None = None) -> Tensor:
    """As `forward.states`, of a plain GPT-2."""
    forward.check_context(model, token_BS.size(1))
    place_N = real_BS.flatten().nonzero()[:, 0]
    rank_BS = real_BS.flatten().cumsum(0) - 1
    attend = attention_by_length(real_BS.sum(dim=1), model.config.n_head)
    return gpt2_states(model.base_model, token_BS.flatten()[place_N], place_N % token_BS.size(1),
                       attend, rank_BS[keep_M], drop)


def gpt2_states(gpt2: nn.Module, token_N: Tensor, position_N: Tensor, attend: Attend,
                keep_M: Tensor | None = None, drop: Dropout | None = None) -> Tensor:
    """Final states (M, D) of GPT-2 at the places keep_M, or all, of N tokens in a flat row."""
    gelu = GELU[gpt2.config.activation_function]
    drop = drop or (lambda x: x)
    x_ND = gpt2.wte(token_N) + gpt2.wpe(position_N)
    for layer, block in enumerate(gpt2.h):
        a_ND = attend(layer, _linear(block.attn.c_attn, block.ln_1(x_ND)))
        if keep_M is not None and layer == len(gpt2.h) - 1:
            a_ND, x_ND = a_ND.index_select(0, keep_M), x_ND.index_select(0, keep_M)
        x_ND = x_ND + drop(_linear(block.attn.c_proj, a_ND))
        hidden = F.gelu(_linear(block.mlp.c_fc, block.ln_2(x_ND)), approximate=gelu)
        x_ND = x_ND + drop(_linear(block.mlp.c_proj, hidden))
    return gpt2.ln_f(x_ND)


def _linear(conv: nn.Module, x_ND: Tensor) -> Tensor:
    return torch.addmm(conv.bias, x_ND, conv.weight)


def attention_by_length(length_B: Tensor, H: int, cache: "Cache | None" = None) -> Attend:
    """Causal attention of each row to itself; rows of like length attend together, with little padding.

    cache: of at most GROUP rows from the shortest to the longest, it receives the keys and values.
    """
    start_B = length_B.cumsum(0) - length_B
    ranks, real = [], []
    for row_R in length_B.argsort(stable=cache is not None).split(GROUP):
        length_R1 = length_B[row_R, None]
        column_S = torch.arange(int(length_R1[-1]), device=length_B.device)
        ranks.append(start_B[row_R, None] + column_S.minimum(length_R1 - 1))   # padding is a copy
        real.append((column_S < length_R1).flatten())
    place_N = _places(torch.cat([rank.flatten() for rank in ranks]), torch.cat(real))

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        parts = []
        for rank in ranks:
            q, k, v = _heads(qkv_N3D.index_select(0, rank.flatten()), *rank.shape, H)
            if cache is not None:
                cache.update(k, v, layer)
            parts.append(_flat(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        return torch.cat(parts).index_select(0, place_N)

    return attend


def _places(rank: Tensor, real: Tensor) -> Tensor:
    """Where each of N tokens is among places that hold token `rank`, or at `real` False a copy of it."""
    place_N = real.nonzero()[:, 0]
    return torch.empty_like(place_N).index_copy(0, rank[real], place_N)


def _heads(qkv: Tensor, B: int, S: int, H: int) -> Tensor:
    """(B S, 3D) as queries, keys and values (3, B, H, S, d)."""
    return qkv.view(B, S, 3, H, -1).permute(2, 0, 3, 1, 4)


def _flat(a_BHSd: Tensor) -> Tensor:
    """(B, H, S, d) as (B S, D)."""
    return a_BHSd.transpose(1, 2).flatten(2).flatten(0, 1)


# K responses that share their prompt

def prefix_states(model: nn.Module, prompts: list[list[int]],
                  responses: list[list[list[int]]]) -> Tensor:
    """Final states (M, D) at the last token of every response, in order; each prompt is read once."""
    lengths = [(len(prompt), [*map(len, group)]) for prompt, group in zip(prompts, responses)]
    tokens = [[*prompt, *chain(*group)] for prompt, group in zip(prompts, responses)]
    positions = [[*range(p), *chain(*(range(p, p + r) for r in group))] for p, group in lengths]
    segments = [[0] * p + [k for k, r in enumerate(group, 1) for _ in range(r)] for p, group in lengths]
    forward.check_context(model, max(map(max, positions)) + 1)
    flat = is_plain_gpt2(model)
    token_BS, position_BS, segment_BS = (
        (torch.tensor([[*chain(*rows)]]) if flat else padded(rows, pad)).to(model.device)
        for rows, pad in ((tokens, 0), (positions, 0), (segments, -1)))
    following_BS = F.pad(segment_BS[:, 1:], (0, 1), value=-1)
    last_M = ((segment_BS > 0) & (segment_BS != following_BS)).flatten().nonzero()[:, 0]
    if flat:
        attend = shared_prefix_attention(lengths, model.config.n_head, model.device)
        return gpt2_states(model.base_model, token_BS[0], position_BS[0], attend, last_M)
    model.eval()
    state_BSD = model.base_model(
        input_ids=token_BS, attention_mask=additive(shared_prefix_mask(segment_BS), model.dtype)[:, None],
        position_ids=position_BS, use_cache=False).last_hidden_state
    return state_BSD.flatten(0, 1).index_select(0, last_M)


def shared_prefix_attention(lengths: list[tuple[int, list[int]]], H: int,
                            device: torch.device) -> Attend:
    """Attention in a flat row of [prompt | y_1 | ... | y_K] after the other; lengths: (p, [r_1, ..., r_K]).

    The p tokens of a prompt attend in a square, the r of a response in a rectangle, to [prompt | itself]:
    one square of the whole row would be masked for the most part. Responses are padded to the longest of K.
    """
    sizes, sees, real = [], [], []
    for p, group in lengths:
        K, r = len(group), max(group)
        sizes += [p, K * r]
        sees.append(torch.ones(r, p + r, dtype=torch.bool, device=device).tril(p))
        real += [torch.ones(p, dtype=torch.bool),
                 (torch.arange(r) < torch.tensor(group)[:, None]).flatten()]
    real = torch.cat(real).to(device)
    rank = real.cumsum(0) - 1                      # padding is a copy of the token before it
    place_N, ragged = _places(rank, real), len(rank) > sum(p + sum(group) for p, group in lengths)

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        pieces = (qkv_N3D.index_select(0, rank) if ragged else qkv_N3D).split(sizes)
        parts = []
        for prompt, own, sees_rs in zip(pieces[::2], pieces[1::2], sees):
            q, *shared = _heads(prompt, 1, len(prompt), H)
            parts.append(_flat(F.scaled_dot_product_attention(q, *shared, is_causal=True)))
            q, *each = _heads(own, len(own) // len(sees_rs), len(sees_rs), H)
            k, v = (torch.cat([x.expand(len(q), -1, -1, -1), y], dim=2) for x, y in zip(shared, each))
            parts.append(_flat(F.scaled_dot_product_attention(q, k, v, attn_mask=sees_rs)))
        a_ND = torch.cat(parts)
        return a_ND.index_select(0, place_N) if ragged else a_ND

    return attend


def shared_prefix_mask(segment_BS: Tensor) -> Tensor:
    """(B, S, S), True where a token (dim 1) sees another: those before it in the prompt and its response.

    segment_BS: 0 in the prompt, k in y_k, -1 in padding.
    """
    S = segment_BS.size(1)
    query_BS1, key_B1S = segment_BS[:, :, None], segment_BS[:, None, :]
    causal_SS = torch.ones(S, S, dtype=torch.bool, device=segment_BS.device).tril()
    return ((key_B1S == 0) | (key_B1S == query_BS1)) & causal_SS


def additive(sees: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where sees, the lowest number elsewhere: the mask that every attention implementation reads."""
    mask = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    return mask.masked_fill(~sees, torch.finfo(dtype).min)


# Sampling with one cache

def decode(model: nn.Module, prompts: list[list[int]], draws: Draws, ends: tuple[int, ...],
           places: int = 128) -> None:
    """As `sampling.decode`; at most `places` rows side by side, and a row that ends makes room."""
    device, T = model.device, draws.token_BT.size(1)
    end_E = torch.tensor(ends, device=device)
    length_B = torch.tensor([len(prompt) for prompt in prompts], device=device)
    cache = Cache(min(places, len(prompts)), int(length_B.max()) + T)
    waiting = reading_groups(prompts, places)
    row_A, t_A = length_B[:0], length_B[:0]
    logits_AV = torch.zeros(0, model.config.vocab_size, dtype=model.dtype, device=device)
    while waiting or len(row_A):
        while waiting and len(row_A) + len(waiting[-1]) <= places:
            group = waiting.pop()
            new_RV = read(model, [prompts[row] for row in group], cache, start=len(row_A))
            logits_AV = torch.cat([logits_AV, new_RV])
            row_A = torch.cat([row_A, torch.tensor(group, device=device)])
            t_A = F.pad(t_A, (0, len(group)))
        token_A = draws.draw(logits_AV, row_A, t_A)
        stay_A = cache.close_ranks(~torch.isin(token_A, end_E) & (t_A + 1 < T))
        row_A, t_A, token_A = row_A[stay_A], t_A[stay_A], token_A[stay_A]
        logits_AV = step(model, token_A, cache.at(length_B[row_A] + t_A)) if len(row_A) else logits_AV[:0]
        t_A = t_A + 1


def reading_groups(prompts: list[list[int]], places: int) -> list[list[int]]:
    """Rows to read together, the shortest last; all rows of one prompt in one group, if places allow."""
    groups: list[list[int]] = []
    for row in sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), prompts[row])):
        same = groups and prompts[groups[-1][-1]] == prompts[row]
        if groups and len(groups[-1]) < (places if same else min(GROUP, places)):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


class Cache:
    """Keys and values of every layer, allocated once; a token's slot is its position.

    The part of a transformers `Cache` that models call: `update`. `reading` prompts writes each into
    the place of every copy of it; `at` makes ready for one more token of each row.
    """

    def __init__(self, rows: int, capacity: int) -> None:
        self.rows, self.capacity, self.used = rows, capacity, 0
        self.layers: list[Tensor] = []             # each (rows, H, 2, capacity, d)

    def reading(self, start: int, parent_R: Tensor) -> "Cache":
        """The next keys are of whole prompts; place start + i takes prompt parent_R[i]."""
        self.slot_A, self.start, self.parent_R = None, start, parent_R
        return self

    def at(self, slot_A: Tensor) -> "Cache":
        """The next keys are of one token a row, at slot_A of the first len(slot_A) places."""
        self.slot_A, self.used = slot_A, int(slot_A.max()) + 1
        self.row_A = torch.arange(len(slot_A), device=slot_A.device)
        return self

    def update(self, key: Tensor, value: Tensor, layer: int, *_, **__) -> tuple[Tensor, Tensor]:
        """Write (rows, H, tokens, d) and return what the attention is to see."""
        if layer == len(self.layers):
            self.layers.append(key.new_zeros(self.rows, key.size(1), 2, self.capacity, key.size(3)))
        if self.slot_A is None:
            S, places = key.size(2), slice(self.start, self.start + len(self.parent_R))
            kv = self.layers[layer][places, :, :, :S]
            kv[:, :, 0], kv[:, :, 1] = key[self.parent_R], value[self.parent_R]
            self.used = max(self.used, S)
            return key, value
        k, v = self.layers[layer][:len(self.slot_A)].unbind(dim=2)
        k[self.row_A, :, self.slot_A], v[self.row_A, :, self.slot_A] = key[:, :, 0], value[:, :, 0]
        return k[:, :, :self.used], v[:, :, :self.used]

    def sees_AU(self) -> Tensor:
        """True at the slots that a row has filled."""
        return torch.arange(self.used, device=self.slot_A.device) <= self.slot_A[:, None]

    def close_ranks(self, going_A: Tensor) -> Tensor:
        """Let the last rows take the places of those that have ended; returns which row is where now."""
        alive = int(going_A.sum())
        stay_A = torch.arange(alive, device=going_A.device)
        hole = (~going_A[:alive]).nonzero()[:, 0]
        stay_A[hole] = going_A[alive:].nonzero()[:, 0] + alive
        if len(hole):
            for kv in self.layers:
                kv[hole, :, :, :self.used] = kv[stay_A[hole], :, :, :self.used]
        return stay_A

    def get_seq_length(self, *_) -> int:
        """Tokens before the next one, as transformers asks."""
        return 0 if self.slot_A is None else self.used - 1


def read(model: nn.Module, prompts: list[list[int]], cache: Cache, start: int) -> Tensor:
    """Read prompts into the cache, from place `start` on; logits (R, V) after each one's last token."""
    distinct = sorted(dict.fromkeys(map(tuple, prompts)), key=len)
    index = {prompt: i for i, prompt in enumerate(distinct)}
    parent_R = torch.tensor([index[tuple(prompt)] for prompt in prompts], device=model.device)
    length_B = torch.tensor([len(prompt) for prompt in distinct], device=model.device)
    cache.reading(start, parent_R)
    if is_plain_gpt2(model):
        token_N, position_N = (torch.tensor([*chain(*rows)], device=model.device)
                               for rows in (distinct, map(range, map(len, distinct))))
        attend = attention_by_length(length_B, model.config.n_head, cache)
        last_B = length_B.cumsum(0) - 1
        return model.lm_head(gpt2_states(model.base_model, token_N, position_N, attend, last_B))[parent_R]
    token_BS = padded(distinct, 0).to(model.device)
    B, S = token_BS.shape
    causal_SS = torch.ones(S, S, dtype=torch.bool, device=model.device).tril()
    logits_BSV = model(token_BS, attention_mask=additive(causal_SS, model.dtype).expand(B, 1, S, S),
                       position_ids=torch.arange(S, device=model.device).expand(B, S),
                       past_key_values=cache, use_cache=True).logits
    return logits_BSV[torch.arange(B, device=model.device), length_B - 1][parent_R]


def step(model: nn.Module, token_A: Tensor, cache: Cache) -> Tensor:
    """Logits (A, V) after one more token of each row, written to the cache at `cache.slot_A`."""
    mask_AU = additive(cache.sees_AU(), model.dtype)
    if not is_plain_gpt2(model):
        return model(token_A[:, None], attention_mask=mask_AU[:, None, None],
                     position_ids=cache.slot_A[:, None], past_key_values=cache, use_cache=True).logits[:, 0]
    A, H = len(token_A), model.config.n_head
    mask_b1U = mask_AU.repeat_interleave(H, dim=0)[:, None]          # b: A * H heads

    def attend(layer: int, qkv_A3D: Tensor) -> Tensor:
        q, k, v = qkv_A3D.view(A, 3, H, 1, -1).unbind(dim=1)
        k, v = cache.update(k, v, layer)
        q_b1d, k_bUd, v_bUd = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        score_b1U = torch.baddbmm(mask_b1U, q_b1d, k_bUd.transpose(1, 2), alpha=q.size(-1) ** -0.5)
        return torch.bmm(score_b1U.softmax(dim=-1), v_bUd).view(A, -1)

    return model.lm_head(gpt2_states(model.base_model, token_A, cache.slot_A, attend))
