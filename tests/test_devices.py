"""Every stage on another device, in a process of its own.

Autograd starts its threads for the devices that it finds at the first backward, and from then on the process
must not fork; tests of other files do both.
"""

import subprocess
import sys
from pathlib import Path


def test_every_stage_runs_on_another_device():
    file = Path(__file__).with_name("on_a_device.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=file.parent.parent)
    assert ran.returncode == 0, ran.stdout[-5_000:] + ran.stderr[-1_000:]
