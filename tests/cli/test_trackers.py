"""Mirrors of metrics.jsonl have its numbers, all of them and no others."""

import sys
from types import ModuleType

import pytest

from instructgpt_lite.__main__ import main
from instructgpt_lite.cli.trackers import trackers

ROWS = [{"stage": "sft", "step": 1, "steps": 2, "loss": 1 / 3}, {"stage": "sft", "step": 2, "steps": 2, "loss": 0.1},
        {"stage": "ppo", "step": 1, "steps": 9, "kl": 1e-9, "score": -2.0}]
NUMBERS = [{"sft/step": 1, "sft/loss": 1 / 3}, {"sft/step": 2, "sft/loss": 0.1},
           {"ppo/step": 1, "ppo/kl": 1e-9, "ppo/score": -2.0}]


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_a_tracker_is_begun_given_every_number_and_finished(name, tmp_path, monkeypatch):
    calls, stub = [], ModuleType(name)
    stub.init = lambda project, name: calls.append((project, name))
    stub.log = calls.append
    stub.finish = lambda: calls.append("finished")
    monkeypatch.setitem(sys.modules, name, stub)
    with trackers([name, name], tmp_path / "run") as show:
        for row in ROWS:
            show(row)
    assert calls == [("instructgpt-lite", "run"), *NUMBERS, "finished"]


def test_tensorboard_reads_back_the_same_numbers_to_the_last_bit(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray
    with trackers(["tensorboard"], tmp_path) as show:
        for row in ROWS:
            show(row)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    read = {(tag, event.step): make_ndarray(event.tensor_proto).item()
            for tag in events.Tags()["tensors"] for event in events.Tensors(tag)}
    assert read == {(key, numbers[key.split("/")[0] + "/step"]): number
                    for numbers in NUMBERS for key, number in numbers.items()}


def test_the_writer_of_tensorboard_is_given_every_number_at_its_step(tmp_path, monkeypatch):
    calls, stub = [], ModuleType("torch.utils.tensorboard")

    class SummaryWriter:
        def __init__(self, path):
            calls.append(path)

        def add_scalar(self, tag, number, step, new_style, double_precision):
            calls.append((tag, number, step, new_style and double_precision))

        def close(self):
            calls.append("closed")

    stub.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stub)
    with trackers(["tensorboard"], tmp_path) as show:
        show(ROWS[0])
    assert calls == [tmp_path / "tensorboard", ("sft/step", 1, 1, True), ("sft/loss", 1 / 3, 1, True), "closed"]


def test_what_is_not_installed_is_said_with_the_command_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert main(["run", "--preset", "micro", "--out", str(tmp_path / "run"), "--log", "trackio"]) == 1
    assert "pip install trackio" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
