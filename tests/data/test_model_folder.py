"""A base model from the Hub, which is a stub on 127.0.0.1 here: without pickles, code and names that lead out."""

import json
import socket
import time
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from huggingface_hub import constants

from instructgpt_lite.data import hub as sources
from instructgpt_lite.data.hub import model_folder

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
FILES = {"config.json": b'{"model_type": "gpt2"}', "model.safetensors": b"weights", "vocab.json": b"{}",
         "merges.txt": b"#version: 0.2\n", "pytorch_model.bin": b"a pickle", "modeling.py": b"import os"}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one model; `listed` are names that it says it has, `asked` the paths it was asked for."""
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            name = self.path.partition(f"/resolve/{COMMIT}/")[2]
            listed = ([{"type": "file", "oid": sha1(data).hexdigest(), "size": len(data), "path": each}
                       for each, data in self.server.files.items()] if "/tree/" in self.path else
                      {"id": "people/model", "sha": COMMIT, "siblings": [{"rfilename": each} for each in
                                                                         self.server.files]})
            body = self.server.files.get(name, b"") if name else json.dumps(listed).encode()
            missing = "people/model" not in self.path or name and name not in self.server.files
            if missing:
                body = b'{"error": "Repository not found"}'
            self.send_response(404 if missing else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Error-Code", "RepoNotFound") if missing else None
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.files, server.asked = dict(FILES), []
    Thread(target=server.serve_forever, daemon=True).start()
    address(monkeypatch, tmp_path, server.server_port)
    yield server
    server.shutdown()
    server.server_close()


def address(monkeypatch, tmp_path, port: int) -> None:
    """The Hub is at a port of this machine, and the cache is empty."""
    place = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", place)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", place + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_what_a_model_needs_is_fetched_and_neither_pickles_nor_code(hub):
    folder = model_folder(f"people/model@{COMMIT}")
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {name: FILES[name] for name in ("config.json", "model.safetensors", "vocab.json", "merges.txt")}
    assert not [path for path in hub.asked if path.endswith((".bin", ".py"))]


def test_what_was_fetched_once_is_there_without_a_hub(hub, monkeypatch):
    folder = model_folder(f"people/model@{COMMIT}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert model_folder(f"people/model@{COMMIT}") == folder


@pytest.mark.parametrize("name", ["people/model", "people/model@main", f"people/model@{COMMIT[:12]}", "@", ""])
def test_without_a_commit_nothing_is_asked_for(hub, name):
    with pytest.raises(ValueError, match="base_model: got .* NAME@COMMIT with the 40 signs of a commit"):
        model_folder(name)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["../../etc", "/etc", "people/../../etc", "people\\model"])
def test_a_name_that_leads_elsewhere_is_refused(hub, name):
    with pytest.raises(ValueError, match="[Rr]epo id"):
        model_folder(f"{name}@{COMMIT}")


@pytest.mark.parametrize("name", ["../../../../outside.json", "/outside.json", "deep/../../../../outside.json"])
def test_a_file_that_would_lie_outside_the_folder_is_not_written(hub, tmp_path, name):
    hub.files[name] = b"{}"
    with pytest.raises(ValueError, match="Invalid filename .*outside.json"):
        model_folder(f"people/model@{COMMIT}")
    inside = (tmp_path / "cache").resolve()
    assert [path for path in tmp_path.rglob("outside.json") if inside not in path.resolve().parents] == []
    assert not (tmp_path.parent / "outside.json").exists()


def test_a_model_that_the_hub_has_not_is_a_sentence(hub):
    with pytest.raises(OSError, match="people/other"):
        model_folder(f"people/other@{COMMIT}")


def test_a_hub_that_does_not_answer_is_said_within_seconds_with_the_offline_way(monkeypatch, tmp_path):
    silent = socket.create_server(("127.0.0.1", 0))
    address(monkeypatch, tmp_path, silent.getsockname()[1])
    monkeypatch.setattr(sources, "PATIENCE", 0.2)
    began = time.monotonic()
    with silent, pytest.raises(ConnectionError, match="cannot be reached .* HF_HUB_OFFLINE=1 .* a folder"):
        model_folder(f"people/model@{COMMIT}")
    assert time.monotonic() - began < 5


def test_a_hub_whose_front_page_alone_answers_is_said_within_seconds(hub, monkeypatch):
    answer = hub.RequestHandlerClass.do_GET

    def failing(handler):
        if handler.path == "/":
            return answer(handler)
        handler.send_error(503)

    monkeypatch.setattr(hub.RequestHandlerClass, "do_GET", failing)
    began = time.monotonic()
    with pytest.raises(ConnectionError, match="cannot be reached .Service Unavailable.* HF_HUB_OFFLINE=1"):
        model_folder(f"people/model@{COMMIT}")
    assert time.monotonic() - began < 5


def test_offline_a_model_outside_the_cache_is_an_error_at_once(monkeypatch, tmp_path):
    address(monkeypatch, tmp_path, 1)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    began = time.monotonic()
    with pytest.raises(FileNotFoundError, match="model@607a.* is not in the cache: unset .* or give a folder"):
        model_folder(f"people/model@{COMMIT}")
    assert time.monotonic() - began < 5
