"""A save is killed and refused at every call it makes to the system; files are bent in every byte."""

import errno
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from instructgpt_lite.models import checkpoint
from instructgpt_lite.models.checkpoint import Damaged, load, newest, prune, save, verify


def some(step: int) -> dict[str, Tensor]:
    noise = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
    return {"weight": noise, "step": torch.tensor(step)}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Equal names, types, shapes and bits; NaN equals the same NaN, 0.0 is not -0.0."""
    def bits(t: Tensor) -> tuple:
        return t.dtype, t.shape, t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).tolist()
    return {name: bits(t) for name, t in first.items()} == {name: bits(t) for name, t in second.items()}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch) -> None:
    """A call to the system in the place of fsync: what SIGKILL leaves does not depend on it."""
    monkeypatch.setattr(os, "fsync", os.isatty)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the good checkpoints step-8 and step-9."""
    for step in (8, 9):
        save(tmp_path / f"step-{step}", some(step), {"step": step})
    return tmp_path


# What comes back

def test_every_type_and_shape_comes_back_bit_for_bit(tmp_path: Path) -> None:
    floats = torch.tensor([0.0, -0.0, float("nan"), float("-inf"), 1e-45, 1 / 3])
    tensors = {str(kind): floats.to(kind)
               for kind in (torch.float64, torch.float32, torch.bfloat16, torch.float16)}
    tensors |= {str(kind): torch.tensor([-1, 0, 100]).to(kind)
                for kind in (torch.int64, torch.int8, torch.bool)}
    tensors |= {"scalar": torch.tensor(3.5), "empty": torch.empty(0, 3), "nothing": torch.empty(0),
                "turned": torch.arange(6.0).view(2, 3).T, "strided": torch.arange(9)[::2],
                "weight": torch.nn.Parameter(torch.ones(2)), "a.b.0-c d/é": torch.ones(1)}
    save(tmp_path / "one", tensors, {})
    loaded, info = load(tmp_path / "one")
    assert same(loaded, tensors) and list(loaded) == list(tensors) and info == {}


def test_no_tensors_at_all_are_a_checkpoint_too(tmp_path: Path) -> None:
    save(tmp_path / "one", {}, {"a": [1, 0.1, None, {"é": "ü"}]})
    assert load(tmp_path / "one") == ({}, {"a": [1, 0.1, None, {"é": "ü"}]})


def test_tied_tensors_stay_one_and_take_the_room_of_one(tmp_path: Path) -> None:
    weight = torch.randn(1000)
    save(tmp_path / "one", {"head": weight, "body": weight.detach(), "copy": weight.clone()}, {})
    loaded, _ = load(tmp_path / "one")
    loaded["head"].add_(1)
    assert same(loaded, {"head": weight + 1, "body": weight + 1, "copy": weight})
    assert 8000 < (tmp_path / "one/tensors.safetensors").stat().st_size < 9000


def test_views_that_overlap_come_back_each_with_its_values(tmp_path: Path) -> None:
    whole = torch.arange(12.0)
    views = {"whole": whole, "part": whole[2:7], "table": whole.view(3, 4), "turned": whole.view(3, 4).T,
             "bits": whole.view(torch.int32), "tail": whole[5:]}
    save(tmp_path / "one", views, {})
    assert same(load(tmp_path / "one")[0], views)


