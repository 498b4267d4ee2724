"""python -m instructgpt_lite run: the whole of InstructGPT, end to end."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from instructgpt_lite.cli.progress import Bars
from instructgpt_lite.cli.terminal import side_by_side, terminal_width
from instructgpt_lite.cli.trackers import Tracker, trackers
from instructgpt_lite.config import Run
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.report.text import printable


def preset_of(arguments: list[str]) -> Run:
    """The preset named by --preset, or tiny: the defaults of all other flags."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default="tiny")
    name = parser.parse_known_args(arguments)[0].preset
    if name not in PRESETS:
        raise ValueError(f"--preset {name}: no such preset; there are "
                         f"{', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass
class RunCommand:
    """Train InstructGPT end to end: SFT, rankings, reward model, PPO, evaluation."""

    config: Annotated[Run, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
    out: Path | None = None
    """Run directory; runs/PRESET if not given. The same command goes on there."""
    mirror: Path | None = None
    """A second place, such as a mounted drive, from which an empty folder goes on."""
    log: tuple[Tracker, ...] = ()
    """Where else to show the numbers of metrics.jsonl; each needs its package."""

    def __call__(self) -> int:
        """Train, show progress and results; Ctrl-C saves and says how to go on."""
        from instructgpt_lite.models import ranks
        from instructgpt_lite.report import report
        from instructgpt_lite.run.folder import RunFolder
        from instructgpt_lite.run.stages import STAGES, Stopped, run

        path = self.out or Path("runs") / self.config.preset
        watch = {stage.name: stage.watch for stage in STAGES}
        with stopping_at_signals() as asked:
            try:
                with Bars(watch) as bars, trackers(self.log, path) as show:
                    for row in run(self.config, path, lambda: bool(asked),
                                   self.mirror):
                        if ranks.rank() == 0:
                            bars.show(row)
                            show(row)
            except Stopped as stopped:
                if ranks.rank():
                    return 128 + signal.SIGTERM
                report.write(path)
                print(f"\n{stopped}:\n  {report.command(RunFolder(path))}")
                return 128 + (asked or [signal.SIGTERM])[0]
            if ranks.rank():
                return 0
        page, folder = report.write(path), RunFolder(path)
        for sample in folder.json("samples.json")[:3]:
            print(f"\n{printable(sample['prompt'])}\n")
            said = [sample[name][0] for name in folder.speakers]
            print(side_by_side(folder.speakers, [said], terminal_width()))
        print(f"\n{report.table(path)}\n\nSamples, curves and the whole table: {page}")
        return 0


@contextmanager
def stopping_at_signals() -> Iterator[list[int]]:
    """Signals that ask to stop are put in a list; the second one ends the process."""
    asked: list[int] = []

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)
        print("\nstopping after this step; once more stops at once", file=sys.stderr)

    usual = {number: signal.signal(number, stop)
             for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
