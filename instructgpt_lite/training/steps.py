"""Two lines of every stage's loop: which rows a step takes, and one guarded update."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from instructgpt_lite.training.optim import check_finite, clip_grad, generator, lr_scale, set_lr


def picks(step: int, count: int, batch_size: int, seed: int, stage: str) -> Tensor:
    """Row numbers of a step: each pass over `count` rows takes every row once, in an order of its own."""
    each = -(-count // batch_size)
    order = torch.randperm(count, generator=generator(seed, stage, "pass", step // each))
    return order[step % each * batch_size:][:batch_size]


def stream(step: int, count: int, batch_size: int, seed: int, stage: str) -> Tensor:
    """Like `picks`, but the passes join: every step takes `batch_size` rows, as 512 episodes of 31,144 prompts."""
    places = torch.arange(step * batch_size, (step + 1) * batch_size)
    passes = places // count
    return torch.cat([torch.randperm(count, generator=generator(seed, stage, "pass", n))[places[passes == n] % count]
                      for n in passes.unique().tolist()])


def update(stage: str, step: int, module: nn.Module, optimizers: list[Optimizer], clip_norm: float = 0.0,
           **named: Tensor | float) -> None:
    """One optimizer step from the gradients that are there, then none are.

    FloatingPointError, before any weight moves, when a named value or the gradient is not finite.
    """
    check_finite(stage, step, **named, gradient_norm=clip_grad(module, clip_norm))
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def schedule(optimizers: list[Optimizer], step: int, steps: int, config) -> None:
    """Set the learning rates of a step: warm-up, then a cosine (config.warmup, config.final_lr)."""
    set_lr(optimizers, lr_scale(step, steps, config.warmup, config.final_lr))
