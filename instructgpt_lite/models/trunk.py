"""Hidden states of any Hugging Face decoder, at the positions asked for and nowhere else.

Rows are right-padded, so a token's position is its place in the row and causal attention needs no mask.
`plain_*` call the model as it is. A plain GPT-2 takes the short way, `gpt2_blocks`, which runs the
module's own weights with linear layers over real tokens only and ends its last block at the kept
positions; the tests hold the two equal.

Shapes: B rows, S tokens of a row, N real tokens of all rows, M kept positions, D width, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructgpt_lite.models.attention import beside_prompt, by_length, in_a_square

GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}     # transformers' name: torch's


@dataclass(frozen=True)
class Rows:
    """Right-padded token rows; what stands in padding never matters.

    real_BS: True where a token is, False at padding.
    position_BS, segment_BS: for rows [prompt | y_1 | ... | y_K] (`shared_prefix_rows`): each token's position,
    and 0 in the prompt, k in y_k, -1 in padding. None: plain causal rows.
    """

    token_BS: Tensor
    real_BS: Tensor
    position_BS: Tensor | None = None
    segment_BS: Tensor | None = None

    @property
    def safe_BS(self) -> Tensor:
        """The tokens with padding replaced by id 0, which every vocabulary has."""
        return self.token_BS.masked_fill(~self.real_BS, 0)

    @property
    def sees_BSS(self) -> Tensor | None:
        """True where query (dim 1) sees key (dim 2): the prompt and its own response. None: plain causal rows."""
        if self.segment_BS is None:
            return None
        query_BS1, key_B1S, S = self.segment_BS[:, :, None], self.segment_BS[:, None, :], self.segment_BS.size(1)
        causal_SS = torch.ones(S, S, dtype=torch.bool, device=self.segment_BS.device).tril()
        return ((key_B1S == 0) | (key_B1S == query_BS1)) & causal_SS

    def to(self, device: torch.device | str) -> "Rows":
        """The same rows on another device."""
        return Rows(*(None if field is None else field.to(device) for field in vars(self).values()))


def keep_all(x: Tensor) -> Tensor:
    """No dropout."""
    return x


def dropout(rate: float, generator: torch.Generator | None = None) -> Callable[[Tensor], Tensor]:
    """Inverted dropout whose randomness comes from `generator`, so that a resumed run repeats it."""
    if rate == 0:
        return keep_all
    return lambda x: x * torch.empty_like(x).bernoulli_(1 - rate, generator=generator) / (1 - rate)


def logits(model: nn.Module, rows: Rows, keep_M: Tensor,
           drop: Callable[[Tensor], Tensor] = keep_all) -> Tensor:
    """Next-token logits (M, V) at the flat positions keep_M (row * S + column)."""
    if is_plain_gpt2(model):
        return model.lm_head(gpt2_states(model.transformer, rows, keep_M, drop))
    _refuse(drop, model)
    return plain_logits(model, rows, keep_M)


def states(model: nn.Module, rows: Rows, keep_M: Tensor) -> Tensor:
    """Final hidden states (M, D) at the flat positions keep_M (row * S + column)."""
    if is_plain_gpt2(model):
        return gpt2_states(model.base_model, rows, keep_M)
    return plain_states(model, rows, keep_M)


def plain_logits(model: nn.Module, rows: Rows, keep_M: Tensor) -> Tensor:
    """As `logits`, by the model's own forward; its head runs on the columns between first and last kept."""
    column_M = keep_M % rows.token_BS.size(1)
    columns = torch.arange(int(column_M.min()), int(column_M.max()) + 1, device=keep_M.device)
    logits_BCV = model(**_inputs(model, rows), logits_to_keep=columns).logits
    return logits_BCV[keep_M // rows.token_BS.size(1), column_M - columns[0]]


def plain_states(model: nn.Module, rows: Rows, keep_M: Tensor) -> Tensor:
    """As `states`, by the forward of the model without its head."""
    return model.base_model(**_inputs(model, rows)).last_hidden_state.flatten(0, 1).index_select(0, keep_M)


def additive(sees: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where sees, the lowest number elsewhere: the mask that every attention implementation reads."""
    return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill(
        ~sees, torch.finfo(dtype).min)


def _inputs(model: nn.Module, rows: Rows) -> dict:
    _check_context(model, rows)
    model.eval()                                   # dropout has no place in a score or a log-prob
    sees_BSS = rows.sees_BSS
    mask = rows.real_BS.long() if sees_BSS is None else additive(sees_BSS, model.dtype)[:, None]
    return dict(input_ids=rows.safe_BS, attention_mask=mask, position_ids=rows.position_BS, use_cache=False)


def _check_context(model: nn.Module, rows: Rows) -> None:
    """ValueError where a row has more positions than the model."""
    context = getattr(model.config, "max_position_embeddings", None)
    length = rows.token_BS.size(1) if rows.position_BS is None else int(rows.position_BS.max()) + 1
    if context is not None and length > context:
        raise ValueError(f"rows of {length} tokens, {length - context} more than the model's context of "
                         f"{context}: shorten prompt or response")


def _refuse(drop: Callable, model: nn.Module) -> None:
    if drop is not keep_all:
        raise ValueError(f"residual dropout is written for GPT-2 only, not for {type(model).__name__}: "
                         "set dropout to 0")


def is_plain_gpt2(model: nn.Module) -> bool:
    """True for a GPT-2 whose blocks hold nothing but what `gpt2_blocks` computes (no adapter, no hook)."""
    config = model.config
    if config.model_type != "gpt2" or config.activation_function not in GELU:
        return False
    if config.add_cross_attention or config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights:
        return False
    linears = {type(part).__name__ for block in model.base_model.h
               for part in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)}
    return linears == {"Conv1D"} and not model.base_model.gradient_checkpointing


def gpt2_blocks(gpt2: nn.Module, x_ND: Tensor, attend: Callable[[int, Tensor], Tensor],
                keep_M: Tensor | None = None, drop: Callable[[Tensor], Tensor] = keep_all) -> Tensor:
    """GPT-2's blocks over N tokens in a flat row; only attention, which is handed in, knows whose they are.

    attend(layer, qkv (N, 3D)) -> (N, D). The last block goes on with the rows keep_M alone.
    """
    gelu = GELU[gpt2.config.activation_function]
    for layer, block in enumerate(gpt2.h):
        a_ND = attend(layer, _linear(block.attn.c_attn, block.ln_1(x_ND)))
        if keep_M is not None and layer == len(gpt2.h) - 1:
            a_ND, x_ND = a_ND.index_select(0, keep_M), x_ND.index_select(0, keep_M)
        x_ND = x_ND + drop(_linear(block.attn.c_proj, a_ND))
        hidden = F.gelu(_linear(block.mlp.c_fc, block.ln_2(x_ND)), approximate=gelu)
        x_ND = x_ND + drop(_linear(block.mlp.c_proj, hidden))
    return gpt2.ln_f(x_ND)


def gpt2_states(gpt2: nn.Module, rows: Rows, keep_M: Tensor, drop: Callable[[Tensor], Tensor] = keep_all,
                cache=None) -> Tensor:
    """Final states (M, D) of GPT-2: padding is in no linear layer, only in the attention's square.

    cache: if given, `cache.update(keys, values, layer)` receives each layer's keys and values.
    """
    _check_context(gpt2, rows)
    if rows.segment_BS is not None:
        real_N, rank_BS, attend = beside_prompt(rows.segment_BS, gpt2.config.n_head)
    elif cache is None:
        real_N, rank_BS, attend = by_length(rows.real_BS, gpt2.config.n_head)
    else:
        real_N, rank_BS, attend = in_a_square(rows.real_BS, gpt2.config.n_head, cache)
    position_BS = torch.arange(rows.token_BS.size(1), device=real_N.device).expand_as(rows.token_BS)
    position_BS = position_BS if rows.position_BS is None else rows.position_BS
    x_ND = gpt2.wte(rows.safe_BS.flatten()[real_N]) + gpt2.wpe(position_BS.flatten()[real_N])
    return gpt2_blocks(gpt2, x_ND, attend, rank_BS[keep_M], drop)


def _linear(conv: nn.Module, x_ND: Tensor) -> Tensor:
    return torch.addmm(conv.bias, x_ND, conv.weight)
