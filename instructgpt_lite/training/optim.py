"""What the stages share: randomness by name, optimizers, schedules of the learning rate, and guards.

A stage draws the randomness of step s from `generator(config.seed, "sft", s)` and keeps the rest of its
state in a `Memory`, so a run that stopped anywhere goes on as if it had not.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from instructgpt_lite.training.memory import Memory

__all__ = ["Memory", "check_finite", "clip_grad", "generator", "lr_scale", "optimizers", "set_lr",
           "update_average", "warm_up"]


def generator(seed: int, *names: int | str) -> torch.Generator:
    """A generator whose stream depends on its arguments alone: not on the process, nor on other draws."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4]))    # torch seeds with 32 bits


def optimizers(module: nn.Module, lr: float, matrix_lr: float = 0.0,
               betas: tuple[float, float] = (0.9, 0.95), eps: float = 1e-8) -> list[Optimizer]:
    """Adam for all weights or, with a matrix_lr, for all but the matrices of the blocks: those get Muon.

    No weight decay. Muon (Jordan et al., 2024) moves a matrix along its momentum with all singular values
    set to about 1; scaled as Adam's step (Liu et al., 2025, eq. 4), which treats GPT-2's transposed
    Conv1D weights as linear layers, a matrix_lr is some times Adam's lr. Fused Adam: 3x faster on a CPU.
    """
    weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
    hidden = {name: p for name, p in weights.items() if matrix_lr and _is_hidden_matrix(name, p)}
    if matrix_lr and not hidden:
        raise ValueError(f"matrix_lr = {matrix_lr}, but {type(module).__name__} has no blocks: set it to 0")
    rest = [(name, p) for name, p in weights.items() if name not in hidden]
    group = {"params": rest, "lr": lr, "initial_lr": lr}
    made: list[Optimizer] = [torch.optim.Adam([group], betas=betas, eps=eps, fused=True)]
    if hidden:
        group = {"params": list(hidden.items()), "lr": matrix_lr, "initial_lr": matrix_lr}
        made.append(torch.optim.Muon([group], weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))
    return made


def lr_scale(step: int, steps: int, warmup_share: float, final_share: float) -> float:
    """Share of the peak learning rate at step 0 .. steps - 1: a line up, then a cosine to the last step."""
    if not 0 <= step < steps:
        raise ValueError(f"step {step} is outside 0 .. {steps - 1}")
    warmup = round(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return final_share + (1 - final_share) * (1 + math.cos(math.pi * done)) / 2


def warm_up(iteration: int, iterations: int) -> float:
    """Share of the peak learning rate in PPO: from a tenth, up a line of `iterations` (App. C.4)."""
    return 0.1 + 0.9 * min(1.0, iteration / iterations) if iterations else 1.0


def set_lr(optimizers: Iterable[Optimizer], scale: float) -> None:
    """Set every learning rate to `scale` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = scale * group["initial_lr"]


def clip_grad(module: nn.Module, max_norm: float) -> float:
    """Scale the gradients down to a joint 2-norm of at most max_norm (0: leave them); the norm before."""
    weights = [p for p in module.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in weights])
    if max_norm:
        nn.utils.clip_grads_with_norm_(weights, max_norm, norm)
    return norm.item()


def check_finite(stage: str, step: int, **named: Tensor | float) -> None:
    """FloatingPointError, naming the first entry, if anything is infinite or NaN; call before a step."""
    for name, value in named.items():
        value = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        wrong = ~value.isfinite()
        if wrong.any():
            first = wrong.nonzero()[0].tolist()
            raise FloatingPointError(
                f"{stage}, step {step}: {name}{first or ''} is {value[tuple(first)].item()}, with "
                f"{int(wrong.sum())} of {value.numel()} entries not finite. The weights are as they were "
                "before this step; a lower learning rate or clip_norm usually helps")


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Exponential moving average of weights: average <- decay average + (1 - decay) module."""
    for mean, p in zip(average.parameters(), module.parameters(), strict=True):
        mean.lerp_(p, 1 - decay)


def _is_hidden_matrix(name: str, p: Tensor) -> bool:
    """A 2-D weight inside a numbered block, as in transformer.h.0.mlp.c_fc.weight."""
    return p.ndim == 2 and re.search(r"\.\d+\.", name) is not None
