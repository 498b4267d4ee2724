"""Two hundred submissions, killed once and resumed: `python benchmarks/grade.py [--count 200]`.

Solved notebooks of assignment 5, of which most have one mistake or another, some hang, some are empty.
"""

import argparse
import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import assignments  # noqa: E402

CHANGES = [("ratio.clamp(1 - clip, 1 + clip)", "ratio"), ("-torch.minimum", "torch.minimum"),
           ("delta + lam * next_A", "delta + next_A"), ("mask_BT.sum(dim=1) - 1", "-1"),
           ("-beta * (logp_BT - ref_BT)", "beta * (logp_BT - ref_BT)"), ("at_V @ kl_V", "kl_V.sum()"),
           ("return total", "while True: pass"), ("", ""), ("", ""), ("", "")]


def hand_in(folder: Path, count: int) -> None:
    source = json.loads((ROOT / "assignments/a5_ppo.ipynb").read_text())
    solved = json.dumps(assignments.solved(source))
    for n in range(count):
        was, now = CHANGES[n % len(CHANGES)]
        text = solved if n % 25 else json.dumps(assignments.student(source))
        assert was in text or n % 25 == 0
        path = folder / f"Student {n:03d}_{1_000 + n}_assignsubmission_file_" / "a5_ppo.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(text.replace(was, now, 1) if was else text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        hand_in(folder / "in", count)
        tables, begun = [], time.monotonic()
        for name, killed in (("resumed", True), ("calm", False)):
            out = folder / f"{name}.csv"
            if not killed:                                   # the same secret, so the same hidden numbers
                out.with_suffix("").mkdir()
                (out.with_suffix("") / "secret").write_bytes((folder / "resumed/secret").read_bytes())
            command = [sys.executable, "-m", "instructgpt_lite", "grade", str(folder / "in"), "--out", str(out)]
            start = time.monotonic()
            if killed:
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while len(list((folder / "resumed/results").glob("*.json"))) < count // 3:
                    time.sleep(0.2)
                process.send_signal(signal.SIGKILL)
                process.wait()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            tables.append(list(csv.reader(out.read_text().splitlines())))
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(f"{name}: {count} submissions in {time.monotonic() - start:.0f} s; "
                  f"CPU {used.ru_utime + used.ru_stime:.0f} s in all so far")
        points = [int(row[2]) for row in tables[0][1:]]
        print(f"equal grades: {tables[0] == tables[1]}; points {min(points)} to {max(points)}; "
              f"{os.cpu_count()} cores; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
