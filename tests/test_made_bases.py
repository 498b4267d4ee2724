"""The base models that the package ships: what makes them writes a model and what it depends on."""

import functools
import json
from dataclasses import asdict, replace

import pytest
from bases import make

from instructgpt_lite.models.networks import Policy
from instructgpt_lite.presets import micro
from instructgpt_lite.world import world as worlds


def test_a_base_is_a_model_and_what_it_depends_on(tmp_path, monkeypatch):
    monkeypatch.setattr(worlds.World, "tokenizer", functools.cache(worlds.World.tokenizer))
    monkeypatch.setattr(worlds, "World", functools.cache(functools.partial(worlds.World, prompts=2_000)))
    out, config = tmp_path / "a" / "base", replace(
        micro, pretrain=replace(micro.pretrain, tokens=600, batch_size=8, length=32))
    for _ in range(2):                                   # the second time over the first
        assert "after 512 tokens" in make(config, out)
    made_by = json.loads((out / "made_by.json").read_text())
    assert made_by["pretrain"] == asdict(config.pretrain)
    assert made_by["architecture"] == asdict(micro.architecture) and made_by["world"] == micro.world
    assert Policy.load(out).model.config.n_embd == micro.architecture.width


def test_a_base_never_overwrites_a_folder_of_something_else(tmp_path):
    (tmp_path / "letters.txt").write_text("Dear Ada")
    with pytest.raises(ValueError, match="name another folder"):
        make(micro, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