def test_equal_states_make_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / name, some(1), {"step": 1})
    for file in ("tensors.safetensors", "info.json", "SHA256SUMS"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_sha256sum_agrees_with_the_manifest(root: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=root / "step-9", check=True)


@pytest.mark.parametrize("name", ["with space", "überstraße", "x" * 200, "v1.5"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    save(tmp_path / "deep" / "er" / name, some(1), {})
    assert newest(tmp_path / "deep" / "er") == tmp_path / "deep" / "er" / name


def test_a_root_behind_a_link_will_do(root: Path) -> None:
    (root / "link").symlink_to(root, target_is_directory=True)
    assert newest(root / "link") == root / "link" / "step-9"


# Crashes

NEEDS = {"mkdir", "open", "serialize_file", "write", "isatty", "rename"}       # what a disk can refuse
CHANGES = NEEDS | {"__exit__", "unlink", "rmdir"}


def watch_system(when: str, calls: set[str], act) -> None:
    """Call `act()` before ("c_call") or after ("c_return") each of these calls."""
    def watch(frame, event: str, called) -> None:
        if event == when and called.__name__ in calls:
            act()
    sys.setprofile(watch)


def killed(at: int, work) -> bool:
    """Run `work` in a child that SIGKILL ends after change number `at`; False if it got to its end."""
    with warnings.catch_warnings(action="ignore"):      # Python 3.12 fears forks of threads
        child = os.fork()
    if child == 0:
        events = iter(range(10**6))
        watch_system("c_return", CHANGES, lambda: next(events) == at and os.kill(os.getpid(), signal.SIGKILL))
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


def fresh(root: Path, place: Path) -> Path:
    """A new copy at `place` of what is at `root`."""
    shutil.rmtree(place, ignore_errors=True)
    return shutil.copytree(root, place)


def check_goes_on(root: Path) -> None:
    """The newest checkpoint is step-9 or step-10, and whole; step-8 too; the next save and prune work."""
    tensors, info = load(newest(root))
    assert info["step"] in (9, 10) and same(tensors, some(info["step"]))
    assert same(load(root / "step-8")[0], some(8))
    save(root / "step-10", some(10), {"step": 10})
    prune(root)
    assert sorted(path.name for path in root.iterdir()) == ["step-10", "step-9"]
    assert same(load(newest(root))[0], some(10))


@pytest.mark.parametrize("already", ["nothing", "the same", "a damaged one", "a stray"])
def test_a_kill_after_any_change_by_a_save_costs_no_older_checkpoint(root: Path, tmp_path_factory,
                                                                     already: str) -> None:
    if already in ("the same", "a damaged one"):
        save(root / "step-10", some(10), {"step": 10})
    if already == "a damaged one":
        (root / "step-10" / "info.json").write_text("{}")
    if already == "a stray":
        shutil.copytree(root / "step-8", root / "step-10.tmp")
    at, place, going = 0, tmp_path_factory.mktemp("crash") / "run", True
    with warnings.catch_warnings(action="ignore"):
        while going:
            fresh(root, place)
            going = killed(at, lambda: save(place / "step-10", some(10), {"step": 10}))
            check_goes_on(place)
            at += 1
    assert at > 10


def test_a_kill_after_any_change_by_a_prune_leaves_the_newest(root: Path, tmp_path_factory) -> None:
    save(root / "step-7", some(7), {"step": 7})
    (root / "step-6.tmp").mkdir()
    at, place, going = 0, tmp_path_factory.mktemp("crash") / "run", True
    while going:
        fresh(root, place)
        going = killed(at, lambda: prune(place))
        assert same(load(place / "step-8")[0], some(8)) and same(load(newest(place))[0], some(9))
        prune(place)
        assert sorted(path.name for path in place.iterdir()) == ["step-8", "step-9"]
        at += 1
    assert at > 10


def test_a_kill_in_the_middle_of_the_tensors_costs_no_older_checkpoint(root: Path, monkeypatch) -> None:
    def die(tensors: dict, path: Path) -> None:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", die)
        assert killed(-1, lambda: save(root / "step-10", some(10), {"step": 10}))
    assert (root / "step-10.tmp" / "tensors.safetensors").read_bytes() == b"half"
    check_goes_on(root)


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch) -> None:
    order, rename = [], Path.rename
    monkeypatch.setattr(os, "fsync", lambda number: order.append(os.fstat(number).st_ino))
    monkeypatch.setattr(Path, "rename", lambda path, target: order.append("rename") or rename(path, target))
    save(tmp_path / "one", some(1), {})
    files = {path.stat().st_ino for path in (tmp_path / "one").iterdir()}
    assert len(files) == 3 and set(order[:3]) == files
    assert order[3:] == [(tmp_path / "one").stat().st_ino, "rename", tmp_path.stat().st_ino]


# Full disks and other refusals

@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=["ENOSPC", "EDQUOT", "EIO"])
def test_an_error_of_any_change_by_a_save_harms_nothing_older(root: Path, tmp_path_factory, number) -> None:
    at, place, reached, refused = 0, tmp_path_factory.mktemp("full") / "run", True, 0
    while reached:
        fresh(root, place)
        reached, events = False, iter(range(10**6))

        def refuse() -> None:
            nonlocal reached
            if next(events) == at:
                reached = True
                raise OSError(number, os.strerror(number))
        try:
            watch_system("c_call", NEEDS, refuse)
            save(place / "step-10", some(10), {"step": 10})
        except OSError as error:
            refused += 1
            assert error.errno == number and "step-10" in str(error) and "bytes" in str(error)
        finally:
            sys.setprofile(None)
        check_goes_on(place)
        at += 1
    assert refused > 10


@pytest.mark.parametrize("limit", [0, 10, 100, 300, 4096])
def test_a_full_disk_is_told_in_a_sentence_and_harms_nothing(root: Path, limit: int) -> None:
    """A limit on the size of files stands for the end of the disk: the writer is told EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            save(root / "step-10", {"weight": torch.zeros(2000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    needed, free = (int(figure.replace(",", "")) for figure in re.findall(r"([\d,]+)(?: bytes| are free)",
                                                                          str(caught.value)))
    assert caught.value.errno == errno.EFBIG and str(root / "step-10") in str(caught.value)
    assert 8000 < needed < 8300 and free > 10**6
    assert sorted(path.name for path in root.iterdir()) == ["step-8", "step-9"]
    check_goes_on(root)


def test_info_that_is_not_json_is_refused_before_anything_is_written(root: Path) -> None:
    with pytest.raises(TypeError, match="Tensor is not JSON serializable"):
        save(root / "step-10", {}, {"a": torch.ones(1)})
    assert len(list(root.iterdir())) == 2


def test_the_same_may_be_saved_again_but_nothing_else_in_its_place(root: Path) -> None:
    save(root / "step-9", some(9), {"step": 9})
    with pytest.raises(ValueError, match="step-9 already holds another checkpoint"):
        save(root / "step-9", some(1), {"step": 9})
    assert same(load(root / "step-9")[0], some(9)) and len(list(root.iterdir())) == 2


def test_a_folder_of_other_things_is_never_removed(tmp_path: Path) -> None:
    for name in ("thesis.txt", "info.json"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="holds other things than a checkpoint"):
        save(tmp_path, {}, {})
    assert (tmp_path / "thesis.txt").read_text() == (tmp_path / "info.json").read_text() == "mine"


# Damage

def test_a_flipped_bit_in_any_byte_is_found_and_named(root: Path) -> None:
    for path in (root / "step-9").iterdir():
        whole = path.read_bytes()
        for place in range(len(whole)):
            bent = bytearray(whole)
            bent[place] ^= 1 << place % 8
            path.write_bytes(bent)
            with pytest.raises(Damaged, match=r"step-9/\S+ is not what was saved") as caught:
                load(root / "step-9")
            assert path.name in str(caught.value)
        path.write_bytes(whole)


def test_every_truncation_is_found_and_named(root: Path) -> None:
    for path in (root / "step-9").iterdir():
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(Damaged, match=r"is not what was saved") as caught:
                verify(root / "step-9")
            assert path.name in str(caught.value)
        path.write_bytes(whole)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.sampled_from(["tensors.safetensors", "info.json", "SHA256SUMS"]))
def test_anything_else_in_place_of_a_file_is_found(tmp_path_factory, other: bytes, name: str) -> None:
    folder = tmp_path_factory.mktemp("run") / "one"
    save(folder, some(1), {})
    (folder / name).write_bytes(other)
    with pytest.raises(Damaged, match="not what was saved"):
        load(folder)


@pytest.mark.parametrize("name", ["tensors.safetensors", "info.json"])
def test_files_swapped_between_checkpoints_are_found_and_named(root: Path, name: str) -> None:
    first, second = root / "step-8" / name, root / "step-9" / name
    first_bytes, second_bytes = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_bytes), second.write_bytes(first_bytes)
    for folder in (first.parent, second.parent):
        with pytest.raises(Damaged, match=f"{name} is not what was saved"):
            load(folder)


@pytest.mark.parametrize("name", ["tensors.safetensors", "info.json", "SHA256SUMS"])
def test_a_missing_file_is_named(root: Path, name: str) -> None:
    (root / "step-9" / name).unlink()
    with pytest.raises(Damaged, match=f"step-9/{name} is missing"):
        load(root / "step-9")


class Payload:
    """A pickle that would leave a mark."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "state.pkl",
                                  "tensors.safetensors", "info.json"])
