"""A stage that is stopped or killed anywhere goes on with the bits of one that was not; damage is found."""

import errno
import os
import pickle
import resource
import shutil
import signal
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from instructgpt_lite.training.loop import (
    generator,
    lr_scale,
    make_optimizers,
    set_lr,
    update_average,
)
from instructgpt_lite.training.resume import ResumeState

SMALL = GPT2Config(vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=0,
                   eos_token_id=0, embd_pdrop=0.0, resid_pdrop=0.0, attn_pdrop=0.0)


def gpt2(seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    return GPT2LMHeadModel(SMALL)


def stage(module: nn.Module, average: nn.Module, matrix_lr: float, resume: ResumeState):
    """A stage of six steps in small: yields after every step."""
    optimizers = make_optimizers(module, 0.01, matrix_lr)
    resume.track(module=module, average=average, optimizers=optimizers)
    for step in range(resume.step, 6):
        tokens = torch.randint(11, (2, 8), generator=generator(0, "stage", step))
        loss = module(tokens, labels=tokens).loss
        loss.backward()
        set_lr(optimizers, lr_scale(step, 6, 0.2, 0.1))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        update_average(average, module, 0.9)
        resume.step = step + 1
        yield loss.item()


def bits(module: nn.Module) -> dict[str, bytes]:
    return {name: t.detach().contiguous().numpy().tobytes() for name, t in module.state_dict().items()}


def linear(value: float) -> nn.Linear:
    module = nn.Linear(2, 2).double()
    nn.init.constant_(module.weight, value)
    return module


def going_on(folder: Path, step: int) -> ResumeState:
    """From what is there to `step`; the weights are the step."""
    resume, module = ResumeState.newest(folder), linear(0.0)
    resume.track(module=module)
    nn.init.constant_(module.weight, step)
    resume.step = step
    return resume


def save(folder: Path, step: int) -> None:
    going_on(folder, step).save(folder)


def loaded(folder: Path) -> float:
    """The weight in the newest checkpoint; its step must be the same."""
    resume, module = ResumeState.newest(folder), linear(-1.0)
    resume.track(module=module)
    assert resume.step == module.weight[0, 0].item()
    return resume.step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the checkpoints 8 and 9."""
    for step in (8, 9):
        save(tmp_path / "run", step)
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch) -> None:
    """A call to the system in the place of fsync: what SIGKILL leaves does not depend on it."""
    monkeypatch.setattr(os, "fsync", os.isatty)


# Going on

@pytest.mark.parametrize("matrix_lr", [0.0, 0.02])
@pytest.mark.parametrize("stop", [1, 3, 6])
def test_stopped_at_any_step_and_gone_on_equals_never_stopped(tmp_path, matrix_lr, stop):
    calm, calm_average = gpt2(0), gpt2(0)
    losses = list(stage(calm, calm_average, matrix_lr, ResumeState()))
    first, second, average = ResumeState(), gpt2(1), gpt2(2)
    begun = stage(gpt2(0), gpt2(0), matrix_lr, first)
    before = [next(begun) for _ in range(stop)]
    first.save(tmp_path)
    after = list(stage(second, average, matrix_lr, ResumeState.newest(tmp_path)))
    assert before + after == losses
    assert bits(second) == bits(calm) and bits(average) == bits(calm_average)


def test_a_checkpoint_holds_weights_moments_and_counters_and_tied_weights_once(tmp_path):
    from safetensors import safe_open
    module, resume = gpt2(0), ResumeState()
    running = stage(module, gpt2(0), 0.02, resume)
    next(running), next(running)
    resume.save(tmp_path)
    with safe_open(tmp_path / "2.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    count, matrices = len(list(module.parameters())), 4
    kinds = [name.split(".")[-1] for name in tensors if name.startswith("optimizers.")]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "exp_avg": count - matrices, "exp_avg_sq": count - matrices, "step": count - matrices,
        "momentum_buffer": matrices}
    assert {t.item() for name, t in tensors.items() if name.endswith(".step")} == {2}
    assert len([name for name in tensors if name.startswith("module:")]) == count
    again = gpt2(1)
    ResumeState.newest(tmp_path).track(module=again)
    assert again.lm_head.weight is again.transformer.wte.weight and bits(again) == bits(module)


def test_any_optimizer_of_torch_goes_on_with_its_rates(tmp_path):
    """Two groups, no names, foreach instead of fused: AdamW as users make it."""
    def make(seed: int):
        torch.manual_seed(seed)
        module = nn.Linear(3, 2)
        groups = [{"params": [module.weight], "lr": 0.1 + 0.2 * (seed == 0)}, {"params": [module.bias]}]
        return module, torch.optim.AdamW(groups, lr=0.01, foreach=True)

    def work(module: nn.Module, adam: torch.optim.Optimizer) -> None:
        module(torch.ones(1, 3)).square().sum().backward()
        adam.step()
        adam.zero_grad()

    (module, adam), (other, other_adam) = make(0), make(1)
    first = ResumeState()
    first.track(module=module, adam=[adam])
    work(module, adam)
    first.step, first.seconds = 1, 2.5
    first.save(tmp_path)
    second = ResumeState.newest(tmp_path)
    second.track(module=other, adam=[other_adam])
    assert second.seconds == 2.5 and other_adam.param_groups[0]["lr"] == 0.1 + 0.2
    work(module, adam), work(other, other_adam)
    assert bits(module) == bits(other)


def test_buffers_are_remembered_as_weights_are(tmp_path):
    """Such as the bias of a ScalarModel, and the running means of a norm."""
    module, again, resume = nn.BatchNorm1d(3), nn.BatchNorm1d(3), ResumeState()
    module(torch.arange(12.0).view(4, 3))
    resume.track(module=module)
    resume.step = 1
    resume.save(tmp_path)
    ResumeState.newest(tmp_path).track(module=again)
    assert bits(again) == bits(module) != bits(nn.BatchNorm1d(3))


def test_numbers_that_a_stage_goes_on_with_are_remembered(folder):
    """Such as the beta of an adaptive controller; a checkpoint says its own, not an older one's."""
    for step, beta in ((10, 0.1 + 0.2), (11, 1e-300)):
        resume = going_on(folder, step)
        resume.numbers["beta"] = beta
        resume.save(folder)
        assert ResumeState.newest(folder).numbers == {"beta": beta}


def test_what_does_not_fit_is_named(tmp_path):
    resume, small = ResumeState(), nn.Linear(2, 3)
    resume.track(policy=small, optimizers=make_optimizers(small, 0.1))
    resume.step = 1
    resume.save(tmp_path)
    for other in (nn.Linear(4, 3), nn.Linear(2, 3, bias=False), nn.Sequential(small)):
        with pytest.raises(ValueError, match=r"^policy\.\S+ is not as in the checkpoint: go on with"):
            ResumeState.newest(tmp_path).track(policy=other)
    with pytest.raises(ValueError, match="value.weight is not as in the checkpoint"):
        ResumeState.newest(tmp_path).track(value=small)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        ResumeState.newest(tmp_path).track(adams=make_optimizers(small, 0.1))


# Crashes

CALLS = {"mkdir", "open", "serialize_file", "write", "isatty", "replace", "unlink", "__exit__"}


def after_each_change(act) -> None:
    """Call `act()` after each call of C that may change a disk."""
    def watch(frame, event: str, called) -> None:
        if event == "c_return" and called.__name__ in CALLS:
            act()
    sys.setprofile(watch)


def killed(at: int, work) -> bool:
    """Run `work` in a child that SIGKILL ends after change number `at`; False if it got to its end."""
    with warnings.catch_warnings(action="ignore"):      # Python 3.12 fears forks of threads
        child = os.fork()
    if child == 0:
        events = iter(range(10**6))
        after_each_change(lambda: next(events) == at and os.kill(os.getpid(), signal.SIGKILL))
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status != 0


def fresh(folder: Path, place: Path) -> Path:
    """A new copy at `place`."""
    shutil.rmtree(place, ignore_errors=True)
    return shutil.copytree(folder, place)


@pytest.mark.parametrize("step", [10, 9])
def test_a_kill_after_any_change_by_a_save_costs_at_most_that_save(folder, tmp_path, step):
    """Of a new step, or of one that is saved again; no warning, and the next save and prune work."""
    at, place, going = 0, tmp_path / "crash", True
    while going:
        fresh(folder, place)
        going = killed(at, lambda: save(place, step))
        assert loaded(place) in ({9, 10} if step == 10 else {9})
        save(place, 11)
        assert loaded(place) == 11 and len(list(place.glob("*.json"))) == 2
        at += 1
    assert at > 10


@pytest.mark.parametrize("limit", [0, 10, 100])
def test_a_full_disk_is_told_and_costs_no_older_checkpoint(folder, limit):
    """A limit on the size of files stands for the end of the disk: the writer is told EFBIG."""
    resume, before = going_on(folder, 10), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match=r"could not save \S+10\.safetensors .* needs 48 bytes") as caught:
            resume.save(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG and len(names(folder)) == 4
    assert loaded(folder) == 9


# Damage

@pytest.mark.parametrize("name", ["9.json", "9.safetensors"])
def test_a_flipped_bit_in_any_byte_is_found_and_the_one_before_taken(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        bent = bytearray(whole)
        bent[place] ^= 1 << place % 8
        path.write_bytes(bent)
        with pytest.warns(UserWarning, match="passed over a damaged checkpoint"):
            assert ResumeState.newest(folder).step == 8
    path.write_bytes(whole)
    assert loaded(folder) == 9


@pytest.mark.parametrize("name", ["9.json", "9.safetensors"])
def test_files_cut_or_taken_from_another_checkpoint_are_found(folder, name):
    path = folder / name
    whole = path.read_bytes()
    older = (folder / name.replace("9", "8")).read_bytes()
    for other in (b"", whole[:-2], whole[:len(whole) // 2], older):
        path.write_bytes(other)
        with pytest.warns(UserWarning, match="passed over a damaged checkpoint"):
            assert ResumeState.newest(folder).step == 8


def test_a_damaged_one_is_named_and_does_not_push_out_a_whole_one(folder):
    (folder / "9.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"9\.safetensors"):
        save(folder, 10)
    assert names(folder) == ["10.json", "10.safetensors", "8.json", "8.safetensors"]


def test_where_all_are_damaged_or_there_is_none_a_stage_begins_anew(folder, tmp_path):
    for path in folder.glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="passed over a damaged checkpoint"):
        assert ResumeState.newest(folder).step == 0
    assert ResumeState.newest(tmp_path / "nowhere").step == 0


class Payload:
    """A pickle that would leave a mark."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("ran"),)


def test_nothing_is_ever_unpickled(folder, monkeypatch):
    found = []
    monkeypatch.chdir(folder)
    sys.addaudithook(lambda event, rest: event == "pickle.find_class" and found.append(rest))
    for name in ("9.safetensors", "9.json", "10.pt", "10.json", "10.safetensors"):
        (folder / name).write_bytes(pickle.dumps(Payload()))
    with pytest.warns(UserWarning, match="passed over"):
        assert ResumeState.newest(folder).step == 8
    assert not found and not (folder / "ran").exists()


def test_the_newest_is_the_last_by_number_and_two_are_kept(folder):
    for step in (10, 11, 100):
        save(folder, step)
    assert loaded(folder) == 100
    assert names(folder) == ["100.json", "100.safetensors", "11.json", "11.safetensors"]


def test_everything_is_on_the_disk_before_it_has_its_name(folder, monkeypatch):
    order, replace = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: order.append(os.fstat(number).st_ino))
    monkeypatch.setattr(Path, "replace", lambda path, target: (
        order.append(target.name), replace(path, target))[1])
    save(folder, 10)
    tensors, digest = ((folder / name).stat().st_ino for name in ("10.safetensors", "10.json"))
    assert order.index(tensors) < order.index("10.safetensors") < order.index(digest) < order.index("10.json")
