"""A log torn at every byte, a full disk, and files that readers see whole or not at all."""

import errno
import json
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from instructgpt_lite.files import Metrics, read_metrics, write_json

ROWS = [{"stage": stage, "step": step, "loss": 1 / step}
        for stage in ("sft", "reward", "ppo") for step in (1, 2, 3)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A metrics file that holds ROWS."""
    metrics = Metrics(tmp_path / "metrics.jsonl")
    for row in ROWS:
        metrics.append(row)
    return metrics.path


@contextmanager
def files_of_at_most(size: int):
    """A limit on the size of files stands for the end of the disk: the writer is told EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_rows_come_back_as_they_were_at_once(log: Path) -> None:
    assert read_metrics(log) == ROWS
    table = pd.read_json(log, lines=True, precise_float=True)
    assert table.to_dict("records") == ROWS


def test_a_log_cut_at_any_byte_has_its_whole_rows_and_goes_on(log: Path) -> None:
    whole = log.read_bytes()
    for length in range(len(whole)):
        log.write_bytes(whole[:length])
        rows = ROWS[:whole[:length].count(b"\n")]
        assert read_metrics(log) == rows
        Metrics(log).append({"stage": "ppo", "step": 4})
        assert read_metrics(log) == [*rows, {"stage": "ppo", "step": 4}]


def test_readers_change_nothing(log: Path) -> None:
    log.write_bytes(log.read_bytes() + b'{"stage": "p')
    before = log.read_bytes()
    read_metrics(log)
    assert log.read_bytes() == before


def test_a_broken_row_in_the_middle_is_named_by_file_and_line(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:4], b'{"stage": "sf\n', *lines[4:]]))
    with pytest.raises(ValueError, match=r"metrics.jsonl:5 is not JSON"):
        read_metrics(log)


@pytest.mark.parametrize("stage, step, rows", [
    ("sft", 0, 0), ("sft", 2, 2), ("sft", 3, 3), ("reward", 0, 3), ("reward", 1, 4),
    ("ppo", 2, 8), ("ppo", 3, 9), ("ppo", 99, 9), ("judging", 0, 9)])
def test_a_resumed_run_keeps_the_rows_up_to_its_checkpoint(log: Path, stage: str, step: int,
                                                           rows: int) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    Metrics(log).keep(stage, step)
    assert log.read_bytes() == b"".join(lines[:rows])


def test_a_resumed_run_has_the_bytes_of_one_that_never_stopped(log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole[:-5])
    metrics = Metrics(log)
    metrics.keep("reward", 2)
    for row in ROWS[5:]:
        metrics.append(row)
    assert log.read_bytes() == whole


@pytest.mark.parametrize("room", [0, 1, 20])
def test_a_row_that_does_not_fit_leaves_no_part_behind(log: Path, room: int) -> None:
    whole = log.read_bytes()
    told = "metrics.jsonl.* needs 43 bytes"
    with files_of_at_most(len(whole) + room), pytest.raises(OSError, match=told) as caught:
        Metrics(log).append({"stage": "ppo", "step": 4, "loss": 0.125})
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC) and log.read_bytes() == whole


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"a": [1, 0.1, "é"]})
    with files_of_at_most(50), pytest.raises(OSError, match="run.json.* needs 1,0.. bytes"):
        write_json(path, "x" * 1000)
    with pytest.raises(TypeError):
        write_json(path, {1, 2})
    monkeypatch.setattr(os, "fsync", lambda number: os.close(-1))
    with pytest.raises(OSError, match="run.json"):
        write_json(path, {})
    assert json.loads(path.read_text()) == {"a": [1, 0.1, "é"]} and list(tmp_path.iterdir()) == [path]


def test_json_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch) -> None:
    order, replace = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: order.append(os.fstat(number).st_ino))
    monkeypatch.setattr(Path, "replace",
                        lambda path, target: order.append("replace") or replace(path, target))
    write_json(tmp_path / "run.json", {})
    assert order == [(tmp_path / "run.json").stat().st_ino, "replace", tmp_path.stat().st_ino]


def test_where_nobody_can_write_the_path_and_the_reason_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="run.json.*Not a directory"):
        write_json(tmp_path / "file" / "run.json", {})
