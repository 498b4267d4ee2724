"""Progress bars of a run: one line a stage, with the numbers worth watching."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TextIO

from tqdm import tqdm

from instructgpt_lite.report.text import three_digits


class Bars(AbstractContextManager):
    """Shows rows as they come: with Bars(watch) as bars, bars.show(row) for each.

    watch: for each stage the names of the numbers to show. Where the file is no
    terminal, a stage leaves one line, when it ends or the run stops.
    """

    def __init__(self, watch: Mapping[str, Sequence[str]],
                 file: TextIO | None = None) -> None:
        self.watch, self.file = watch, file or sys.stderr
        self.row: dict[str, Any] = {}
        self.bar: tqdm | None = None
        self.began = time.monotonic()       # of the stage: when the one before ended

    def __exit__(self, *raised) -> None:
        self.close()

    def show(self, row: dict[str, Any]) -> None:
        """A row with "stage", "step", "steps". A bar begins at the first step shown."""
        if row["stage"] != self.row.get("stage"):
            self.close()
            if self.file.isatty():
                self.bar = tqdm(desc=f"{row['stage']:>8}", total=row["steps"],
                                initial=row["step"] - 1, file=self.file,
                                dynamic_ncols=True)
                self.bar.start_t -= time.monotonic() - self.began
        self.row = self.row | row
        if self.bar is not None:
            self.bar.set_postfix_str(self.watched(), refresh=False)
            self.bar.update(row["step"] - self.bar.n)

    def close(self) -> None:
        """End the bar or the line of the stage that was shown last."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        elif self.row:
            stage, step, steps = (self.row[name] for name in ("stage", "step", "steps"))
            line = (f"{stage:>8}: {step} of {steps} steps in "
                    f"{time.monotonic() - self.began:.1f} s  {self.watched()}")
            print(line.rstrip(), file=self.file, flush=True)
        self.row, self.began = {}, time.monotonic()

    def watched(self) -> str:
        """The numbers worth watching, in three digits."""
        names = self.watch.get(self.row["stage"], ())
        return ", ".join(f"{name} {three_digits(self.row[name])}" for name in names
                         if name in self.row)
