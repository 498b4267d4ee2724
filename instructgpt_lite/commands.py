"""What the commands do, with progress bars and tables; the work itself is elsewhere and prints nothing."""

import json
import shlex
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from instructgpt_lite.config import Architecture, Pretrain, Run
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.story import SPEAKERS
from instructgpt_lite.terminal import printable, side_by_side, terminal_width


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
    return tyro.cli(kind, args=arguments, default=default, prog=f"python -m instructgpt_lite {command}")


@dataclass
class RunFlags:
    """Train InstructGPT end to end: SFT, rankings, reward model, PPO, PPO-ptx, evaluation."""

    config: Annotated[Run, tyro.conf.arg(name="")]
    out: Path | None = None
    """Run directory; runs/PRESET if not given. The same command goes on where it stopped."""


def run(arguments: list[str]) -> int:
    """Train, show progress, print samples and the table; Ctrl-C saves and says how to go on."""
    flags = parse(RunFlags, arguments, "run", RunFlags(chosen(arguments)))
    from instructgpt_lite import report
    from instructgpt_lite.progress import Bars
    from instructgpt_lite.run import Stopped
    from instructgpt_lite.run import run as stages

    folder = flags.out or Path("runs") / flags.config.preset
    asked: list[int] = []

    def stop(number, frame):
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)
        print("\nstopping after this step; once more stops at once", file=sys.stderr)

    usual = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Bars() as bars:
            for row in stages(flags.config, folder, stopping=lambda: bool(asked)):
                bars.show(row)
    except Stopped as stopped:
        report.write(folder)
        print(f"\n{stopped}:\n  python -m instructgpt_lite run {shlex.join(arguments)}")
        return 128 + asked[0]
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    page = report.write(folder)
    for sample in json.loads((folder / "samples.json").read_text())[:3]:
        print(f"\n{printable(sample['prompt'])}\n")
        print(side_by_side(SPEAKERS, [[sample[name][0] for name in SPEAKERS]], terminal_width()))
    print(f"\n{report.table(folder)}\n\nSamples, curves and the whole table: {page}")
    return 0


@dataclass
class BaseFlags:
    """Pretrain the base model of a preset from scratch."""

    architecture: Architecture
    pretrain: Pretrain
    preset: str = "tiny"
    """Whose numbers are the defaults: tiny, nano or micro."""
    world: int = 0
    """Which tiny world: facts, people, prompts."""
    out: Path | None = None
    """Folder to write; bases/PRESET if not given. Only an earlier base model is overwritten."""


def base(arguments: list[str]) -> int:
    """Pretrain with progress; write a Hugging Face folder, and in made_by.json what the model depends on."""
    preset = chosen(arguments)
    flags = parse(BaseFlags, arguments, "base",
                  BaseFlags(preset.architecture, preset.pretrain, preset.preset, preset.world))
    folder = flags.out or Path("bases") / flags.preset
    if folder.exists() and not (folder / "made_by.json").exists():
        raise ValueError(f"{folder} is there and is no base model (it has no made_by.json): "
                         "name another folder with --out")
    import torch

    from instructgpt_lite.files import write_json
    from instructgpt_lite.progress import Bars
    from instructgpt_lite.run import Workshop, made_by, save_model
    from instructgpt_lite.training.resume import ResumeState

    torch.set_num_threads(preset.threads)
    config = replace(preset, architecture=flags.architecture, pretrain=flags.pretrain, world=flags.world)
    policy, rows = Workshop(config, folder).stage_base(ResumeState())
    with Bars() as bars:
        for row in rows:
            bars.show({"stage": "base", **row})
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_model(policy, folder)
    write_json(folder / "made_by.json", made_by(config))
    print(f"{folder}: loss {row['loss']:.3f} nats per token after {row['tokens']:,} tokens")
    return 0


def chat(arguments: list[str]) -> int:
    """Answers of a run's models to prompts."""
    from instructgpt_lite.chat_command import chat as command
    return command(arguments)


def evaluate(arguments: list[str]) -> int:
    """Scores of any model's answers in the tiny world."""
    from instructgpt_lite.evaluate_command import evaluate as command
    return command(arguments)


def reward(arguments: list[str]) -> int:
    """A reward model from rankings in a file, or made by people."""
    from instructgpt_lite.cli.reward import reward as command
    return command(arguments)
