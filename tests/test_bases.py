"""The shipped base models: small, able to read, and what the command that makes them makes."""

import json

import pytest

from instructgpt_lite.judging.base_skills import base_skills
from instructgpt_lite.judging.policies import pretraining_loss
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.run import BASES, made_by
from instructgpt_lite.workshop import Workshop


@pytest.mark.parametrize("name", ["tiny", "nano"])
def test_it_belongs_to_its_preset_and_is_at_most_two_megabytes(name):
    assert json.loads((BASES / name / "made_by.json").read_text()) == made_by(PRESETS[name])
    files = {path.name: path.stat().st_size for path in (BASES / name).iterdir()}
    assert sum(files.values()) <= 2 * 2**20
    assert not [file for file in files if file.endswith((".bin", ".pt", ".pkl"))]


@pytest.mark.parametrize("name", ["tiny", "nano"])
def test_it_reads_its_context(name, tmp_path):
    """Look-up, extraction and summary in documents never seen, each right in nine of ten."""
    shop = Workshop(PRESETS[name], tmp_path)
    found = base_skills(Policy.load(BASES / name), shop.world, count=200)
    assert {what: found[what].mean for what in ("look-up", "extraction", "summary") if found[what].mean < 0.9} == {}
    assert found["copying"].mean > 0.8 and found["values after Almanac"].mean > 0.9


@pytest.mark.parametrize("name", ["nano", pytest.param("tiny", marks=pytest.mark.slow)])
def test_the_command_makes_it_again(name, tmp_path):
    """Pretrained from scratch, the loss on fresh text is the shipped one's within 0.02 nats a token."""
    shop = Workshop(PRESETS[name], tmp_path)
    again, rows = shop.stage_base(None)
    for _ in rows:
        pass
    corpus = shop.world.corpus(again.tokenizer)
    shipped = pretraining_loss(Policy.load(BASES / name), corpus).mean
    assert pretraining_loss(again, corpus).mean == pytest.approx(shipped, abs=0.02)
