"""Bytes, columns, folders and templates of other kinds: each is refused by name, with the way out."""

import io
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from instructgpt_lite.__main__ import main
from instructgpt_lite.config import Architecture, Hardware
from instructgpt_lite.data.hub import read_hub
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.records import DataError, Prompt, Ranking
from instructgpt_lite.data.reviews import reviews
from instructgpt_lite.data.tokenizers import EOS, word_tokenizer
from instructgpt_lite.judging import policies
from instructgpt_lite.models.hardware import device_of
from instructgpt_lite.models.loading import open_language_model
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.presets import micro
from instructgpt_lite.presets import reviews as preset
from instructgpt_lite.run.folder import RunFolder
from instructgpt_lite.run.sources import located

WORDS = ["Kai", "lives", "\n"]


@pytest.fixture
def model(tmp_path):
    """A folder with a model of random weights."""
    Policy.new(Architecture(layers=1, width=8, heads=1, context=64), word_tokenizer(WORDS), 0).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("frame", ["$A", f"{EOS} $A", f"{EOS} $A {EOS}"])
def test_the_line_end_of_a_few_shot_answer_is_that_of_the_text_whatever_frames_texts(frame):
    tokenizer, settings = word_tokenizer(WORDS), {}
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=frame, special_tokens=[(EOS, 0)])
    assert len(tokenizer.encode("\n")) == len(frame.split())
    policy = SimpleNamespace(tokenizer=tokenizer, context=60, texts=lambda rollout: ["Kai"],
                             sample=lambda pages, **given: settings.update(given))
    source = SimpleNamespace(gold=None, few_shot=lambda prompt, shots, rng: prompt.prompt)
    policies.answer_few_shot(policy, source, [Prompt("Kai", "chat")], 5, shots=1)
    assert settings["eos"] == tokenizer.convert_tokens_to_ids("\n")


def test_a_tokenizer_that_begins_texts_and_has_no_line_end_ends_no_few_shot_answer():
    tokenizer, settings = word_tokenizer(WORDS), {}
    policy = SimpleNamespace(context=60, texts=lambda rollout: ["Kai"],
                             sample=lambda pages, **given: settings.update(given))
    policy.tokenizer = SimpleNamespace(encode=lambda text, add_special_tokens=True: [0] * add_special_tokens + (
        tokenizer.encode(text.strip(), add_special_tokens=False)))
    source = SimpleNamespace(gold=None, few_shot=lambda prompt, shots, rng: prompt.prompt)
    policies.answer_few_shot(policy, source, [Prompt("Kai", "chat")], 5, shots=1)
    assert settings["eos"] == ()


@pytest.mark.parametrize("data", [b"Caf\xe9 au lait", b"\xff\xfeC\x00a\x00f\x00"])
def test_a_text_beside_ratings_that_is_not_utf8_is_named(study, tmp_path, data):
    text = tmp_path / "text.txt"
    text.write_bytes(data)
    with pytest.raises(DataError, match="text.txt: got no text .* expected UTF-8, plain or packed"):
        reviews(replace(preset, seed=0), study, text)


@pytest.mark.parametrize("name", ["hh.py", "LICENSE.bin"])
def test_a_folder_with_a_script_or_without_data_is_no_dataset_and_runs_nothing(tmp_path, monkeypatch, name):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "hh"
    folder.mkdir()
    (folder / name).write_text("raise SystemExit('ran')")
    with pytest.raises(DataError, match="hh: no dataset could be read .*check name, revision and subset"):
        read_hub(str(folder), Ranking)


@pytest.mark.parametrize("device", ["mps", "cuda:2", "cuda:7", "xpu"])
def test_a_device_that_is_not_here_is_refused(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=f"hardware.device is {device}, but torch sees no such GPU: take auto, or cpu"):
        device_of(Hardware(device=device))
    assert device_of(Hardware(device="cuda:1")) == torch.device("cuda", 1)


def test_a_line_of_chat_with_bytes_that_are_no_text_is_told_and_the_next_is_answered(tmp_path, model, monkeypatch,
                                                                                     capsys):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.settle(replace(micro, collect=replace(micro.collect, max_new_tokens=4)), {"base": ""})
    run.save("base", Policy.load(model))
    run.finish("base", 1.0, ())
    lines = io.TextIOWrapper(io.BytesIO(b"Ka\xff\xfe\nKai\n"), "utf-8", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdin", lines)
    assert main(["chat", "--run", str(run.path)]) == 0
    told = capsys.readouterr().out
    assert "text without NUL and lone surrogates" in told and told.count("base") == 1
    assert told.isprintable() or all(sign.isprintable() or sign == "\n" for sign in told)


@pytest.mark.parametrize("info", [{}, {"post": ""}, {"post": None, "title": ""}, {"id": "t3"}])
def test_two_summaries_of_no_post_are_refused(tmp_path, info):
    row = {"info": info, "summaries": [{"text": "a"}, {"text": "b"}], "choice": 0}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match="choice: got .* of two, of a post or an article"):
        read_jsonl(tmp_path / "rows.jsonl", Ranking)


@pytest.mark.parametrize("template", [3, ["{prompt}"], True])
def test_a_prompt_template_of_a_folder_that_is_no_text_is_refused(model, template):
    settings = json.loads((model / "config.json").read_bytes())
    (model / "config.json").write_text(json.dumps(settings | {"prompt_template": template}))
    with pytest.raises(ValueError, match="template"):
        Policy.load(model)


def test_a_file_in_the_place_of_a_base_model_is_refused(model):
    with pytest.raises(ValueError, match="base_model: got .*config.json', expected a folder, what was fetched"):
        located(str(model / "config.json"))
    with pytest.raises(ValueError, match="config.json"):
        open_language_model(model / "config.json")
