"""The command line: what it prints, and what it leaves to be read again."""

import functools
import io
import json
import re
import signal
import subprocess
import sys
import unicodedata
from dataclasses import replace

import pytest

from instructgpt_lite.__main__ import main, parse
from instructgpt_lite.cli import terminal
from instructgpt_lite.config import Architecture
from instructgpt_lite.data.tokenizers import word_tokenizer, words_of
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.presets import micro
from instructgpt_lite.run.folder import RunFolder
from instructgpt_lite.training.loop import generator
from instructgpt_lite.world import world as worlds
from instructgpt_lite.world.facts import state

ARCHITECTURE = Architecture(layers=1, width=8, heads=1, context=64)
WORDS = ["Ada", "Kai", "Elmdale", "lives", "in", "the", "rain", ".", "\n"]
SMALL = functools.partial(worlds.World, prompts=2_000)


def run_of(folder, words: list[str], **seeds: int):
    """A run directory with models of random weights, large ones, so that each says something else."""
    config = replace(micro, collect=replace(micro.collect, max_new_tokens=9))
    run = RunFolder(folder)
    run.settle(config, dict.fromkeys(seeds, ""))
    for name, seed in seeds.items():
        policy = Policy.new(ARCHITECTURE, word_tokenizer(words), seed)
        policy.load_state_dict({key: 20 * weight for key, weight in policy.state_dict().items()})
        run.save(name, policy)
        run.finish(name, 1.0, ())
    return folder


@pytest.fixture
def run(tmp_path):
    return run_of(tmp_path, WORDS, base=0, sft=1, ppo_ptx=2)


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")


def test_help_costs_no_torch():
    program = """
import sys
from instructgpt_lite.__main__ import main
for command in ("run", "chat", "evaluate", "push", "reward"):
    try:
        main([command, "--help"])
    except SystemExit as end:
        assert not end.code
print("loaded:", {"torch", "transformers", "matplotlib", "pandas", "numpy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded: set()\n")


@pytest.mark.parametrize("command", ["chat", "evaluate"])
def test_every_flag_has_a_help_text(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    told = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    flags = re.findall(r"(--[\w.-]+)((?: [A-Z]+|, --no-\S+| \{.*?\})*)(.*?)\((?:default|required)", told)
    assert len(flags) >= 5
    assert [flag for flag, _, text in flags if not re.search("[a-z]{2,}", text)] == []


def test_a_flag_that_is_not_there_is_answered_with_one_that_is(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "--ppo.betta", "0"])
    assert end.value.code == 2 and "--ppo.beta" in capsys.readouterr().err


def test_every_number_of_the_configuration_is_a_flag():
    flags = parse(["run", "--preset", "micro", "--ppo.beta", "0.5", "--ppo.no-whiten", "--seed", "3"])
    assert flags.config == replace(micro, ppo=replace(micro.ppo, beta=0.5, whiten=False), seed=3)


def test_a_command_or_preset_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit) as end:
        main(["chta"])
    assert end.value.code == 2 and "run, chat, evaluate, fetch, grade, plan, push, reward" in capsys.readouterr().err
    assert main(["run", "--preset", "huge"]) == 1 and "tiny, nano, micro" in capsys.readouterr().err


def test_chat_shows_each_models_answer_in_its_own_column(run, capsys):
    assert main(["chat", "--run", str(run), "--prompt", "Ada lives in the rain.", "--seed", "5"]) == 0
    head, rule, *lines = capsys.readouterr().out.splitlines()
    said = []
    places = [head.index(name) for name in ("base", "sft", "ppo_ptx")]
    assert set(rule) == {"-", " "}
    for name, start, end in zip(("base", "sft", "ppo_ptx"), places, [*places[1:], None]):
        policy = Policy.load(run / "models" / name)
        drawn = policy.sample(["Ada lives in the rain."], max_new_tokens=9, generator=generator(5, "chat", 0))
        said.append(" ".join(line[start:end].strip() for line in lines).split())
        assert said[-1] == policy.texts(drawn)[0].split()
    assert said[0] != said[1] != said[2] != said[0]


def test_another_seed_gives_other_answers_and_the_same_seed_the_same(run, capsys):
    said = []
    for seed in ("1", "1", "2"):
        main(["chat", "--run", str(run), "--prompt", "the rain", "--samples", "3", "--seed", seed])
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
    assert len(said[0].strip().split("\n\n")) == 3


def test_chat_reads_prompts_to_the_end_and_passes_over_what_it_cannot_answer(run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Ada\n\n" + "rain " * 60 + "\nKai\n"))
    assert main(["chat", "--run", str(run)]) == 0
    told = capsys.readouterr().out
    assert told.count("ppo_ptx") == 2 and "61 tokens" in told and "context of 64" in told


def test_who_asks_the_same_again_gets_another_answer(run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Kai\nKai\n"))
    main(["chat", "--run", str(run)])
    first, again = capsys.readouterr().out.strip().split("\n\n")
    main(["chat", "--run", str(run), "--prompt", "Kai"])
    assert first == capsys.readouterr().out.strip() != again


def test_words_that_the_models_do_not_know_are_named_once(run, capsys):
    main(["chat", "--run", str(run), "--prompt", "Zorblax lives in Kyoto. Zorblax!"])
    assert capsys.readouterr().out.startswith("The models do not know: Zorblax, Kyoto, !\n")


def test_no_control_character_of_a_model_or_a_prompt_reaches_the_terminal(tmp_path, capsys):
    run = run_of(tmp_path, ["\x1b", "\x07", "\x9b", "\u202e", "\r"], base=0, sft=1)
    main(["chat", "--run", str(run), "--prompt", "\x1b[31m \x08 \u202e", "--samples", "4"])
    told = capsys.readouterr().out
    assert "\ufffd" in told
    assert {sign for sign in told if unicodedata.category(sign)[0] == "C"} == {"\n"}


def test_a_narrow_terminal_gets_answers_one_below_the_other(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    main(["chat", "--run", str(run), "--prompt", "Kai"])
    told = capsys.readouterr().out
    assert [line.split(":")[0] for line in told.splitlines() if ":" in line] == ["base", "sft", "ppo_ptx"]
    assert max(map(len, told.splitlines())) <= 40


def test_columns_keep_every_word_and_the_width():
    words = [f"w{n}" for n in range(50)]
    told = terminal.side_by_side(["one", "two"], [[" ".join(words), "x"], ["a\nb", "y" * 70]], 60)
    assert max(map(len, told.splitlines())) <= 60
    assert re.findall(r"w\d+", told) == words and told.count("y") == 70
    assert [line for line in told.splitlines() if line[:1] in ("a", "b")] == [
        letter + " " * 30 + "y" * 29 for letter in "ab"]


def test_where_no_run_is_chat_says_which_command_makes_one(tmp_path, capsys):
    assert main(["chat", "--run", str(tmp_path / "none")]) == 1
    command = f"python -m instructgpt_lite run --preset tiny --out {tmp_path / 'none'}"
    assert command in capsys.readouterr().err


def test_chat_with_a_run_that_has_only_a_base_shows_the_base(tmp_path, capsys):
    main(["chat", "--run", str(run_of(tmp_path, WORDS, base=0)), "--prompt", "Kai"])
    assert capsys.readouterr().out.split()[0] == "base"


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder with a random model that knows some words of a small world."""
    monkeypatch.setattr(worlds, "World", SMALL)
    said = ["I am not sure. You are stupid. Please close the gate. The opposite of big is small."]
    Policy.new(ARCHITECTURE, word_tokenizer(words_of(said)), seed=0).save(tmp_path)
    return str(tmp_path)


