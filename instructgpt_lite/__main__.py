"""The command line: python -m instructgpt_lite COMMAND --help.

    run       train InstructGPT end to end, or go on with a run that was stopped
    chat      answers of the base model, SFT and PPO-ptx to your prompts, side by side
    evaluate  score any folder with a Hugging Face causal language model in the tiny world
    reward    train a reward model on rankings: a JSONL file of yours, or ratings made by people
    base      pretrain the base model of a preset from scratch
"""

import sys

COMMANDS = ("run", "chat", "evaluate", "reward", "base")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 after an error, 2 for a wrong command line, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        from difflib import get_close_matches
        near = get_close_matches(command, COMMANDS, n=1)
        print(f"no command {command!r}" + (f"; did you mean {near[0]}?" if near else "") + __doc__.partition(".")[2],
              file=sys.stderr)
        return 2
    from instructgpt_lite import commands
    try:
        return getattr(commands, command)(rest) or 0
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
