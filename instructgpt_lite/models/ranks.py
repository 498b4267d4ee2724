"""Several processes as one: each takes its share of the rows, and all have one result.

    accelerate launch -m instructgpt_lite run --preset gpt2        # or torchrun

Every process runs the same stages with the same random numbers. Where rows are read
without a gradient, or sampled, a process does every n-th and all get all; where they
are learned from, gradients are summed before the step. So what a stage sees, and its
weights, are those of one process, up to rounding; rows of unequal length wait for each
other at those two places only. With one process nothing here does anything. Dropout is
drawn by each process for itself (`own`), so that it is not that of one.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(minutes=30)     # while the first writes; a killed one is noticed


def join(cpu: bool) -> None:
    """Become one of the processes that torchrun or `accelerate launch` has started.

    ValueError where some are on another machine, which the run's folder is not on.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if os.environ.get("LOCAL_WORLD_SIZE", count) != count:
        raise ValueError(f"{count} processes on several machines: start them on one, "
                         "where all see the run's folder")
    if int(count) > 1 and not dist.is_initialized():
        from accelerate import PartialState
        PartialState(cpu=cpu, timeout=PATIENCE)


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is; 0 writes and prints."""
    return dist.get_rank() if dist.is_initialized() else 0


def mine(rows: Tensor) -> Tensor:
    """The share of this process of the rows of a batch."""
    return rows[rank()::size()]


def own(generator: torch.Generator) -> torch.Generator:
    """A stream of this process's own, so that the common one stays alike in all."""
    if size() == 1:
        return generator
    return torch.Generator().manual_seed(generator.initial_seed() + 1 + rank())


def together(part: Tensor, rows: Tensor, count: int) -> Tensor:
    """What all processes have: part[i] is of row rows[i] of `count`.

    A sum of disjoint parts, which is exact.
    """
    if size() == 1:
        return part
    whole = part.new_zeros(count, *part.shape[1:])
    whole[rows.to(part.device)] = part
    _failing(lambda: dist.all_reduce(whole))
    return whole


def summed(row: dict[str, float]) -> dict[str, float]:
    """An update's numbers from each process's: sums, of "max_..." the largest."""
    if size() == 1:
        return row
    rows: list[dict[str, float]] = [{} for _ in range(size())]
    _failing(lambda: dist.all_gather_object(rows, row))
    names = dict.fromkeys(name for each in rows for name in each)
    return {name: (max if name.startswith("max_") else sum)(
        each[name] for each in rows if name in each) for name in names}


def sum_gradients(module: nn.Module) -> None:
    """Every process gets the sum of all gradients; what one lacks counts as 0."""
    if size() == 1:
        return
    weights = [p for p in module.parameters() if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten()
                      for p in weights])
    _failing(lambda: dist.all_reduce(flat))
    for p, gradient in zip(weights, flat.split([p.numel() for p in weights])):
        p.grad = gradient.view_as(p).clone()


def meet() -> None:
    """Wait until every process is here."""
    any_of(False)


def any_of(flag: bool) -> bool:
    """Whether it is true in any process."""
    if size() == 1:
        return flag
    flags = [False] * size()
    _failing(lambda: dist.all_gather_object(flags, flag))
    return any(flags)


@contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """The folder for process 0, for others a copy that goes: only 0 leaves files.

    Process 0 has made it before it comes here, and nobody writes while others copy.
    """
    meet()
    if rank() == 0:
        meet()
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        own = Path(place) / "run"
        shutil.copytree(folder, own, ignore=shutil.ignore_patterns(".lock"))
        meet()
        yield own


def _failing(talk: Callable[[], None]) -> None:
    """ConnectionError in a sentence where a process is gone."""
    try:
        talk()
    except RuntimeError as error:
        raise ConnectionError(
            f"process {rank()} of {size()} waited for one that is gone or stuck "
            f"({str(error).splitlines()[0]:.120}): the same command, with any number "
            "of processes, goes on from the last checkpoint") from error