def test_evaluate_gives_the_mean_gold_score_of_its_answers(model, capsys):
    assert main(["evaluate", "--model", model, "--prompts", "40", "--max-new-tokens", "8", "--json"]) == 0
    told, world = json.loads(capsys.readouterr().out), SMALL(0)
    gold, cases = [], [name for name in told["measures"] if name.startswith("gold, ")]
    for prompt, answer in zip(world.test, told["answers"]):
        assert (answer["prompt"], answer["category"]) == (prompt.prompt, prompt.category)
        gold.append(world.gold(prompt, answer["answer"]).gold)
    assert [answer["gold"] for answer in told["answers"]] == gold and len(gold) == 40
    assert told["measures"]["gold"]["mean"] == pytest.approx(sum(gold) / 40, rel=1e-12)
    assert sum(told["measures"][name]["prompts"] for name in cases) == 40


def test_evaluate_counts_answers_that_are_false_and_answers_that_are_rude(model, capsys, monkeypatch):
    fact = next(fact for fact in SMALL(0).facts if fact.rumour)
    rumour = state(fact.subject, fact.kind, fact.rumour)
    said = [rumour] * 3 + ["Go away."] * 2 + [fact.truth] * 5
    monkeypatch.setattr(Policy, "texts", lambda policy, rollout: said)
    main(["evaluate", "--model", model, "--prompts", "10", "--max-new-tokens", "8", "--json"])
    measures = json.loads(capsys.readouterr().out)["measures"]
    assert (measures["misled"]["mean"], measures["rude"]["mean"]) == (0.3, 0.2)


def test_evaluate_prints_a_line_for_each_use_case(model, capsys):
    main(["evaluate", "--model", model, "--prompts", "40", "--max-new-tokens", "8"])
    lines = capsys.readouterr().out.splitlines()
    asked = {prompt.category for prompt in SMALL(0).test[:40]}
    assert {line[6:24].strip() for line in lines if line.startswith("gold, ")} == asked
    assert all(re.search(r"\d  \d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)$", line) for line in lines
               if line.startswith("gold"))


def test_evaluate_names_what_is_not_there(model, tmp_path, capsys):
    assert main(["evaluate", "--model", str(tmp_path / "none")]) == 1
    assert "none: no config.json, so no model" in capsys.readouterr().err
    assert main(["evaluate", "--model", model, "--prompts", "999999"]) == 1
    assert f"there are 1 to {len(SMALL(0).test)} to ask" in capsys.readouterr().err


def test_evaluate_may_ask_every_prompt_there_is(model, capsys):
    count = len(SMALL(0).test)
    assert main(["evaluate", "--model", model, "--prompts", str(count), "--max-new-tokens", "1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["answers"]) == count


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_says_how_to_go_on(number, status, tmp_path, monkeypatch, capsys):
    from instructgpt_lite.run import stages as runs

    def stopping(config, folder, stopping, mirror):
        RunFolder(folder).settle(config, {"sft": "SFT"})
        signal.raise_signal(number)
        yield {"stage": "sft", "step": 1, "steps": 9, "loss": 1.0}
        assert stopping()
        raise runs.Stopped("stopped in sft after step 1")

    monkeypatch.setattr(runs, "run", stopping)
    before = signal.getsignal(signal.SIGINT)
    words = ["--preset", "micro", "--ppo.beta", "0.5", "--out", str(tmp_path)]
    assert main(["run", *words]) == status
    assert "python -m instructgpt_lite run " + " ".join(words) in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) == before and (tmp_path / "report.html").exists()
