"""What grading rests on: slopes by finite differences, and no import of what is graded."""

import pathlib

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.checks.grading import finite_difference


def test_finite_differences_of_a_parabola_are_its_slope():
    at = torch.tensor([1.0, -2.0], dtype=torch.float64)
    slope = finite_difference(lambda x, c: c * (x ** 2).sum().item(), (at, 3), 0)
    assert slope.tolist() == pytest.approx([6, -12], rel=1e-9)


def test_oracles_use_nothing_else_of_ours():
    for path in pathlib.Path(checks.__file__).parent.glob("*.py"):
        for line in path.read_text().splitlines():
            if "instructgpt_lite" in line and line.startswith(("import", "from")):
                assert line.startswith("from instructgpt_lite.checks")


