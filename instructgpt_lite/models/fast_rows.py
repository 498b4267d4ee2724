"""GPT-2 and Llama as one flat row of all rows' tokens: no padding in any linear layer.

Only attention, which is handed in, knows whose tokens they are. The last block goes on
with the kept places alone. What differs between the two families is in `_gpt2` and
`_llama`. Llama stands for what has its modules: SmolLM2, Qwen2 without windows.

Shapes: B rows, S places of a row, N tokens of all rows, M kept places, P places of
tokens and padding, R rows that attend at once, U slots of a cache, D width, V
vocabulary, H heads, G heads of keys and values, d width of a head, E = (H + 2 G) d.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructgpt_lite.models import forward
from instructgpt_lite.models.forward import Dropout

GROUP = 16         # rows that attend, or prompts read, at once: a core's cache

Attend = Callable[[int, Tensor], Tensor]   # (layer, q, k and v (N, E)) -> (N, H d)
GELU = {                             # of each name: transformers' class, torch's kind
    "gelu": ("GELUActivation", "none"), "gelu_new": ("NewGELUActivation", "tanh"),
    "gelu_pytorch_tanh": ("GELUTanh", "tanh")}
LLAMAS = {"llama": "Llama", "qwen2": "Qwen2"}          # how their classes begin
STEADY = ("default", "linear", "llama3", "yarn")       # RoPE, whatever the row's length


def is_plain(model: nn.Module) -> bool:
    """True for a GPT-2 or Llama of transformers' own modules, none hooked or patched.

    Sliding windows, and frequencies that depend on a row's length, are not plain.
    """
    config = model.config
    written = {"gpt2": _gpt2_kinds, **dict.fromkeys(LLAMAS, _llama_kinds)}
    if config.model_type not in written:
        return False
    parts = tuple(forward.trunk(model).modules())
    kinds = [type(part).__name__ for part in parts]
    return (kinds == written[config.model_type](config)
            and all(map(untouched, (model, *parts))))


def _gpt2_kinds(config: Any) -> list[str]:
    """Classes of the trunk's modules; none where it computes what we do not."""
    if (config.activation_function not in GELU or not config.scale_attn_weights
            or config.add_cross_attention or config.scale_attn_by_inverse_layer_idx):
        return []
    block = ["GPT2Block", "LayerNorm", "GPT2Attention", "Conv1D", "Conv1D", "Dropout",
             "Dropout", "LayerNorm", "GPT2MLP", "Conv1D", "Conv1D",
             GELU[config.activation_function][0], "Dropout"]
    return ["GPT2Model", "Embedding", "Embedding", "Dropout", "ModuleList",
            *config.n_layer * block, "LayerNorm"]


def _llama_kinds(config: Any) -> list[str]:
    """As `_gpt2_kinds`."""
    windowed = {*(getattr(config, "layer_types", None) or ())} - {"full_attention"}
    if windowed or config.rope_parameters["rope_type"] not in STEADY:
        return []
    kind = LLAMAS[config.model_type]
    block = [f"{kind}DecoderLayer", f"{kind}Attention", *4 * ["Linear"], f"{kind}MLP",
             *3 * ["Linear"], "SiLUActivation", *2 * [f"{kind}RMSNorm"]]
    return [f"{kind}Model", "Embedding", "ModuleList",
            *config.num_hidden_layers * block, f"{kind}RMSNorm",
            f"{kind}RotaryEmbedding"]


def untouched(part: nn.Module) -> bool:
    """True for a module of torch or transformers with its own forward and no hook."""
    return (type(part).__module__.startswith(("torch.nn.", "transformers."))
            and "forward" not in vars(part)
            and not (part._forward_pre_hooks or part._forward_hooks
                     or part._backward_pre_hooks or part._backward_hooks))


def logits(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: Dropout | None = None, cache: Any = None) -> Tensor:
    """As `forward.logits`, of a plain model. cache: of `attention_by_length`."""
    if drop and model.config.model_type != "gpt2":                      # is refused
        return forward.logits(model, token_BS, real_BS, keep_M, drop)
    return model.lm_head(states(model, token_BS, real_BS, keep_M, drop, cache))


def states(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: Dropout | None = None, cache: Any = None) -> Tensor:
    """As `forward.states`, of a plain model. cache: of `attention_by_length`."""
    forward.check_context(model, token_BS.size(1))
    place_N = real_BS.flatten().nonzero()[:, 0]
    rank_BS = real_BS.flatten().cumsum(0) - 1
    attend = attention_by_length(real_BS.sum(dim=1), head_counts(model), cache)
    return flat_states(model, token_BS.flatten()[place_N],
                       place_N % token_BS.size(1), attend, rank_BS[keep_M], drop)


def flat_states(model: nn.Module, token_N: Tensor, position_N: Tensor, attend: Attend,
                keep_M: Tensor | None = None, drop: Dropout | None = None) -> Tensor:
    """Final states (M, D) of a flat row's N tokens, at the places keep_M or at all."""
    family = _gpt2 if model.config.model_type == "gpt2" else _llama
    trunk, drop = forward.trunk(model), drop or (lambda x: x)
    x_ND, blocks, asks, adds, norm = family(trunk, token_N, position_N, drop)
    for layer, block in enumerate(blocks):
        a_ND = attend(layer, asks(block, x_ND))
        if keep_M is not None and layer == len(blocks) - 1:
            a_ND, x_ND = a_ND.index_select(0, keep_M), x_ND.index_select(0, keep_M)
        x_ND = adds(block, x_ND, a_ND)
    return norm(x_ND)


