"""Where a network lives, in which precision it reads, and in what pieces it learns.

Weights, losses and log-probabilities are float32; with autocast the large products are
of 16 bits. Nothing else knows of it: `placed` tells a network, and stages ask nothing.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from instructgpt_lite.config import Hardware
from instructgpt_lite.models import forward, ranks

AUTO = "auto"
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
PATIENCE = 20                        # overflows in a row until fp16 is given up
N = TypeVar("N", bound=nn.Module)     # a Policy or a ScalarModel


@contextmanager
def sparing(hardware: Hardware) -> Iterator[None]:
    """Within, memory that runs out is a MemoryError that names flags that need less."""
    try:
        yield
    except RuntimeError as error:             # torch's own, of a GPU, or of a CPU
        if not isinstance(error, torch.OutOfMemoryError) and (
                "can't allocate memory" not in str(error)):
            raise
        now = hardware.micro_batch
        less = [f"--hardware.micro-batch {now // 2 or 16}"] * (now != 1)
        less += ["--hardware.checkpointing"] * (not hardware.checkpointing)
        way = f"with {' '.join(less)} (`plan` says what fits)" if less else (
            "with shorter texts, a smaller model, or a larger card")
        said = str(error).splitlines()[0]
        raise MemoryError(f"out of memory ({said:.120}): the same command "
                          f"{way} goes on from the last checkpoint") from error


def placed(network: N, hardware: Hardware) -> N:
    """The network on its device, told how to read. ValueError for what cannot be."""
    device = device_of(hardware)
    network.to(device)
    network.autocast = dtype_of(hardware, device)
    if hardware.micro_batch < 0:
        raise ValueError(f"hardware.micro_batch is {hardware.micro_batch}: give a "
                         "number of rows, or 0 for all")
    network.micro_batch = hardware.micro_batch
    network.loss_scale = LossScale() if network.autocast is torch.float16 else None
    network.checkpointing = hardware.checkpointing
    if hardware.checkpointing:
        forward.checkpoint_blocks(network.model)
    return network


def device_of(hardware: Hardware) -> torch.device:
    """The one that is asked for; "auto" is a GPU of CUDA, or the CPU."""
    if hardware.device == AUTO:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", ranks.rank())           # all on one machine
    try:
        device = torch.device(hardware.device)
    except RuntimeError as error:
        raise ValueError(f"hardware.device is {hardware.device!r}, which torch does "
                         "not know: take auto, cpu, or cuda") from error
    known = {"cpu": 1, "meta": 1, "cuda": torch.cuda.device_count()}
    if (device.index or 0) >= known.get(device.type, 0):
        raise ValueError(f"hardware.device is {hardware.device}, but torch sees no "
                         "such GPU: take auto, or cpu")
    return device


def used(device: torch.device) -> tuple[str, int]:
    """What the device is called; the most bytes so far that torch has had of it.

    Of a CPU, those of this process; 0 where the system does not say.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return name, torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return "cpu", 0
    import resource  # which Windows has not
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return "cpu", most if sys.platform == "darwin" else 1024 * most


def dtype_of(hardware: Hardware, device: torch.device) -> torch.dtype | None:
    """What large products are computed in; None for float32.

    "auto" is bf16 where a GPU computes in it (not emulated, as on a T4), fp16 on other
    GPUs, and fp32 on a CPU.
    """
    if hardware.precision == AUTO:
        if device.type != "cuda":
            return None
        real = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if real else torch.float16
    if hardware.precision not in PRECISIONS:
        raise ValueError(f"hardware.precision is {hardware.precision!r}: take auto, "
                         f"{', '.join(PRECISIONS)}")
    if hardware.precision == "fp16" and device.type == "cpu":
        raise ValueError("hardware.precision is fp16, which a CPU is slow in: take "
                         "fp32, or bf16")
    return PRECISIONS[hardware.precision]


class LossScale:
    """What gradients are multiplied by on their way through fp16, lest they vanish.

    Halved when they overflow, which costs that update; doubled after 200 that do not.
    """

    def __init__(self, scale: float = 2.0**15, patience: int = PATIENCE) -> None:
        self.scale, self.patience = scale, patience
        self.good, self.overflows = 0, 0

    def apply(self, output: Tensor) -> Tensor:
        """The output of a network, whose gradient arrives multiplied."""
        if output.requires_grad:
            scale = self.scale
            output.register_hook(lambda gradient: gradient * scale)
        return output

    @torch.no_grad()
    def unscale(self, module: nn.Module) -> bool:
        """Divide the gradients; False where one overflowed, so that no step is taken.

        FloatingPointError after `patience` overflows in a row.
        """
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not norm.isfinite():
            self.scale, self.good = self.scale / 2, 0
            self.overflows += 1
            if self.overflows > self.patience:
                raise FloatingPointError(
                    f"gradients of {type(module).__name__} overflowed fp16 in "
                    f"{self.overflows} updates in a row: take hardware.precision fp32, "
                    "or a lower learning rate")
            return False
        for gradient in gradients:
            gradient /= self.scale
        self.good, self.overflows = self.good + 1, 0
        if self.good % 200 == 0:
            self.scale *= 2
        return True
