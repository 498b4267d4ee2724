"""Run every benchmark, one process each, and print one table of all."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import table

HERE = Path(__file__).parent
NAMES = ("start", "sampler", "reward", "ppo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="rounds of every benchmark; each has a number of its own")
    parser.add_argument("--base", help="Hugging Face folder of another base model of the tiny preset")
    parser.add_argument("--out", type=Path, help="keep the JSON records in this folder")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            record = (options.out or Path(folder)) / f"{name}.json"
            command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(record)]
            command += ["--rounds", str(options.rounds)] if options.rounds else []
            command += ["--base", options.base] if options.base and name != "start" else []
            print(f"\n{name}", flush=True)
            subprocess.run(command, check=True)
            rows += json.loads(record.read_text())["rows"]
    print("\n" + table([row for row in rows if row["goal"] is not None]))


if __name__ == "__main__":
    main()
