"""The sandbox: no network, no files, no memory out of sight, and an end in time."""

import marshal
import os
import resource
import socket
import time

import pytest
import torch
from desks import handed_in

from instructgpt_lite.desk import grade as desk
from instructgpt_lite.desk import preload
from instructgpt_lite.desk.remote import received


@pytest.mark.parametrize("source", [
    "def my_token_logp(x, t):\n    while True: pass",
    "while True: pass\ndef my_token_logp(x, t): pass",
    "import time\ndef my_token_logp(x, t):\n    time.sleep(99)",
    "import signal, os\ndef my_token_logp(x, t):\n    os.kill(os.getpid(), signal.SIGSTOP)",
    "def my_token_logp(x, t):\n    try:\n        while True: pass\n    finally:\n        my_token_logp(x, t)"])
def test_it_ends_by_its_limit_and_a_second(source, monkeypatch):
    begun = []
    start = desk.Process

    def started(*options):
        process = start(*options)
        begun.append(time.monotonic())
        return process

    monkeypatch.setattr(desk, "Process", started)
    monkeypatch.setattr(desk, "SECONDS", 99.0)
    found = desk.grade(handed_in(source), b"s", limit=1.5)
    assert found.points == 0 and time.monotonic() - begun[0] < 2.5


def test_a_door_on_this_machine_stays_shut():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        door.settimeout(0.2)
        found = desk.grade(handed_in(
            f"import socket\ndef my_token_logp(x, t):\n    socket.create_connection(('127.0.0.1', {port}))"), b"s")
        assert "raised" in found.exercises["my_token_logp"]["said"]
        with pytest.raises(TimeoutError):
            door.accept()


def test_no_file_of_this_machine_can_be_read():
    for path in ("/etc/passwd", __file__, os.path.expanduser("~/canary.txt"), "/proc/self/environ"):
        found = desk.grade(handed_in(f"def my_token_logp(x, t):\n    open({path!r})\n    return x[..., 0]"), b"s")
        assert found.exercises["my_token_logp"]["said"] == "my_token_logp raised PermissionError."


@pytest.mark.parametrize("answer", [
    {"tensor": [0.0], "shape": [1] * 40}, {"tensor": [], "shape": [0, 2 ** 40]}, {"tensor": [1.0], "shape": [-1]},
    {"tensor": [], "shape": [2 ** 62, 2 ** 62, 0]}, {"tensor": [1.0], "shape": "9"}, {"tensor": 3},
    {"list": 5}, {"dict": []}, {}, {"tuple": [{}], "list": []}])
def test_an_answer_of_an_odd_shape_is_no_number(answer):
    got = received(answer)
    assert type(got).__name__ == "an object" or torch.is_tensor(got) and got.shape == (1,)


def test_memory_that_no_limit_counts_cannot_be_had():
    found = desk.grade(handed_in("def my_token_logp(x, t):\n    import os\n    os.memfd_create('x')"), b"s")
    assert found.exercises["my_token_logp"]["said"] == "my_token_logp raised PermissionError."


@pytest.mark.parametrize("does", [
    "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (9999, 9999))", "os.setpriority(os.PRIO_USER, 0, 0)",
    "os.sched_setaffinity(os.getppid(), {0, 1})", "os.sched_setscheduler(os.getppid(), 0, os.sched_param(0))",
    "os.pidfd_open(os.getppid())", "os.chmod(FILE, 0o600)", "os.chown(FILE, -1, -1)", "os.utime(FILE)",
    "os.setxattr(FILE, 'user.told', b'1')", "os.getxattr(FILE, 'user.told')", "os.listxattr(FILE)"])
def test_what_reaches_other_processes_and_files_is_refused(does, tmp_path):
    (tmp_path / "mine").write_text("")
    source = f"import os, resource\ndef my_token_logp(x, t):\n    FILE = {str(tmp_path / 'mine')!r}\n    {does}"
    found = desk.grade(handed_in(source), b"s")
    assert found.exercises["my_token_logp"]["said"] == "my_token_logp raised PermissionError."


def test_no_thread_can_be_started():
    source = ("import threading\ndef my_token_logp(x, t):\n    threading.Thread(target=print).start()")
    found = desk.grade(handed_in(source), b"s")
    assert found.exercises["my_token_logp"]["said"] == "my_token_logp raised RuntimeError."


def test_gradients_and_optimizers_need_no_thread():
    source = ("def my_token_logp(x, t):\n    w = torch.zeros(3, 3, requires_grad=True)\n"
              "    torch.optim.Adam([w]).step((lambda: ((w @ w).sum().backward(), 0.0)[1]))\n"
              "    return x.log_softmax(-1).gather(-1, t[..., None])[..., 0]")
    assert desk.grade(handed_in(source), b"s").points == 10


@pytest.mark.parametrize("answer", [
    {"list": [{"list": [0.0] * 9_000}] * 2}, {"list": [{"tensor": [0.0] * 6_000, "shape": [6_000]}] * 2},
    {"list": [{"list": []}] * 20_000}, {"list": [{"list": [{"list": [{"list": [{"list": [{"list": [
        {"list": [{"list": [{"list": [1.0]}]}]}]}]}]}]}]}]}])
def test_an_answer_has_so_many_numbers_in_all_and_is_so_deep(answer):
    assert type(received(answer)).__name__ == "an object"


def test_a_thousand_open_files_do_no_harm():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_100)]
    try:
        assert max(held) > 1_024
        right = "def my_token_logp(x, t):\n    return x.log_softmax(-1).gather(-1, t[..., None])[..., 0]"
        assert desk.grade(handed_in(right), b"s").points == 10
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_machine_that_cannot_start_it_blames_no_student(monkeypatch):
    monkeypatch.setattr(preload, "modules", lambda optim: (1).to_bytes(8, "little") + b"?")
    with pytest.raises(OSError, match="do not start in the sandbox"):
        desk.grade(handed_in("def my_token_logp(x, t):\n    return x"), b"s")


def test_what_is_handed_over_is_torch_and_nothing_of_ours():
    found = marshal.loads(preload.modules(False)[8:])
    assert {"torch", "torch.nn.functional", "json"} <= set(found)
    assert not any(name.startswith(("instructgpt_lite", "tests")) for name in found)
    assert "torch._dynamo" in marshal.loads(preload.modules(True)[8:])


def test_other_modules_are_imported_as_ever():
    source = ("import scipy.special, inspect\ndef my_token_logp(x, t):\n    assert inspect.getsource(torch.nn.Linear)\n"
              "    x = torch.tensor(scipy.special.log_softmax(x.numpy(), -1))\n"
              "    return x.gather(-1, t[..., None])[..., 0]")
    assert desk.grade(handed_in(source), b"s").points == 10


def test_a_python_that_does_not_find_torch_is_said(monkeypatch):
    monkeypatch.setattr(preload, "COLLECT", "import torch_of_nobody")
    preload.modules.cache_clear()
    with pytest.raises(OSError, match="does not start torch .*No module named 'torch_of_nobody'"):
        preload.modules(False)
