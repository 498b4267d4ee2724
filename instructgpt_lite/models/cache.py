"""Keys and values of rows that are being decoded, and come and go: for `fast.decode`.

Shapes: R rows read at once, A rows being decoded, H heads, d width of a head.
"""

import torch
from torch import Tensor


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
