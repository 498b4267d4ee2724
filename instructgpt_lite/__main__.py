"""The command line: python -m instructgpt_lite COMMAND --help."""

import io
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Annotated

import tyro

from instructgpt_lite.cli.chat import ChatCommand
from instructgpt_lite.cli.evaluate import EvaluateCommand
from instructgpt_lite.cli.fetch import FetchCommand
from instructgpt_lite.cli.grade import GradeCommand
from instructgpt_lite.cli.numbers import check_numbers
from instructgpt_lite.cli.plan import PlanCommand
from instructgpt_lite.cli.push import PushCommand
from instructgpt_lite.cli.reward import RewardCommand, defaults
from instructgpt_lite.cli.run import RunCommand, preset_of


def parse(arguments: list[str]) -> Callable[[], int]:
    """The command that is asked for; SystemExit 2, or ValueError, where it is none."""
    if not arguments:
        arguments = ["--help"]
    named, preset = tyro.conf.subcommand, preset_of(arguments)
    kinds = (
        Annotated[RunCommand, named("run", default=RunCommand(preset))]
        | Annotated[ChatCommand, named("chat")]
        | Annotated[EvaluateCommand, named("evaluate")]
        | Annotated[FetchCommand, named("fetch")]
        | Annotated[GradeCommand, named("grade")]
        | Annotated[PlanCommand, named("plan", default=PlanCommand(preset))]
        | Annotated[PushCommand, named("push")]
        | Annotated[RewardCommand, named("reward", default=defaults(arguments))]
    )
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            return tyro.cli(kinds, args=arguments, prog="python -m instructgpt_lite",
                            description="InstructGPT, small enough to read.")
    except SystemExit as end:
        part = getattr(end.__context__, "arg", None)     # a part whose values clash
        if not isinstance(part, str):
            print(told.getvalue(), end="", file=sys.stderr)
            raise
        why, before = end.__context__.__context__, f"--{part.split('.')[-1]}."
        raise ValueError(re.sub("[a-z]+_[a-z]+", lambda name: before
                                + name[0].replace("_", "-"), str(why))) from None


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0, or 1 after an error, 2 for wrong words, 130 after Ctrl-C."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = tell
            command = parse(sys.argv[1:] if arguments is None else arguments)
            check_numbers(command)
            return command()
    except (ValueError, OSError, FloatingPointError, MemoryError,
            ModuleNotFoundError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def tell(message: Warning | str, *where: object, **more: object) -> None:
    """A warning in a line of its own, without the place in the source it came from."""
    print(f"note: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
