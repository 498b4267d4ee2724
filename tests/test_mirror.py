"""The mirror of a run: a machine is lost in the middle, another goes on from the copy."""

import errno
import json
import os
import shutil
import signal
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from instructgpt_lite import presets
from instructgpt_lite.run import mirror as mirrors
from instructgpt_lite.run.folder import Damaged, RunFolder
from instructgpt_lite.run.mirror import Mirror
from instructgpt_lite.run.stages import run

MICRO = replace(presets.micro, checkpoint_every=0.0, without_ptx=False)


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """A run that nothing interrupted and nothing mirrored."""
    folder = tmp_path_factory.mktemp("calm") / "run"
    list(run(MICRO, folder))
    return folder


@pytest.fixture(scope="module")
def lost(tmp_path_factory) -> Path:
    """The mirror of a run whose machine was lost in the second step of PPO-ptx."""
    folder = tmp_path_factory.mktemp("lost")
    child = os.fork()
    if not child:
        for row in run(MICRO, folder / "run", mirror=folder / "mirror"):
            if (row["stage"], row["step"]) == ("ppo_ptx", 2):
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    shutil.rmtree(folder / "run")
    return folder / "mirror"


@pytest.fixture
def mirror(lost, tmp_path) -> Path:
    return Path(shutil.copytree(lost, tmp_path / "mirror"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but those that tell the time."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("stages.json", ".lock", "README.md")}


def copy_of(mirror: Path, name: str) -> Path:
    """The file in the mirror that holds the bytes of a file of the run."""
    return mirror / "files" / json.loads((mirror / "mirror.json").read_text())[name]


def test_an_empty_folder_goes_on_from_the_mirror_and_ends_bit_for_bit_as_a_calm_run(mirror, calm, tmp_path):
    first = next(rows := run(MICRO, tmp_path / "run", mirror=mirror))
    assert (first["stage"], first["step"]) == ("ppo_ptx", 3)       # steps 1 and 2 were not made again
    list(rows)
    assert contents(tmp_path / "run") == contents(calm)


def test_the_mirror_holds_two_checkpoints_of_the_stage_that_runs_and_nothing_else_unnamed(mirror):
    names = json.loads((mirror / "mirror.json").read_text())
    assert [name for name in names if name.startswith("checkpoints/")] == [
        f"checkpoints/ppo_ptx/{step}.{end}" for step in (1, 2) for end in ("json", "safetensors")]
    assert {path.name for path in (mirror / "files").iterdir()} == set(names.values())


def test_of_a_damaged_checkpoint_the_one_before_is_taken_with_a_warning(mirror, calm, tmp_path):
    copy = copy_of(mirror, "checkpoints/ppo_ptx/2.safetensors")
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    with pytest.warns(UserWarning) as said:
        rows = list(run(MICRO, tmp_path / "run", mirror=mirror))
    assert (rows[0]["stage"], rows[0]["step"]) == ("ppo_ptx", 2)
    assert "2.safetensors of the mirror is lost" in str(said[0].message)
    assert contents(tmp_path / "run") == contents(calm)


def test_a_damaged_model_is_made_again_with_a_warning(mirror, calm, tmp_path):
    copy_of(mirror, "models/sft/model.safetensors").write_bytes(b"torn")
    with pytest.warns(UserWarning) as said:
        rows = list(run(MICRO, tmp_path / "run", mirror=mirror))
    assert "models/sft/model.safetensors of the mirror is lost" in str(said[0].message)
    assert rows[0]["stage"] == "sft"
    ended, wanted = contents(tmp_path / "run"), contents(calm)
    assert {name for name in wanted if ended[name] != wanted[name]} <= {"metrics.jsonl"}     # rows in another order


@pytest.mark.parametrize("name", ["config.json", "stages.json", "metrics.jsonl"])
def test_what_nothing_makes_again_is_refused_when_damaged(name, mirror, tmp_path):
    copy_of(mirror, name).write_bytes(b"{}")
    with pytest.raises(Damaged, match=f"{name} of the mirror is lost"):
        next(run(MICRO, tmp_path / "run", mirror=mirror))


@pytest.mark.parametrize("name", ["../stolen", "/tmp/stolen"])
def test_a_name_outside_the_run_is_refused(name, mirror, tmp_path):
    (mirror / "mirror.json").write_text(json.dumps({name: "0" * 64}))
    with pytest.raises(Damaged, match="outside the run"):
        Mirror(mirror).restore(RunFolder(tmp_path / "run"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOTCONN])
def test_a_mirror_that_fails_midway_is_said_once_and_the_run_ends_as_a_calm_one(number, calm, tmp_path, monkeypatch):
    copies, copyfile = [], shutil.copyfile

    def failing(source, place):
        copies.append(place)
        if len(copies) > 20:
            raise OSError(number, os.strerror(number))
        return copyfile(source, place)

    monkeypatch.setattr(mirrors.shutil, "copyfile", failing)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        list(run(MICRO, tmp_path / "run", mirror=tmp_path / "mirror"))
    assert [str(each.message).count(os.strerror(number)) for each in said if "mirror" in str(each.message)] == [1]
    assert contents(tmp_path / "run") == contents(calm)
    monkeypatch.undo()                                 # what was copied before is a whole run still
    list(run(MICRO, tmp_path / "fresh", mirror=tmp_path / "mirror"))
    assert contents(tmp_path / "fresh") == contents(calm)


def test_the_mirror_of_another_run_is_refused_and_left_as_it_is(mirror, calm, tmp_path):
    before = contents(mirror)
    RunFolder(tmp_path).settle(replace(MICRO, seed=1), {})
    with pytest.raises(ValueError, match="holds another run"):
        next(run(replace(MICRO, seed=1), tmp_path, mirror=mirror))
    with pytest.raises(ValueError, match="another configuration"):
        next(run(replace(MICRO, seed=1), tmp_path / "empty", mirror=mirror))
    assert contents(mirror) == before


def test_a_folder_that_has_gone_on_since_is_not_set_back_to_the_mirror(calm, tmp_path):
    folder = RunFolder(shutil.copytree(calm, tmp_path / "run"))
    Mirror(tmp_path / "mirror").keep(folder)
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "evaluate", "step": 3}\n')
    (folder.path / "samples.json").unlink()
    before = contents(folder.path)
    Mirror(tmp_path / "mirror").restore(folder)
    assert contents(folder.path) == before


def test_a_copy_back_that_is_killed_midway_begins_again(calm, tmp_path, monkeypatch):
    """Half a run is not taken for one that is further than its mirror."""
    copies, copyfile, folder = [], shutil.copyfile, RunFolder(tmp_path / "run")
    Mirror(tmp_path / "mirror").keep(RunFolder(calm))

    def killed(source, place):
        copies.append(place)
        if len(copies) > 3:
            raise KeyboardInterrupt
        return copyfile(source, place)

    monkeypatch.setattr(mirrors.shutil, "copyfile", killed)
    with pytest.raises(KeyboardInterrupt):
        Mirror(tmp_path / "mirror").restore(folder)
    monkeypatch.undo()
    Mirror(tmp_path / "mirror").restore(folder)
    assert contents(folder.path) == contents(calm)


def test_a_copy_that_was_cut_short_is_made_whole_at_the_next_checkpoint(calm, tmp_path):
    for _ in range(2):
        Mirror(tmp_path / "mirror").keep(RunFolder(calm))
        copy = copy_of(tmp_path / "mirror", "samples.json")
        assert copy.read_bytes() == (calm / "samples.json").read_bytes()
        copy.write_bytes(b"cut sho")


def test_a_drive_that_is_not_mounted_is_said_at_once(tmp_path):
    with pytest.raises(ValueError, match="mount the drive"):
        next(run(MICRO, tmp_path / "run", mirror=tmp_path / "drive" / "run"))


@pytest.mark.parametrize("place", ["run", "run/mirror", "file", "foreign"])
def test_a_place_that_is_the_run_or_holds_other_things_is_refused_and_left_as_it_is(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "mine.txt").write_text("mine")
    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="--mirror"):
        next(run(MICRO, tmp_path / "run", mirror=tmp_path / place))
    assert (tmp_path / "file").read_text() == (tmp_path / "foreign" / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "foreign").iterdir()) == ["mine.txt"]


def test_what_another_put_beside_the_files_of_a_mirror_stays(calm, tmp_path):
    (tmp_path / "mirror" / "files").mkdir(parents=True)
    (tmp_path / "mirror" / "files" / "thesis.txt").write_text("mine")
    Mirror(tmp_path / "mirror").keep(RunFolder(calm))
    assert (tmp_path / "mirror" / "files" / "thesis.txt").read_text() == "mine"
    assert (tmp_path / "mirror" / "mirror.json").exists()


@pytest.mark.parametrize("said", ["[]", '{"config.json": 5}', "5"])
def test_a_listing_of_another_form_is_refused(tmp_path, said):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "mirror.json").write_text(said)
    with pytest.raises(Damaged, match="mirror.json is no list of files .* another --mirror"):
        Mirror(tmp_path / "mirror").restore(RunFolder(tmp_path / "run"))
