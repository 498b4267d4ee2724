"""The model cards of a run: complete, read by the Hub's own reader, and no danger to what is verified."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from instructgpt_lite import presets
from instructgpt_lite.run.card import card, table, write_cards
from instructgpt_lite.run.folder import RunFolder

MODELS = ("base", "rl_init", "reward", "judge", "ppo_ptx")
FOUND = {"policies": {"ppo_ptx": {"gold": [0.5, 0.25, 0.75]}}, "reward": {"accuracy, gold": [0.875, 0.8125, 0.9375]}}


def folder_of(path: Path, config) -> RunFolder:
    """A run of that configuration whose models are a few bytes."""
    path.mkdir()
    folder = RunFolder(path)
    folder.settle(config, {name: name.upper() for name in (*MODELS, "evaluate")})
    for name in MODELS:
        (path / "models" / name).mkdir()
        (path / "models" / name / "model.safetensors").write_bytes(name.encode())
        folder.finish(name, 12.5, ())
    write_cards(folder, FOUND)
    return folder


@pytest.fixture
def tiny(tmp_path) -> RunFolder:
    return folder_of(tmp_path / "run", replace(presets.tiny, seed=7))


def test_every_finished_model_has_a_card_that_the_hub_reads(tiny):
    for name in MODELS:
        read = ModelCard.load(tiny.path / "models" / name / "README.md")
        wanted = "text-classification" if name in ("reward", "judge") else "text-generation"
        assert (read.data.license, read.data.pipeline_tag) == ("mit", wanted)


def test_a_line_end_in_a_value_breaks_no_table():
    rows = table({"template": "{prompt}\n", "seed": 7}).splitlines()
    assert rows[2:] == ["| template | {prompt}\\n |", "| seed | 7 |"]


def test_a_card_has_its_own_numbers_with_intervals_and_no_others(tiny):
    says = {name: (tiny.path / "models" / name / "README.md").read_text() for name in MODELS}
    assert "| gold | 0.5 (95 % interval 0.25 to 0.75) |" in says["ppo_ptx"] and "0.875" not in says["ppo_ptx"]
    assert "| accuracy, gold | 0.875 (95 % interval 0.8125 to 0.9375) |" in says["reward"]
    assert "Not measured." in says["base"]


def test_a_card_has_the_digest_of_its_weights_the_seeds_the_cost_and_what_departs_from_the_paper(tiny):
    text = (tiny.path / "models" / "ppo_ptx" / "README.md").read_text()
    assert f"| model.safetensors | {hashlib.sha256(b'ppo_ptx').hexdigest()} |" in text
    assert "7, added to that of each stage" in text and "| base | 12.5 |" in text
    assert "| ppo.beta | 0.1 |" in text                # the paper has 0.02
    assert "ppo.clip |" not in text                    # as the paper has it
    assert "made by code" in text and "Intended use and limits" in text and "torch 2" in text


def test_the_head_names_base_model_data_sets_and_licences_of_the_hub(tmp_path):
    folder = folder_of(tmp_path / "run", presets.gpt2)
    read = ModelCard.load(folder.path / "models" / "ppo_ptx" / "README.md")
    assert (read.data.license, read.data.base_model) == ("mit", "openai-community/gpt2")
    assert read.data.datasets == ["databricks/databricks-dolly-15k", "OpenAssistant/oasst1", "HuggingFaceFW/fineweb"]
    for licence in ("cc-by-sa-3.0", "apache-2.0", "odc-by"):
        assert f"(licence: {licence})" in read.text


def test_of_a_model_of_others_the_licence_is_unknown_and_not_guessed(tmp_path):
    folder = folder_of(tmp_path / "run", replace(presets.tiny, base_model="/somewhere/model"))
    assert ModelCard(card(folder, "ppo_ptx", FOUND)).data.license == "unknown"


def test_a_card_may_be_edited_and_lost_and_no_model_counts_as_damaged(tiny):
    path = tiny.path / "models" / "base" / "README.md"
    path.write_text("mine")
    tiny.check("base")
    path.unlink()
    tiny.check("base")
    saved = json.loads((tiny.path / "stages.json").read_text())
    assert list(saved["base"]["files"]) == ["models/base/model.safetensors"]
