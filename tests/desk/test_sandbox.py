"""The sandbox: no network, no files, no memory out of sight, and an end in time."""

import os
import socket
import time

import pytest
import torch
from desks import handed_in

from instructgpt_lite.desk import grade as desk
from instructgpt_lite.desk.sandbox import received


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
