"""benchmarks/gpu.py, which waits for a card, runs to its end on a CPU: every row, and a profile of each work."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKS = {"decoding, 128 rows at once", "decoding, 16 rows at once", "decoding, generate of transformers",
         "text, rows of 64", "reward model, K = 9", "PPO", "PPO-ptx"}


def test_all_that_a_card_is_measured_by_runs_at_a_toy_size(tmp_path):
    command = [sys.executable, "benchmarks/gpu.py", "--toy", "--rounds", "1", "--precision", "bf16",
               "--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    rows = {row["what"].strip(): row for row in found["rows"]}
    assert rows.keys() == WORKS | {"planned", "log-probs, from those in float32"}
    assert all(row["median"] > 0 and row["goal"] is None for row in rows.values())
    assert rows["log-probs, from those in float32"]["median"] < 0.02
    told = (tmp_path / "gpu.txt").read_text()
    assert all(f"{name}\n---" in told for name in WORKS)
    assert found["configuration"]["hardware"]["precision"] == "bf16"
