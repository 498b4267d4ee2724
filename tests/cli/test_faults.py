"""What is wrong with numbers that do not go together, with folders and with the Hub: one sentence, and the way out."""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from instructgpt_lite.__main__ import main
from instructgpt_lite.files import read_metrics
from instructgpt_lite.presets import micro
from instructgpt_lite.run.folder import Damaged, RunFolder

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"


def refused(capsys, *flags: str) -> str:
    """The one line that a command ends with."""
    assert main([*flags]) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    return told.err


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


# Numbers that a part of the configuration refuses

@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("flags, expected", [
    ("--ppo.minibatch-size 7", "--ppo.minibatch-size is 7, which does not divide --ppo.batch-size, 16: take another"),
    ("--ppo.minibatch-size -1", "--ppo.minibatch-size is -1, which does not divide --ppo.batch-size, 16: take another"),
    ("--ppo.batch-size 20", "--ppo.minibatch-size is 8, which does not divide --ppo.batch-size, 20: take another"),
    ("--architecture.heads 5",
     "--architecture.heads is 5, which does not divide --architecture.width, 16: take another"),
    ("--ppo.kl-target 1 --ppo.kl-horizon 3",
     "--ppo.kl-horizon is 3.0: take more than a fifth of --ppo.batch-size, 16: beta would be < 0"),
    ("--ppo.kl-target -1", "--ppo.kl-target is -1.0: take 0 or more")])
def test_numbers_that_do_not_go_together_are_refused_by_their_flags_alone(tmp_path, monkeypatch, capsys, command,
                                                                          flags, expected):
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, command, "--preset", "micro", *flags.split()) == f"ValueError: {expected}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_word_that_is_no_number_is_still_told_beside_the_help_of_its_flag(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "--ppo.lr", "much"])
    told = capsys.readouterr().err
    assert end.value.code == 2 and "Error parsing --ppo.lr: could not convert" in told and "(default: " in told


@pytest.mark.parametrize("flags", [
    ["--ppo.adam-betas", "0.9", "1"], ["--ppo.adam-betas", "nan", "0.9"], ["--ppo.lr", "inf"], ["--sft.lr", "1e400"],
    ["--seed", "9" * 30], ["--threads", "9" * 15], ["--checkpoint-every", "inf"]])
def test_numbers_that_no_optimizer_or_thread_can_have_are_refused_before_anything_is_written(tmp_path, capsys, flags):
    told = refused(capsys, "run", "--preset", "micro", "--out", str(tmp_path / "run"), *flags)
    assert told.startswith(f"ValueError: {flags[0]} is ") and ": take 0 to " in told or ": take 1 to 1024" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", ["--collect.max-new-tokens", "--ppo.max-new-tokens", "--ppo.ptx-length"])
def test_answers_longer_than_the_context_are_refused_before_a_step_is_trained(tmp_path, capsys, flag):
    told = refused(capsys, "run", "--preset", "micro", "--out", str(tmp_path), flag, "500")
    assert "asks for 500 tokens, the model's context is 128: lower it" in told
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


# Folders

def test_a_file_in_the_place_of_a_run_stays_and_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        told = refused(capsys, "run", "--preset", "micro", "--out", str(out))
        assert f"{out} cannot hold a run (" in told and told.endswith("): name another folder with --out\n")
    assert (tmp_path / "file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


CONTENTS = ["[]", "3", '"run"', "null", "true", "", '{"preset": "mi']


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", ["config.json", "stages.json"])
@pytest.mark.parametrize("command", [["run", "--preset", "micro", "--out"], ["chat", "--prompt", "Hi", "--run"]])
def test_a_damaged_file_of_a_run_is_named_with_the_way_out_and_nothing_is_written(tmp_path, capsys, command, name,
                                                                                   content):
    run = RunFolder(tmp_path)
    run.settle(micro, {"base": "Base"})
    run.record("base", {"title": "Base", "seconds": 1.0, "files": {}, "made_of": ""})
    (tmp_path / name).write_text(content)
    before = files(tmp_path)
    if name == "config.json":
        with pytest.raises(Damaged, match="config.json is not JSON of a run .* once more, which makes it again"):
            _ = run.config
    if command[0] == "run" or name == "stages.json":       # chat asks first whether a model is whole
        told = refused(capsys, *command, str(tmp_path))
        assert f"{tmp_path / name} is not JSON of a run (" in told
        assert told.endswith(f"remove it, and run with --out {tmp_path} once more, which makes it again\n")
    assert files(tmp_path) == before


@pytest.mark.parametrize("line", ["[]", "3", "null", '{"stage": "sft"}', '{"step": 1}'])
def test_a_row_of_metrics_of_another_kind_is_named_by_its_line(tmp_path, line):
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"stage": "sft", "step": 1}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"metrics.jsonl:2 is not JSON of a row \(expected a stage and a step\): "
                                         "remove that line"):
        read_metrics(log)


# The Hub

@pytest.fixture(params=["401", "403", "404", "429", "500"])
def refusing(request):
    """A hub that answers everything with one status, in many lines of its own."""
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"error": "Access to this is restricted.\nVisit the page.\nThank you"}).encode()
            self.send_response(int(request.param))
            code = {"401": "RepoNotFound", "403": "GatedRepo", "404": "RevisionNotFound"}.get(request.param, "")
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command == "GET" else b"")

        do_HEAD = do_POST = do_GET

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked(place: str, folder, **more: str) -> str:
    """What opening a base model says at the hub `place`, in a process of its own, within 5 seconds of asking."""
    program = ("import time, huggingface_hub\nfrom instructgpt_lite.data.hub import model_folder\n"
               "began = time.monotonic()\n"
               f"try: model_folder('people/model@{COMMIT}')\n"
               "except OSError as error: print(error)\nassert time.monotonic() - began < 5")
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": place, "HF_HOME": str(folder), **more}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def test_a_hub_that_refuses_a_base_model_is_one_sentence_with_the_offline_way(refusing, tmp_path):
    told = asked(refusing, tmp_path)
    assert told.count("\n") == 1 and refusing in told and "a folder with" in told
    assert "restricted" not in told and "unset HF_HUB_OFFLINE" not in told


def test_a_hub_that_is_not_there_is_one_sentence_with_the_offline_way(tmp_path):
    began = time.monotonic()
    told = asked("http://127.0.0.1:9", tmp_path)
    assert time.monotonic() - began < 30 and told.count("\n") == 1
    assert "cannot be reached" in told and "HF_HUB_OFFLINE=1" in told and "a folder with the files" in told