# Of a family: what enters (N, D), blocks, a block's q, k and v (N, E) of its input, its
# output (N, D) of input and attention, final norm.

def _gpt2(gpt2: nn.Module, token_N: Tensor, position_N: Tensor, drop: Dropout) -> tuple:
    gelu = GELU[gpt2.config.activation_function][1]

    def asks(block: nn.Module, x_ND: Tensor) -> Tensor:
        return _linear(block.attn.c_attn, block.ln_1(x_ND))

    def adds(block: nn.Module, x_ND: Tensor, a_ND: Tensor) -> Tensor:
        x_ND = x_ND + drop(_linear(block.attn.c_proj, a_ND))
        hidden = F.gelu(_linear(block.mlp.c_fc, block.ln_2(x_ND)), approximate=gelu)
        return x_ND + drop(_linear(block.mlp.c_proj, hidden))

    return gpt2.wte(token_N) + gpt2.wpe(position_N), gpt2.h, asks, adds, gpt2.ln_f


def _linear(conv: nn.Module, x_ND: Tensor) -> Tensor:
    return torch.addmm(conv.bias, x_ND, conv.weight)


def _llama(llama: nn.Module, token_N: Tensor, position_N: Tensor, _: Dropout) -> tuple:
    x_ND = llama.embed_tokens(token_N)
    cos_N1d, sin_N1d = (x[:, None] for x in llama.rotary_emb(x_ND, position_N))

    def turned(x_NF: Tensor) -> Tensor:
        """Pairs (i, i + d/2) of each head turned by their angles (RoFormer, §3.2)."""
        x_Nhd = x_NF.unflatten(1, (-1, cos_N1d.size(2)))
        one, other = x_Nhd.chunk(2, dim=2)
        half_Nhd = torch.cat([-other, one], dim=2)
        return (x_Nhd * cos_N1d + half_Nhd * sin_N1d).flatten(1)

    def asks(block: nn.Module, x_ND: Tensor) -> Tensor:
        attn, x_ND = block.self_attn, block.input_layernorm(x_ND)
        q_NF, k_NF = turned(attn.q_proj(x_ND)), turned(attn.k_proj(x_ND))
        return torch.cat([q_NF, k_NF, attn.v_proj(x_ND)], dim=1)

    def adds(block: nn.Module, x_ND: Tensor, a_ND: Tensor) -> Tensor:
        x_ND = x_ND + block.self_attn.o_proj(a_ND)
        return x_ND + block.mlp(block.post_attention_layernorm(x_ND))

    return x_ND, llama.layers, asks, adds, llama.norm


def head_counts(model: nn.Module) -> tuple[int, int]:
    """H and G: heads that ask, and heads of keys and values, each shared by H / G."""
    H = model.config.num_attention_heads
    return H, getattr(model.config, "num_key_value_heads", H)


def attention_by_length(length_B: Tensor, heads: tuple[int, int],
                        cache: Any = None) -> Attend:
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

    def attend(layer: int, qkv_NE: Tensor) -> Tensor:
        parts = []
        for rank_RS in ranks:
            qkv_PE = qkv_NE.index_select(0, rank_RS.flatten())
            q, k, v = by_head(qkv_PE, *rank_RS.shape, heads)
            if cache is not None:
                cache.update(k, v, layer)
            parts.append(attention(q, k, v))
        return torch.cat(parts).index_select(0, place_N)

    return attend


def by_head(qkv: Tensor, R: int, S: int, heads: tuple[int, int]) -> list[Tensor]:
    """(R S, E) as queries (R, H, S, d), keys and values (R, G, S, d)."""
    H, G = heads
    x_RhSd = qkv.view(R, S, H + 2 * G, -1).transpose(1, 2)
    return x_RhSd.split([H, G, G], dim=1)


def attention(q: Tensor, k: Tensor, v: Tensor, sees: Tensor | None = None) -> Tensor:
    """What each query (R, H, S, d) gets, as (R S, H d): causal or where it sees."""
    a_RHSd = F.scaled_dot_product_attention(
        q, k, v, sees, is_causal=sees is None, enable_gqa=q.size(1) != k.size(1))
    return a_RHSd.transpose(1, 2).flatten(2).flatten(0, 1)


def told(model: nn.Module, token_BS: Tensor, position_BS: Tensor,
         sees_BSU: Tensor) -> dict[str, Tensor]:
    """Inputs of any decoder; the mask is 0 where a token sees, or the lowest number."""
    mask_BSU = torch.zeros(sees_BSU.shape, dtype=model.dtype, device=model.device)
    mask_BSU = mask_BSU.masked_fill(~sees_BSU, torch.finfo(model.dtype).min)
    return {"input_ids": token_BS, "position_ids": position_BS,
            "attention_mask": mask_BSU[:, None]}
