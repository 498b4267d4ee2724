"""Numbers that no stage can work with are refused by their flag, before anything is read or written."""

import pytest

from instructgpt_lite.__main__ import main, parse
from instructgpt_lite.cli.numbers import check_numbers
from instructgpt_lite.presets import PRESETS


@pytest.mark.parametrize("flags", [
    ["plan", "--sft.batch-size", "0"], ["run", "--data.heldout", "1.5", "--preset", "offline"],
    ["chat", "--samples", "0"], ["evaluate", "--model", ".", "--max-new-tokens", "0"], ["reward", "--batch-size", "-2"],
    ["reward", "--trunk.layers", "0"]])
def test_a_number_out_of_its_limits_is_refused_by_every_command(capsys, flags):
    assert main(flags) == 1
    flag, value = flags[-4 if "--preset" in flags else -2:][:2]
    assert f"{flag} is {float(value):g}: take " in capsys.readouterr().err


@pytest.mark.parametrize("flag, value", [
    ("sft.batch-size", "-1"), ("sft.batch-size", "0"), ("sft.lr", "-1"), ("sft.lr", "nan"), ("sft.epochs", "0"),
    ("rl-init.demonstrations", "-1"), ("rl-init.mix-length", "0"), ("rl-init.pretraining-mix", "1"),
    ("collect.max-new-tokens", "0"), ("collect.K-min", "10"), ("collect.K-max", "3"), ("collect.temperature", "0"),
    ("reward.batch-size", "0"), ("ppo.inner-epochs", "0"), ("ppo.episodes", "100"), ("ppo.ema", "1.5"),
    ("ppo.kl-horizon", "0"), ("ppo.prompts", "-1"), ("evaluate.shots", "-1"), ("evaluate.text-rows", "0"),
    ("hardware.micro-batch", "-1"), ("threads", "0"), ("seed", "-1")])
def test_so_are_those_of_every_stage(tmp_path, capsys, flag, value):
    assert main(["run", f"--{flag}", value, "--out", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    named = "collect.K-min" if flag.startswith("collect.K") else flag
    assert told.startswith(f"ValueError: --{named} is ") and told.count("\n") == 1 and ": take " in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_has_such_a_number(preset):
    check_numbers(parse(["run", "--preset", preset]))
