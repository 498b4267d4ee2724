"""Numbers for the cases of a check: the same for a seed, and short enough to read."""

from random import Random

import torch
from torch import Tensor

from instructgpt_lite.checks.grading import tensor


class Draw:
    """What one seed draws. Every number has two decimals."""

    def __init__(self, seed: int | str) -> None:
        self.random = Random(f"case {seed}")

    def number(self, low: float = -2, high: float = 2) -> float:
        """One number between low and high."""
        return round(self.random.uniform(low, high), 2)

    def integers(self, count: int, low: int, high: int) -> list[int]:
        """`count` whole numbers from low to high, both included."""
        return [self.random.randint(low, high) for _ in range(count)]

    def order(self, count: int) -> list[int]:
        """1 to count, shuffled."""
        return self.random.sample(range(1, count + 1), count)

    def tensor(self, *shape: int, low: float = -2, high: float = 2) -> Tensor:
        """Numbers between low and high, float64."""
        count = torch.Size(shape).numel()
        return tensor([self.number(low, high) for _ in range(count)]).view(shape)

    def logp(self, *shape: int) -> Tensor:
        """Log-probabilities along the last axis, float64."""
        return self.tensor(*shape).log_softmax(dim=-1)

    def tokens(self, *shape: int, words: int) -> Tensor:
        """Token ids below `words`."""
        count = torch.Size(shape).numel()
        return torch.tensor(self.integers(count, 0, words - 1)).view(shape)

    def mask(self, rows: int, columns: int) -> Tensor:
        """True at the first places of each row: all in one row, one in another."""
        length = [columns, 1, *self.integers(rows - 2, 1, columns)]
        self.random.shuffle(length)
        return torch.arange(columns) < torch.tensor(length)[:, None]
