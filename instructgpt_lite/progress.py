"""Progress bars of a run: one line a stage, with the numbers worth watching."""

import sys
import time
from typing import Any, TextIO

from tqdm import tqdm

WATCHED = {"base": ("loss",), "sft": ("loss",), "rl_init": ("loss", "ptx_loss"),
           "collect": ("rankings", "pairs"), "reward": ("loss", "accuracy"), "ppo": ("score", "kl", "length"),
           "ppo_ptx": ("score", "kl", "ptx_loss"), "evaluate": ("sft gold", "ppo_ptx gold")}


class Bars:
    """Shows rows as they come: with Bars() as bars, bars.show(row) for each {"stage", "step", "steps", ...}.

    Where the file is no terminal, each stage leaves one line, when it ends or the run stops.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file or sys.stderr
        self.row: dict[str, Any] = {}
        self.bar: tqdm | None = None
        self.began = time.monotonic()         # of the stage: when the one before it ended

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *raised) -> None:
        self.close()

    def show(self, row: dict[str, Any]) -> None:
        """One step of a stage. The bar of a stage that goes on from a checkpoint begins there."""
        if row["stage"] != self.row.get("stage"):
            self.close()
            self.open(row)
        self.row = self.row | row
        if self.bar is not None:
            self.bar.set_postfix_str(watched(self.row), refresh=False)
            self.bar.update(row["step"] - self.bar.n)

    def open(self, row: dict[str, Any]) -> None:
        if self.file.isatty():
            self.bar = tqdm(desc=f"{row['stage']:>8}", total=row["steps"], initial=row["step"] - 1,
                            file=self.file, dynamic_ncols=True)
            self.bar.start_t -= time.monotonic() - self.began

    def close(self) -> None:
        """End the bar or the line of the stage that was shown last."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        elif self.row:
            line = (f"{self.row['stage']:>8}: {self.row['step']} of {self.row['steps']} steps in "
                    f"{time.monotonic() - self.began:.1f} s  {watched(self.row)}")
            print(line.rstrip(), file=self.file, flush=True)
        self.row, self.began = {}, time.monotonic()


def watched(row: dict[str, Any]) -> str:
    """The numbers of a row worth watching, in three digits."""
    return ", ".join(f"{name} {digits(row[name])}" for name in WATCHED.get(row["stage"], ()) if name in row)


def digits(value: float) -> str:
    """Three significant digits; whole numbers in full."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
