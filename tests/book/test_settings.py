"""The table of hyperparameters says what config.py and presets.py say, field by field."""

import dataclasses
import re
from pathlib import Path

import pytest

from instructgpt_lite import config, presets
from instructgpt_lite.book import settings
from instructgpt_lite.book.settings import OURS, PAPER, SILENT

STAGES = [field.name for field in dataclasses.fields(config.Run)
          if dataclasses.is_dataclass(getattr(presets.tiny, field.name))]
BOTH = {"tiny": presets.tiny, "nano": presets.nano}


def found(stage: str) -> dict[str, settings.Setting]:
    return {each.name: each for each in settings.settings(stage, BOTH)}


@pytest.mark.parametrize("stage", STAGES)
def test_every_field_of_a_stage_is_there_with_a_reason(stage):
    names = [field.name for field in dataclasses.fields(getattr(presets.tiny, stage))]
    assert [each.name for each in settings.settings(stage, BOTH)] == names
    assert [name for name, each in found(stage).items() if len(each.reason) < 4] == []


def test_what_stands_beside_the_stages_is_there_too():
    assert list(found("")) == ["data", "world", "base_model", "template", "fixed_length",
                               "without_ptx", "seed", "threads", "checkpoint_every"]


def test_a_reason_is_the_comment_on_the_line_of_the_field():
    text = Path(config.__file__).read_text()
    ppo = text[text.index("class PPO"):]
    for name, each in found("ppo").items():
        assert re.search(rf"^    {name}: .*?# {re.escape(each.reason)}$", ppo, re.MULTILINE), name


def test_a_field_that_is_declared_again_has_the_new_reason_and_an_inherited_one_the_old():
    sft, start = found("sft"), found("rl_init")
    assert "silent" in start["dropout"].reason and "silent" not in sft["dropout"].reason
    assert start["mix_length"].reason == sft["mix_length"].reason


@pytest.mark.parametrize("stage, name, source", [
    ("ppo", "beta", PAPER), ("ppo", "lam", SILENT), ("ppo", "seed", OURS), ("sft", "clip_norm", SILENT),
    ("rl_init", "dropout", SILENT), ("sft", "dropout", PAPER), ("reward", "matrix_lr", OURS),
    ("pretrain", "lr", OURS), ("architecture", "layers", OURS), ("", "threads", OURS)])
def test_whose_number_a_default_is(stage, name, source):
    assert found(stage)[name].source == source


def test_a_departure_is_a_value_that_is_not_the_default():
    assert all(value != found("ppo")["beta"].default for value in found("ppo")["beta"].values.values())
    assert found("sft")["epochs"].values == {name: run.sft.epochs for name, run in BOTH.items()}


def test_the_table_marks_departures_and_what_is_not_the_papers():
    rows = settings.compared("ppo", BOTH).data.splitlines()
    cells = {row.split("`")[1]: [cell.strip() for cell in row.split("|")[2:5]] for row in rows[2:]}
    assert cells["beta"] == ["0.02", f"**{presets.tiny.ppo.beta}**", f"**{presets.nano.ppo.beta}**"]
    assert cells["lam"] == ["*0.95*", "0.95", "0.95"]
    assert cells["episodes"] == ["256,000", *(f"**{run.ppo.episodes:,}**" for run in BOTH.values())]
    assert all(row.count("|") == 5 for row in rows)


def test_what_a_field_is_comes_below_its_name():
    beta = next(row for row in settings.compared("ppo", BOTH).data.splitlines() if "`beta`" in row)
    assert beta.split("|")[1].strip() == f"`beta`<br><small>{found('ppo')['beta'].reason}</small>"


@pytest.mark.parametrize("value, text", [
    (1e-8, "1e-8"), (9.65e-6, "9.65e-6"), (4e-5, "4e-5"), (0.01, "0.01"), (27.8, "27.8"), (8.0, "8"), (0.0, "0"),
    (256_000, "256,000"), (True, "True"), ((0.9, 0.95), "0.9, 0.95"), ("tiny", "tiny")])
def test_numbers_are_written_as_people_write_them(value, text):
    assert settings.written(value) == text.replace("-", "\u2011")