def test_nothing_is_ever_unpickled(root: Path, name: str, monkeypatch) -> None:
    found = []
    monkeypatch.chdir(root)
    monkeypatch.setattr(pickle, "loads", found.append)
    sys.addaudithook(lambda event, rest: event == "pickle.find_class" and found.append(rest))
    payload = root / "step-9" / name
    payload.write_bytes(pickle.dumps(Payload()))
    for path in (payload, root / "step-9"):
        with pytest.raises(Damaged, match=f"{name} is a pickle|{name} is not what was saved|missing"):
            load(path)
    assert not found and not (root / "ran").exists()


def test_a_newer_format_is_refused_with_the_way_out(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    save(root / "step-10", some(10), {})
    monkeypatch.undo()
    assert newest(root) == root / "step-10"
    with pytest.raises(ValueError, match="format 2 is newer than 1.*pip install --upgrade"):
        load(root / "step-10")


# Newest and prune

def test_the_newest_is_the_last_by_number_and_none_where_there_is_none(root: Path) -> None:
    assert newest(root) == root / "step-9"
    save(root / "step-10", some(10), {})
    assert newest(root) == root / "step-10"
    assert newest(root / "step-10") is None and newest(root / "nowhere") is None


def test_damaged_checkpoints_are_named_and_passed_over(root: Path) -> None:
    (root / "step-9" / "info.json").write_text("{}")
    with pytest.warns(UserWarning, match="step-9/info.json is not what was saved"):
        assert newest(root) == root / "step-8"


def test_strays_and_folders_of_other_things_are_no_checkpoints(root: Path) -> None:
    shutil.copytree(root / "step-9", root / "step-10.tmp")
    for name in (".ipynb_checkpoints", "zoo"):
        (root / name).mkdir()
    (root / "zoo" / "model.safetensors").touch()
    (root / "zzz.txt").touch()
    assert newest(root) == root / "step-9"
    prune(root, keep=1)
    assert {path.name for path in root.iterdir()} == {"step-9", ".ipynb_checkpoints", "zoo", "zzz.txt"}


def test_prune_counts_only_valid_checkpoints(root: Path) -> None:
    for step in (10, 11, 12):
        save(root / f"step-{step}", some(step), {})
    for step in (10, 12):
        (root / f"step-{step}" / "tensors.safetensors").unlink()
    with pytest.warns(UserWarning, match="passed over a damaged checkpoint"):
        prune(root, keep=2)
    assert {path.name for path in root.iterdir()} == {"step-12", "step-11", "step-10", "step-9"}
    with pytest.warns(UserWarning, match="passed over a damaged checkpoint"):
        prune(root, keep=3)
    assert (root / "step-9").exists()


def test_prune_keeps_at_least_one(root: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        prune(root, keep=0)
