"""One more token of every row: the key-value cache, reading prompts into it, and the decoding step.

Shapes: B rows, R rows read at once, S tokens of a prompt, U slots in use, V vocabulary, D width,
b heads of all rows, d width of a head.
"""

import torch
from torch import Tensor, nn

from instructgpt_lite.models.trunk import Rows, additive, gpt2_blocks, gpt2_states, is_plain_gpt2


class Cache:
    """Keys and values of every layer, allocated once; a token's slot is its position.

    The part of a transformers `Cache` that models call: `update`. `reading` prompts writes each into
    the place of every copy of it; `at` makes ready for one more token of each row.
    """

    def __init__(self, rows: int, capacity: int) -> None:
        self.rows, self.capacity, self.used = rows, capacity, 0
        self.layers: list[Tensor] = []             # each (rows, heads, 2, capacity, D / heads)

    def reading(self, start: int, stop: int, parent_R: Tensor | slice) -> "Cache":
        """The next keys are of whole prompts; place start + i takes prompt parent_R[i]."""
        self.slot_B, self.start, self.stop, self.parent_R = None, start, stop, parent_R
        return self

    def at(self, slot_B: Tensor) -> "Cache":
        """The next keys are of one token a row, at slot_B of the first len(slot_B) places."""
        self.slot_B, self.used = slot_B, int(slot_B.max()) + 1
        self.row_B = torch.arange(len(slot_B), device=slot_B.device)
        return self

    def update(self, key: Tensor, value: Tensor, layer: int, *_, **__) -> tuple[Tensor, Tensor]:
        """Write (rows, heads, tokens, D / heads) and return what the attention is to see."""
        if layer == len(self.layers):
            shape = (self.rows, key.size(1), 2, self.capacity, key.size(3))
            self.layers.append(key.new_zeros(shape))
        if self.slot_B is None:
            kv = self.layers[layer][self.start:self.stop, :, :, :key.size(2)]
            self.used = max(self.used, key.size(2))
            kv[:, :, 0], kv[:, :, 1] = key[self.parent_R], value[self.parent_R]
            return key, value
        k, v = self.layers[layer][:len(self.slot_B)].unbind(dim=2)
        k[self.row_B, :, self.slot_B], v[self.row_B, :, self.slot_B] = key[:, :, 0], value[:, :, 0]
        return k[:, :, :self.used], v[:, :, :self.used]

    def sees(self) -> Tensor:
        """(B, used): True at the slots that a row has filled."""
        return torch.arange(self.used, device=self.slot_B.device) <= self.slot_B[:, None]

    def close_ranks(self, going_B: Tensor) -> Tensor:
        """Let the last rows take the places of those that have ended; returns which row is where now."""
        alive = int(going_B.sum())
        stay_B = torch.arange(alive, device=going_B.device)
        hole = (~going_B[:alive]).nonzero()[:, 0]
        stay_B[hole] = going_B[alive:].nonzero()[:, 0] + alive
        if len(hole):
            for kv in self.layers:
                kv[hole, :, :, :self.used] = kv[stay_B[hole], :, :, :self.used]
        return stay_B

    def get_seq_length(self, *_) -> int:
        """Tokens before the next one, as transformers asks."""
        return 0 if self.slot_B is None else self.used - 1


def read(model: nn.Module, rows: Rows, cache: Cache) -> Tensor:
    """Fill the cache with the prompts and return the logits (rows, V) after each one's last token."""
    last_B = rows.real_BS.sum(dim=1) - 1
    flat_B = torch.arange(len(last_B), device=last_B.device) * rows.real_BS.size(1) + last_B
    if is_plain_gpt2(model):
        return model.lm_head(gpt2_states(model.transformer, rows, flat_B, cache=cache))
    S = rows.token_BS.size(1)
    causal = torch.ones(S, S, dtype=torch.bool, device=last_B.device).tril()
    mask = additive(causal, model.dtype).expand(len(last_B), 1, S, S)
    position_BS = torch.arange(S, device=last_B.device).expand(len(last_B), S)
    logits_BSV = model(rows.safe_BS, attention_mask=mask, position_ids=position_BS, past_key_values=cache,
                       use_cache=True).logits
    return logits_BSV.flatten(0, 1)[flat_B]


def step(model: nn.Module, token_B: Tensor, cache: Cache) -> Tensor:
    """Logits (B, V) after one more token of each row, written to the cache at `cache.slot_B`."""
    mask_BU = additive(cache.sees(), model.dtype)
    if not is_plain_gpt2(model):
        return model(token_B[:, None], attention_mask=mask_BU[:, None, None],
                     position_ids=cache.slot_B[:, None], past_key_values=cache, use_cache=True).logits[:, 0]
    gpt2 = model.transformer
    B, D, H = len(token_B), gpt2.embed_dim, gpt2.config.n_head
    mask_b1U = mask_BU.repeat_interleave(H, dim=0)[:, None]          # b: B * H heads

    def attend(layer: int, qkv_B3D: Tensor) -> Tensor:
        q, k, v = qkv_B3D.view(B, 3, H, 1, D // H).unbind(dim=1)
        k, v = cache.update(k, v, layer)
        q_b1d, k_bUd, v_bUd = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        score_b1U = torch.baddbmm(mask_b1U, q_b1d, k_bUd.transpose(1, 2), alpha=(D // H) ** -0.5)
        return torch.bmm(score_b1U.softmax(dim=-1), v_bUd).view(B, D)

    return model.lm_head(gpt2_blocks(gpt2, gpt2.wte(token_B) + gpt2.wpe(cache.slot_B), attend))
