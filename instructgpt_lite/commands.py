"""What the commands do, with progress bars and tables; the work itself is elsewhere and prints nothing."""

import signal
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from instructgpt_lite.config import Run
from instructgpt_lite.presets import PRESETS


def chosen(arguments: list[str]) -> Run:
    """The preset named by --preset, tiny if none is; its values are the defaults of all other flags."""
    name = "tiny"
    for flag, value in zip(arguments, arguments[1:] + [""]):
        if flag == "--preset" or flag.startswith("--preset="):
            name = flag.partition("=")[2] or value
    if name not in PRESETS:
        raise ValueError(f"--preset {name}: no such preset; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def parse(kind, arguments: list[str], command: str, default=None):
    """Fill a dataclass from flags; unknown flags end with a suggestion and exit status 2."""
    return tyro.cli(kind, args=arguments, default=default, prog=f"instructgpt_lite {command}")


@dataclass
class RunFlags:
    """Train InstructGPT end to end: SFT, rankings, reward model, PPO, PPO-ptx, evaluation."""

    config: tyro.conf.OmitArgPrefixes[Run]
    out: Path | None = None
    """Run directory; runs/PRESET if not given. The same command goes on where it stopped."""


def run(arguments: list[str]) -> int:
    """Train, show progress, print the table; Ctrl-C saves and says how to go on."""
    flags = parse(RunFlags, arguments, "run", RunFlags(chosen(arguments)))
    from instructgpt_lite import report
    from instructgpt_lite.progress import Bars
    from instructgpt_lite.run import Stopped
    from instructgpt_lite.run import run as stages

    folder = flags.out or Path("runs") / flags.config.preset
    asked = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: asked.append(number))
    try:
        with Bars(folder) as bars:
            for row in stages(flags.config, folder, stopping=lambda: bool(asked)):
                bars.show(row)
    except Stopped as stopped:
        print(f"\n{stopped}:\n  python -m instructgpt_lite run {' '.join(arguments)}")
        return 128 + asked[0]
    page = report.write(folder)
    print(report.table(folder))
    print(f"\nSamples, curves and the whole table: {page}")
    return 0
