"""Two processes train as one does: the same batches, rows and weights; and one that is killed is noticed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from instructgpt_lite.config import SFT
from instructgpt_lite.files import read_metrics
from instructgpt_lite.models import ranks
from instructgpt_lite.training.sft import finetune
from tests.training.conftest import Corpus, demonstrations, new_policy

ROOT = Path(__file__).parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}


def ran(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=240)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-3_000:]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "found"
    ran([sys.executable, "-m", "tests.ranks_of_stages", str(path), "0"])
    return torch.load(f"{path}-0.pt")


@pytest.mark.parametrize("micro_batch", [0, 2])
def test_two_processes_give_the_rows_and_weights_of_one(alone, tmp_path, micro_batch):
    ran([*TORCHRUN, "-m", "tests.ranks_of_stages", str(tmp_path / "found"), str(micro_batch)])
    for rank in (0, 1):
        found = torch.load(tmp_path / f"found-{rank}.pt")
        assert found["processes"] == 2 and alone["processes"] == 1
        assert len(found["rows"]) == len(alone["rows"])
        for mine, wanted in zip(found["rows"], alone["rows"]):
            assert mine == (wanted if "ranked" in wanted else pytest.approx(wanted, rel=1e-7, abs=1e-9))
        for p, q in zip(found["weights"], alone["weights"], strict=True):
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-8)


def test_processes_drop_different_units_and_read_the_same_text(monkeypatch):
    """Of 7 demonstrations one process has 4, the other 3: they draw unequal numbers of masks."""
    drops, texts = [], []

    class Told(Corpus):
        def rows(self, *arguments):
            texts.append(super().rows(*arguments))
            return texts[-1]

    for rank in (0, 1):
        monkeypatch.setattr(ranks, "size", lambda: 2)
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        for talk in ("summed", "sum_gradients"):
            monkeypatch.setattr(ranks, talk, lambda what: what)
        policy = new_policy()
        logp = policy.logp
        monkeypatch.setattr(policy, "logp", lambda part, dropout, generator: (
            drops.append(generator.get_state()), logp(part, dropout=dropout, generator=generator))[1])
        config = SFT(epochs=1, batch_size=7, dropout=0.2, pretraining_mix=0.5, mix_length=7)
        list(finetune(policy, demonstrations(7), config, Told()))
    assert torch.equal(*texts) and not torch.equal(*drops)


def test_others_copy_the_folder_when_the_first_has_made_it_and_leave_nothing(monkeypatch, tmp_path):
    """The first is slow: it makes the folder while another waits at the first meeting."""
    folder, met = tmp_path / "run", []

    def meet():
        met.append(folder.is_dir())
        folder.mkdir(exist_ok=True)
        (folder / "made.json").write_text("{}")
        (folder / ".lock").touch()

    monkeypatch.setattr(ranks, "rank", lambda: 1)
    monkeypatch.setattr(ranks, "meet", meet)
    with ranks.own_folder(folder) as own:
        assert met == [False, True] and [each.name for each in own.iterdir()] == ["made.json"] and own != folder
    assert not own.exists() and folder.exists()


@pytest.mark.parametrize("flags, found", [([True, False], True), ([False, True], True), ([False, False], False)])
def test_what_one_process_is_asked_all_do(flags, found, monkeypatch):
    """Such as to stop: a signal may reach one of them alone."""
    monkeypatch.setattr(ranks, "size", lambda: 2)
    monkeypatch.setattr(ranks.dist, "all_gather_object", lambda all_of_them, mine: all_of_them.__setitem__(
        slice(None), flags))
    assert [ranks.any_of(flag) for flag in flags] == [found, found]


def test_processes_on_several_machines_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="4 processes on several machines: start them on one"):
        ranks.join(cpu=True)


RUN = ["-m", "instructgpt_lite", "run", "--preset", "micro", "--hardware.device", "cpu", "--sft.dropout", "0",
       "--checkpoint-every", "0"]


def test_a_run_of_two_is_that_of_one_and_goes_on_alone_after_a_kill(tmp_path):
    """Killed in the middle, it ends with a sentence; one process goes on from there."""
    ran([sys.executable, *RUN, "--out", str(tmp_path / "one")])
    group = subprocess.Popen([*TORCHRUN, *RUN, "--out", str(tmp_path / "two")], stderr=subprocess.PIPE, text=True,
                             cwd=ROOT, env=ENVIRONMENT)
    metrics = tmp_path / "two" / "metrics.jsonl"
    while not (metrics.exists() and '"stage": "reward", "step": 2' in metrics.read_text()):
        assert group.poll() is None
        time.sleep(0.05)
    workers = subprocess.run(["pgrep", "-P", str(group.pid)], capture_output=True, text=True).stdout.split()
    began = time.monotonic()
    os.kill(int(workers[-1]), signal.SIGKILL)
    said = group.communicate(timeout=60)[1]
    assert time.monotonic() - began < 60 and group.returncode != 0
    assert "waited for one that is gone" in said or "SIGKILL" in said
    ran([sys.executable, *RUN, "--out", str(tmp_path / "two")])
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert [row["stage"] for row in one] == [row["stage"] for row in two]
    for mine, wanted in zip(two, one):
        assert {**mine, "stage": 0} == pytest.approx({**wanted, "stage": 0}, rel=1e-3, abs=1e-4)
