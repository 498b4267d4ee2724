"""The shipped base models: small, able to read, and what the command that makes them makes."""

import shutil

import pytest

from instructgpt_lite.judging.base_skills import base_skills
from instructgpt_lite.judging.policies import pretraining_loss
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.run.folder import BASES, shipped_base
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.world.world import World


@pytest.mark.parametrize("name", ["tiny", "nano"])
def test_it_belongs_to_its_preset_and_is_at_most_two_megabytes(name):
    assert shipped_base(PRESETS[name]) == BASES / name
    files = {path.name: path.stat().st_size for path in (BASES / name).iterdir()}
    assert sum(files.values()) <= 2 * 2**20
    assert not [file for file in files if file.endswith((".bin", ".pt", ".pkl"))]


@pytest.mark.parametrize("name", ["tiny", "nano"])
def test_it_reads_its_context(name):
    """Look-up, extraction and summary in documents never seen, each right in nine of ten."""
    found = base_skills(Policy.load(BASES / name), World(PRESETS[name].world), count=200)
    assert {what: found[what].mean for what in ("look-up", "extraction", "summary") if found[what].mean < 0.9} == {}
    assert found["copying"].mean > 0.8 and found["values after Almanac"].mean > 0.9


@pytest.mark.parametrize("name", ["nano", pytest.param("tiny", marks=pytest.mark.slow)])
def test_the_command_makes_it_again(name):
    """Pretrained from scratch, the loss on fresh text is the shipped one's within 0.02 nats a token."""
    preset, world = PRESETS[name], World(PRESETS[name].world)
    again = Policy.new(preset.architecture, world.tokenizer(), preset.pretrain.seed)
    corpus = world.corpus(again.tokenizer)
    for _ in pretrain(again, corpus, preset.pretrain):
        pass
    shipped = pretraining_loss(Policy.load(BASES / name), corpus).mean
    assert pretraining_loss(again, corpus).mean == pytest.approx(shipped, abs=0.02)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_shipped_base_with_a_flipped_bit_is_named_and_not_taken(file, tmp_path, monkeypatch):
    monkeypatch.setattr("instructgpt_lite.run.folder.BASES", tmp_path)
    shutil.copytree(BASES / "nano", tmp_path / "nano")
    assert shipped_base(PRESETS["nano"]) == tmp_path / "nano"
    content = bytearray((tmp_path / "nano" / file).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "nano" / file).write_bytes(content)
    with pytest.warns(UserWarning, match=f"{file} is not what the package came with"):
        assert shipped_base(PRESETS["nano"]) is None
