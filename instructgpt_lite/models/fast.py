"""Speed, and nothing else: this file can be deleted; numbers stay, up to rounding.

- GPT-2 reads the tokens of all rows as one flat row, so that padding is in no linear
  layer. Only attention, which is handed in, knows whose they are. The last block goes
  on with the kept places alone.
- K responses share their prompt, which is read once: [prompt | y_1 | ... | y_K]. Each
  response sees the prompt and itself; its positions go on from the prompt's end.
- In sampling, one cache holds all rows; equal prompts are read once; a row that ends
  makes room for the next.

The last two also serve other decoders that a mask can tell what each token sees.

Shapes: B rows, S places of a row, N tokens of all rows, M kept places, P places of
tokens and padding, R rows read at once, A rows being decoded, U slots in use, V
vocabulary, D width, H heads, d width of a head.
"""

from collections.abc import Callable
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructgpt_lite.models import forward
from instructgpt_lite.models.forward import Dropout
from instructgpt_lite.models.rollout import Rollout, padded
from instructgpt_lite.models.sampling import Draws

GROUP = 16         # rows that attend, or prompts read, at once: a core's cache

Attend = Callable[[int, Tensor], Tensor]   # (layer, q, k and v (N, 3D)) -> (N, D)
GELU = {                             # of each name: transformers' class, torch's kind
    "gelu": ("GELUActivation", "none"), "gelu_new": ("NewGELUActivation", "tanh"),
    "gelu_pytorch_tanh": ("GELUTanh", "tanh")}


# GPT-2 without padding

def is_plain(model: nn.Module) -> bool:
    """True for a GPT-2 of transformers' own modules, none of them hooked or patched."""
    config = model.config
    if not (config.model_type == "gpt2" and config.activation_function in GELU
            and config.scale_attn_weights and not config.add_cross_attention
            and not config.scale_attn_by_inverse_layer_idx):
        return False
    block = ("GPT2Block", "LayerNorm", "GPT2Attention", "Conv1D", "Conv1D", "Dropout",
             "Dropout", "LayerNorm", "GPT2MLP", "Conv1D", "Conv1D",
             GELU[config.activation_function][0], "Dropout")
    kinds = ("GPT2Model", "Embedding", "Embedding", "Dropout", "ModuleList",
             *config.n_layer * block, "LayerNorm")
    parts = tuple(model.base_model.modules())
    return (kinds == tuple(type(part).__name__ for part in parts)
            and all(map(untouched, (model, *parts))))


def untouched(part: nn.Module) -> bool:
    """True for a module of torch or transformers with its own forward and no hook."""
    return (type(part).__module__.startswith(("torch.nn.", "transformers."))
            and "forward" not in vars(part)
            and not (part._forward_pre_hooks or part._forward_hooks
                     or part._backward_pre_hooks or part._backward_hooks))


def logits(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: Dropout | None = None, cache: "Cache | None" = None) -> Tensor:
    """As `forward.logits`, of a plain GPT-2. cache: of `attention_by_length`."""
    return model.lm_head(states(model, token_BS, real_BS, keep_M, drop, cache))


def states(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: Dropout | None = None, cache: "Cache | None" = None) -> Tensor:
    """As `forward.states`, of a plain GPT-2. cache: of `attention_by_length`."""
    forward.check_context(model, token_BS.size(1))
    place_N = real_BS.flatten().nonzero()[:, 0]
    rank_BS = real_BS.flatten().cumsum(0) - 1
    attend = attention_by_length(real_BS.sum(dim=1), model.config.n_head, cache)
    return gpt2_states(model.base_model, token_BS.flatten()[place_N],
                       place_N % token_BS.size(1), attend, rank_BS[keep_M], drop)


def gpt2_states(gpt2: nn.Module, token_N: Tensor, position_N: Tensor, attend: Attend,
                keep_M: Tensor | None = None, drop: Dropout | None = None) -> Tensor:
    """Final states (M, D) of a flat row's N tokens, at the places keep_M or at all."""
    gelu = GELU[gpt2.config.activation_function][1]
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


def attention_by_length(length_B: Tensor, H: int,
                        cache: "Cache | None" = None) -> Attend:
    """Causal attention of each row to itself; rows of like length attend together.

    cache: of at most GROUP rows from the shortest to the longest; gets keys and values.
    """
    start_B = length_B.cumsum(0) - length_B
    ranks = []
    for row_R in length_B.argsort(stable=True).split(GROUP):
        length_R1 = length_B[row_R, None]
        column_S = torch.arange(int(length_R1[-1]), device=length_B.device)
        ranks.append(start_B[row_R, None] + column_S.minimum(length_R1 - 1))
    rank_P = torch.cat([rank_RS.flatten() for rank_RS in ranks])
    place_N = F.pad(rank_P.diff(), (1, 0), value=1).nonzero()[:, 0]  # padding repeats
    place_N = torch.empty_like(place_N).index_copy(0, rank_P[place_N], place_N)

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        parts = []
        for rank_RS in ranks:
            qkv_P3D = qkv_N3D.index_select(0, rank_RS.flatten())
            q, k, v = _heads(qkv_P3D, *rank_RS.shape, H)
            if cache is not None:
                cache.update(k, v, layer)
            parts.append(_attention(q, k, v))
        return torch.cat(parts).index_select(0, place_N)

    return attend


def _heads(qkv: Tensor, R: int, S: int, H: int) -> Tensor:
    """(R S, 3D) as queries, keys and values (3, R, H, S, d)."""
    return qkv.view(R, S, 3, H, -1).permute(2, 0, 3, 1, 4)


