"""What the stages share: randomness by name, the order of rows, optimizers, updates.

A stage draws the randomness of step s from `generator(config.seed, "sft", s)` and
keeps the rest in a `ResumeState`, so a run that stopped anywhere goes on as if it
had not.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from instructgpt_lite.config import SFT, Pretrain, Reward
from instructgpt_lite.models import ranks
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.muon import Muon


def generator(seed: int, *names: int | str) -> torch.Generator:
    """A stream that depends on its arguments alone, not on the process; on the CPU."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4]))    # 32 bits


def passes(step: int, count: int, batch_size: int, seed: int, stage: str) -> Tensor:
    """Rows of a step: each pass takes all `count` rows once, in an order of its own.

    The last step of a pass takes what is left.
    """
    steps = math.ceil(count / batch_size)
    random = generator(seed, stage, "pass", step // steps)
    order = torch.randperm(count, generator=random)
    return order[step % steps * batch_size:][:batch_size]


def stream(step: int, count: int, batch_size: int, seed: int, stage: str) -> Tensor:
    """As `passes`, but these join: every step takes `batch_size` rows."""
    place = torch.arange(step * batch_size, (step + 1) * batch_size)
    rows = []
    for n in (place // count).unique().tolist():
        order = torch.randperm(count, generator=generator(seed, stage, "pass", n))
        rows.append(order[place[place // count == n] % count])
    return torch.cat(rows)


def make_optimizers(module: nn.Module, lr: float, matrix_lr: float = 0.0,
                    betas: tuple[float, float] = (0.9, 0.95),
                    eps: float = 1e-8) -> list[Optimizer]:
    """Adam for all weights; with a matrix_lr, Muon for the matrices of the blocks.

    No weight decay. Muon treats GPT-2's transposed Conv1D weights as linear layers; a
    matrix_lr is some times Adam's lr. Fused Adam is 3x faster on a CPU. ValueError when
    there is a matrix_lr and no block, or a weight in float16.
    """
    weights = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if any(p.dtype == torch.float16 for _, p in weights):
        raise ValueError(f"weights of {type(module).__name__} are float16, in which "
                         "training overflows: .float() them first (bfloat16 may stay)")
    matrices = [weight for weight in weights if matrix_lr and _in_a_block(*weight)]
    rest = [weight for weight in weights if not (matrix_lr and _in_a_block(*weight))]
    if matrix_lr and not matrices:
        raise ValueError(f"matrix_lr is {matrix_lr}, but {type(module).__name__} has "
                         "no blocks: set it to 0")
    group = {"params": rest, "lr": lr, "initial_lr": lr}
    adam = torch.optim.Adam([group], betas=betas, eps=eps, fused=True)
    if not matrices:
        return [adam]
    group = {"params": matrices, "lr": matrix_lr, "initial_lr": matrix_lr}
    return [adam, Muon([group])]


def _in_a_block(name: str, p: Tensor) -> bool:
    """A matrix under a number, as in transformer.h.0.mlp.c_fc.weight."""
    return p.ndim == 2 and re.search(r"\.\d+\.", name) is not None


def lr_scale(step: int, steps: int, warmup_share: float, final_share: float) -> float:
    """Share of the peak at step 0 .. steps - 1: a line up, then a cosine down."""
    if not 0 <= step < steps:
        raise ValueError(f"step {step} is outside 0 .. {steps - 1}")
    warmup = round(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return final_share + (1 - final_share) * (1 + math.cos(math.pi * done)) / 2


def warm_up(iteration: int, iterations: int) -> float:
    """Share of the peak in PPO: from a tenth, up a line of `iterations` (App. C.4)."""
    return 0.1 + 0.9 * min(1.0, iteration / iterations) if iterations else 1.0


def set_lr(optimizers: Iterable[Optimizer], scale: float) -> None:
    """Set every learning rate to `scale` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = scale * group["initial_lr"]


def schedule(optimizers: Iterable[Optimizer], step: int, steps: int,
             config: Pretrain | SFT | Reward) -> None:
    """Set the learning rates of a step by config.warmup and config.final_lr."""
    set_lr(optimizers, lr_scale(step, steps, config.warmup, config.final_lr))


def pieces(rows: Tensor, weight_B: Tensor,
           network: nn.Module) -> Iterator[tuple[Tensor, float]]:
    """Rows by micro-batches of a network, each with its share of their weight.

    Of several processes each has its own rows; together they have all.
    weight_B: of every row in the loss, such as its counted tokens.
    """
    total = weight_B[rows].sum().item()
    most = getattr(network, "micro_batch", 0) or len(rows)
    for piece in ranks.mine(rows).split(most) if len(ranks.mine(rows)) else ():
        yield piece, weight_B[piece].sum().item() / total


def learn(row: dict[str, float], share: float, weight: float = 1.0,
          **losses: Tensor) -> None:
    """Add the gradient of a micro-batch's losses, and to `row` what they are.

    share: of the batch. weight: of the gradient alone.
    """
    for name, loss in losses.items():
        (share * weight * loss).backward()
        row[name] = row.get(name, 0.0) + share * loss.item()


def learn_text(row: dict[str, float], policy: nn.Module, text_BS: Tensor,
               weight: float = 1.0, name: str = "loss") -> None:
    """As `learn`, of next-token prediction on rows of text."""
    text_BS, count = text_BS.to(policy.device), len(text_BS)
    for rows, share in pieces(torch.arange(count), torch.ones(count), policy):
        loss = ptx_loss(policy.logits(text_BS[rows]), text_BS[rows])
        learn(row, share, weight, **{name: loss})


def update(stage: str, step: int, networks: Mapping[nn.Module, Sequence[Optimizer]],
           clip_norm: float = 0.0, **losses: float) -> None:
    """One step of each network's optimizers from the gradients that are there.

    Each network's gradient is scaled down to a norm of clip_norm (0: left as it is).
    FloatingPointError, before any weight moves, if something is not finite; a network
    whose gradients overflow fp16 stays as it is, and goes on with a smaller scale.
    On a CPU gradients keep their memory: to get it anew takes a tenth of an update.
    """
    check_finite(stage, step, **losses)
    for module in networks:
        ranks.sum_gradients(module)
    scales = {module: getattr(module, "loss_scale", None) for module in networks}
    moving = {module: not scale or scale.unscale(module)
              for module, scale in scales.items()}
    norms = {f"gradient_norm of {type(module).__name__}": clip_grad(module, clip_norm)
             for module in networks if moving[module]}
    check_finite(stage, step, **norms)
    for module, optimizers in networks.items():
        on_cpu = next(module.parameters()).device.type == "cpu"
        for optimizer in optimizers:
            if moving[module]:
                optimizer.step()
            optimizer.zero_grad(set_to_none=not on_cpu)


def clip_grad(module: nn.Module, max_norm: float) -> float:
    """Scale the gradients to a 2-norm of max_norm at most (0: no); the norm before."""
    return nn.utils.clip_grad_norm_(module.parameters(), max_norm or math.inf).item()


def check_finite(stage: str, step: int, **named: Tensor | float) -> None:
    """FloatingPointError, naming the first entry, if anything is infinite or NaN."""
    for name, value in named.items():
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=torch.float64)
        wrong = ~value.isfinite()
        if wrong.any():
            first = wrong.nonzero()[0].tolist()
            raise FloatingPointError(
                f"{stage}, step {step}: {name}{first or ''} is "
                f"{value[tuple(first)].item()}, with {int(wrong.sum())} of "
                f"{value.numel()} entries not finite. The weights are as they were "
                "before this step; a lower learning rate or clip_norm usually helps")


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Moving average of weights: average <- decay average + (1 - decay) module.

    It starts at the initial weights, which count decay^n after n updates: a half after
    86 of them at the paper's 0.992, and nothing corrects for that.
    """
    for mean, p in zip(average.parameters(), module.parameters(), strict=True):
        mean.lerp_(p, 1 - decay)
