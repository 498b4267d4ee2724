"""CPU-seconds until the package is ready, in fresh processes, and how fast the pretraining text is made."""

import resource
import subprocess
import sys

from common import Row, arguments, finish, speeds

from instructgpt_lite import World
from instructgpt_lite.training.loop import generator

PACKAGE = [sys.executable, "-m", "instructgpt_lite"]
COMMANDS = {
    "import instructgpt_lite": ([sys.executable, "-c", "import instructgpt_lite"], 0.3),
    "python -m instructgpt_lite --help": ([*PACKAGE, "--help"], 0.5),
    "python -m instructgpt_lite run --help": ([*PACKAGE, "run", "--help"], 0.5),
}
ROWS, LENGTH = 4_000, 64             # of corpus in a round


def cpu_seconds(command: list[str]) -> float:
    """User and system time of a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    options = arguments(__doc__, rounds=5).parse_args()
    rows = []
    for name, (command, goal) in COMMANDS.items():
        times = [cpu_seconds(command) for _ in range(options.rounds + 1)][1:]
        rows.append(Row(name, "CPU-s", times, goal, at_most=True))
    world = World(0)
    corpus, draw = world.corpus(world.tokenizer()), generator(0, "corpus")
    found = speeds({"corpus": lambda: corpus.rows(ROWS, LENGTH, draw).numel()}, options.rounds)
    rows.append(Row("pretraining text", "tokens/CPU-s", found["corpus"], goal=1e6))
    finish(rows, options, {"rows": ROWS, "length": LENGTH})


if __name__ == "__main__":
    main()