def _attention(q: Tensor, k: Tensor, v: Tensor, sees: Tensor | None = None) -> Tensor:
    """What each query (R, H, S, d) gets, as (R S, D): causal, or from where it sees."""
    a_RHSd = F.scaled_dot_product_attention(q, k, v, sees, is_causal=sees is None)
    return a_RHSd.transpose(1, 2).flatten(2).flatten(0, 1)


# K responses that share their prompt

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
        attend = shared_prefix_attention(lengths, model.config.n_head, model.device)
        return gpt2_states(model.base_model, token_BS[0], position_BS[0], attend,
                           last_M)
    inputs = told(model, token_BS, position_BS, shared_prefix_mask(segment_BS))
    state_BSD = model.base_model.eval()(**inputs, use_cache=False).last_hidden_state
    return state_BSD.flatten(0, 1).index_select(0, last_M)


def shared_prefix_attention(lengths: list[tuple[int, list[int]]], H: int,
                            device: torch.device) -> Attend:
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

    def attend(layer: int, qkv_N3D: Tensor) -> Tensor:
        pieces, parts = qkv_N3D.index_select(0, rank_P).split(sizes), []
        for prompt, own, sees_rs in zip(pieces[::2], pieces[1::2], sees):
            q, *shared = _heads(prompt, 1, len(prompt), H)
            parts.append(_attention(q, *shared))
            q, *each = _heads(own, len(own) // len(sees_rs), len(sees_rs), H)
            k, v = (torch.cat([x.expand(len(q), -1, -1, -1), y], dim=2)
                    for x, y in zip(shared, each))
            parts.append(_attention(q, k, v, sees_rs))
        return torch.cat(parts).index_select(0, place_N)

    return attend


def shared_prefix_mask(segment_BS: Tensor) -> Tensor:
    """(B, S, S), True where a token (dim 1) sees another: its own past.

    segment_BS: 0 in the prompt, k in y_k, -1 in padding.
    """
    query_BS1, key_B1S = segment_BS[:, :, None], segment_BS[:, None, :]
    return ((key_B1S == 0) | (key_B1S == query_BS1)).tril()


def told(model: nn.Module, token_BS: Tensor, position_BS: Tensor,
         sees_BSU: Tensor) -> dict[str, Tensor]:
    """Inputs of any decoder; the mask is 0 where a token sees, or the lowest number."""
    mask_BSU = torch.zeros(sees_BSU.shape, dtype=model.dtype, device=model.device)
    mask_BSU = mask_BSU.masked_fill(~sees_BSU, torch.finfo(model.dtype).min)
    return {"input_ids": token_BS, "position_ids": position_BS,
            "attention_mask": mask_BSU[:, None]}


# Sampling with one cache

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
        self.slot_A, self.used = slot_A, int(slot_A.max()) + 1
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
        v[self.row_A, :, self.slot_A] = value[:, :, 0]
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
           ends: tuple[int, ...], places: int = 128) -> None:
    """As `sampling.decode`, with at most `places` rows at once."""
    device, T = model.device, draws.token_BT.size(1)
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
        token_A = draws.draw(logits_AV, row_A, t_A)
        stay_A = cache.close_ranks(~torch.isin(token_A, end_E) & (t_A + 1 < T))
        row_A, t_A, token_A = row_A[stay_A], t_A[stay_A], token_A[stay_A]
        slot_A, t_A = length_B[row_A] + t_A, t_A + 1
        logits_AV = (step(model, token_A, cache.at(slot_A), plain) if len(row_A)
                     else logits_AV[:0])


def reading_groups(prompts: list[list[int]], places: int) -> list[list[int]]:
    """Rows to read together, the shortest last; copies together, if places allow."""
    groups: list[list[int]] = []
    for _, prompt, row in sorted((-len(x), x, row) for row, x in enumerate(prompts)):
        same = groups and prompts[groups[-1][-1]] == prompt
        if groups and len(groups[-1]) < (places if same else min(GROUP, places)):
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
    sees_BSS = shared_prefix_mask(torch.zeros_like(whole.token_BS))
    inputs = told(model, whole.token_BS, sees_BSS.sum(dim=2) - 1, sees_BSS)
    logits_BSV = model(**inputs, past_key_values=cache, use_cache=True).logits
    return logits_BSV.flatten(0, 1)[whole.last_B[parent_R]]


def step(model: nn.Module, token_A: Tensor, cache: Cache, plain: bool) -> Tensor:
    """Logits (A, V) after one more token of each row, written to `cache.slot_A`."""
    slot_A1 = cache.slot_A[:, None]
    sees_AU = torch.arange(cache.used, device=model.device) <= slot_A1
    inputs = told(model, token_A[:, None], slot_A1, sees_AU[:, None])
    if not plain:
        return model(**inputs, past_key_values=cache, use_cache=True).logits[:, 0]
    A, H = len(token_A), model.config.n_head
    mask_b1U = inputs["attention_mask"][:, 0].repeat_interleave(H, dim=0)

    def attend(layer: int, qkv_A3D: Tensor) -> Tensor:             # b: A * H heads
        q, k, v = qkv_A3D.view(A, 3, H, 1, -1).unbind(dim=1)
        k, v = cache.update(k, v, layer)
        q_b1d, k_bUd, v_bUd = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        score_b1U = torch.baddbmm(mask_b1U, q_b1d, k_bUd.transpose(1, 2),
                                  alpha=q.size(-1) ** -0.5)
        return torch.bmm(score_b1U.softmax(dim=-1), v_bUd).view(A, -1)

    return model.lm_head(gpt2_states(model.base_model, token_A, cache.slot_A, attend))
