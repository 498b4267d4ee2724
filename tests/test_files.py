"""A log torn at every byte, a full disk, and files that readers see whole or not at all."""

import errno
import json
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from instructgpt_lite.files import Metrics, digests, read_metrics, replacing, write_bytes, write_json

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


def fails_with(number: int):
    def fail(*_):
        raise OSError(number, os.strerror(number))
    return fail


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


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
    with pytest.raises(ValueError, match=r"metrics.jsonl:5 is not JSON of a row .*: remove that line"):
        read_metrics(log)


@pytest.mark.parametrize("stage, step, gone", [
    ("sft", 0, [0, 1, 2]), ("sft", 2, [2]), ("sft", 3, []), ("reward", 0, [3, 4, 5]),
    ("reward", 1, [4, 5]), ("ppo", 2, [8]), ("ppo", 99, []), ("judging", 0, [])])
def test_a_stage_that_goes_on_keeps_its_rows_up_to_its_checkpoint_and_all_of_others(
        log: Path, stage: str, step: int, gone: list[int]) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    Metrics(log).keep(stage, step)
    assert log.read_bytes() == b"".join(line for n, line in enumerate(lines) if n not in gone)


def test_a_resumed_run_has_the_bytes_of_one_that_never_stopped(log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole[:-5])
    metrics = Metrics(log)
    metrics.keep("ppo", 1)
    for row in ROWS[7:]:
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
    monkeypatch.setattr(os, "fsync", fails_with(errno.EIO))
    with pytest.raises(OSError, match="run.json.*Input/output error"):
        write_json(path, {})
    assert json.loads(path.read_text()) == {"a": [1, 0.1, "é"]} and list(tmp_path.iterdir()) == [path]


def test_json_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch) -> None:
    order, replace = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: order.append(os.fstat(number).st_ino))
    monkeypatch.setattr(Path, "replace",
                        lambda path, target: order.append("replace") or replace(path, target))
    write_json(tmp_path / "run.json", {})
    assert order == [(tmp_path / "run.json").stat().st_ino, "replace", tmp_path.stat().st_ino]


def folder_of(root: Path, **files: str) -> Path:
    """A folder with a folder in it, replaced as a whole."""
    with replacing(root / "model") as temporary:
        (temporary / "inner").mkdir(parents=True)
        for name, text in files.items():
            (temporary / "inner" / name).write_text(text)
    return root / "model"


def test_a_folder_takes_the_place_of_another_with_nothing_of_it_left(tmp_path: Path) -> None:
    (tmp_path / "model.tmp").mkdir()                       # as a killed process leaves it
    (tmp_path / "model.tmp" / "half").touch()
    folder_of(tmp_path, a="1", b="2")
    folder_of(tmp_path, a="3")
    assert files_in(tmp_path) == {"model/inner/a": b"3"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kind, step", [
    ("file", "write"), ("file", "fsync"), ("file", "replace"),
    ("folder", "write"), ("folder", "fsync"), ("folder", "replace")])
def test_after_an_error_at_any_step_all_of_the_old_is_there_and_nothing_of_the_new(
        tmp_path: Path, monkeypatch, kind: str, step: str) -> None:
    path = tmp_path / "model"
    folder_of(tmp_path, a="1") if kind == "folder" else write_bytes(path, b"1")
    before = files_in(tmp_path)
    if step != "write":
        monkeypatch.setattr(os, step, fails_with(errno.EIO))
    with pytest.raises(RuntimeError if step == "write" else OSError):
        with replacing(path) as temporary:
            if kind == "folder":
                temporary.mkdir()
            (temporary / "half" if kind == "folder" else temporary).write_text("x")
            if step == "write":
                raise RuntimeError
    assert files_in(tmp_path) == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "No space left on device"),
    RuntimeError("Error while serializing: I/O error: No space left (os error 28)")])
def test_a_full_disk_is_told_with_the_path_and_the_bytes_needed_and_free(tmp_path, error):
    said = r"could not save \S*/model .*space.*needs 5,000 bytes, and [\d,]+ are free"
    with pytest.raises(OSError, match=said) as caught:
        with replacing(tmp_path / "model", needs=5_000):
            raise error
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("error", [ValueError("no model"), FileNotFoundError(2, "none", "x"),
                                   BrokenPipeError(errno.EPIPE, "Broken pipe")])
def test_what_fails_for_another_reason_keeps_its_own_words(tmp_path: Path, error) -> None:
    with pytest.raises(type(error)) as caught, replacing(tmp_path / "model"):
        raise error
    assert caught.value is error and list(tmp_path.iterdir()) == []


def test_digests_are_those_of_sha256sum_by_name_without_hidden_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a="abc", b="")
    (folder / ".DS_Store").touch()
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digests(folder, tmp_path) == {"model/inner/a": abc, "model/inner/b": nothing}
    assert digests(folder / "inner" / "a", folder) == {"inner/a": abc}
    assert digests(tmp_path / "none", tmp_path) == {}


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    write_bytes(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert len({(tmp_path / name).stat().st_mode for name in ("ours", "plain")}) == 1


def test_where_nobody_can_write_the_path_and_the_reason_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="run.json.*Not a directory"):
        write_json(tmp_path / "file" / "run.json", {})
