"""A finished model goes to the Hub whole, and nothing that could run goes with it. The Hub is a stub here."""

import base64
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from instructgpt_lite.__main__ import main
from instructgpt_lite.cli.push import check_files

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "README.md": b"# card\n"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    for name, data in FILES.items():
        (tmp_path / "model" / name).write_bytes(data)
    return tmp_path / "model"


@pytest.fixture
def hub():
    """A hub on 127.0.0.1 that takes everything; what it was sent is in `sent`."""
    class Hub(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.sent.append((self.path, self.headers["Authorization"], body))
            url = f"http://127.0.0.1:{self.server.server_port}/me/model"
            answer = {"url": url, "name": "me/model", "commitUrl": f"{url}/commit/0", "commitOid": "0" * 40,
                      "warnings": [], "errors": []}
            if "/preupload/" in self.path:
                answer = {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                                    for file in json.loads(body)["files"]]}
            data = json.dumps(answer if self.server.says == 200 else {"error": "no"}).encode()
            self.send_response(self.server.says)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    server.sent, server.says = [], 200
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def push(folder, hub, home, **more: str):
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home), **more}
    command = [sys.executable, "-m", "instructgpt_lite", "push", str(folder), "me/model"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def test_the_hub_receives_every_file_of_the_folder_byte_for_byte(folder, hub, tmp_path):
    done = push(folder, hub, tmp_path / "home", HF_TOKEN="hf_stub")
    assert done.returncode == 0, done.stderr
    commit = [body for path, _, body in hub.sent if "/commit/" in path][0]
    lines = [json.loads(line) for line in commit.splitlines()]
    assert {line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines if line["key"] == "file"} == FILES
    made = [json.loads(body) for path, _, body in hub.sent if path.endswith("/repos/create")][0]
    assert made.get("private") is True or made.get("visibility") == "private"
    assert "hf_stub" not in done.stdout + done.stderr


@pytest.mark.parametrize("says, why", [(401, "401"), (403, "403"), (404, "404"), (400, "BadRequest")])
def test_what_the_hub_refuses_is_one_sentence(says, why, folder, hub, tmp_path):
    hub.says = says
    done = push(folder, hub, tmp_path / "home", HF_TOKEN="hf_stub")
    told = done.stderr.strip()
    assert done.returncode == 1 and told.startswith("ValueError: the Hub refuses me/model (") and why in told
    assert told.endswith("name YOU/NAME, with a token that may write there") and "\n" not in told
    assert "hf_stub" not in told


def test_without_a_token_nothing_is_sent_and_a_sentence_says_how_to_get_one(folder, hub, tmp_path):
    done = push(folder, hub, tmp_path / "home")
    assert done.returncode == 1 and "hf auth login" in done.stderr and "Traceback" not in done.stderr
    assert hub.sent == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling.py", "deep/weights.pkl", ".env"])
def test_what_is_no_text_and_no_safetensors_is_refused(name, folder):
    check_files(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match="would be uploaded"):
        check_files(folder)


def test_a_link_is_refused(folder, tmp_path):
    (tmp_path / "secret.txt").write_text("x")
    (folder / "notes.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ValueError, match="notes.txt would be uploaded"):
        check_files(folder)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_refused(missing, folder):
    (folder / missing).unlink()
    with pytest.raises(ValueError, match="is no model"):
        check_files(folder)


def test_a_hub_out_of_reach_is_said_before_anything_is_sent(folder, monkeypatch, capsys):
    import huggingface_hub
    from huggingface_hub import constants
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_none")
    assert main(["push", str(folder), "me/model"]) == 1
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err
