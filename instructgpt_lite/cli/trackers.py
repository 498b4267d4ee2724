"""Mirrors of metrics.jsonl in TensorBoard, trackio or W&B: the same numbers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

Tracker = Literal["tensorboard", "trackio", "wandb"]
MODULES = {"tensorboard": "torch.utils.tensorboard"}
Show = Callable[[dict[str, Any]], None]              # a row of metrics.jsonl


@contextmanager
def trackers(names: Sequence[Tracker], path: Path) -> Iterator[Show]:
    """A function that gives a row of a run to each of these, as stage/name: number.

    path: of the run. TensorBoard writes below it, in tensorboard/; the others have a
    run of the folder's name in a project instructgpt-lite. ValueError says what to
    install.
    """
    with ExitStack() as closing:
        logs = [opened(name, path, closing) for name in dict.fromkeys(names)]

        def show(row: dict[str, Any]) -> None:
            numbers = {f"{row['stage']}/{name}": number for name, number in row.items()
                       if name not in ("stage", "steps")}
            for log in logs:
                log(numbers, row["step"])

        yield show


def opened(name: Tracker, path: Path, closing: ExitStack) -> Callable:
    """How one of them logs numbers at a step. ValueError where it is not installed."""
    try:
        library = import_module(MODULES.get(name, name))
    except ModuleNotFoundError as error:
        raise ValueError(f"--log {name}: {error}; install it with\n  pip install {name}"
                         ) from error
    if name != "tensorboard":        # their own steps only grow: a stage's is a number
        library.init(project="instructgpt-lite", name=path.name)
        closing.callback(library.finish)
        return lambda numbers, step: library.log(numbers)
    writer = library.SummaryWriter(path / "tensorboard")
    closing.callback(writer.close)

    def log(numbers: dict[str, float], step: int) -> None:
        for key, number in numbers.items():
            writer.add_scalar(key, number, step, new_style=True,     # float64
                              double_precision=True)

    return log
