"""What a run on people's words cannot do, it says in a sentence that names the flag or the file."""

import json
from pathlib import Path

import pytest

from instructgpt_lite.__main__ import main
from instructgpt_lite.config import Architecture
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.run import sources


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "model"
    words = word_tokenizer(["ask", "say", "better", "worse", "Question", "Answer", ":", "\n"])
    Policy.new(Architecture(layers=1, width=8, heads=1, context=96), words, seed=0).save(path)
    return path


@pytest.fixture
def files(tmp_path):
    """Files by name: what they should be, and what they should not."""
    contents = {
        "shown": "".join(json.dumps({"prompt": f"ask {n}", "completion": "say"}) + "\n" for n in range(50)),
        "ranked": "".join(json.dumps({"prompt": f"say {n}", "chosen": "better", "rejected": "worse"}) + "\n"
                          for n in range(50)),
        "text": "ask say ask say", "page": "<!doctype html><html>", "empty": "", "blank": " \n"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {name: str(tmp_path / name) for name in contents}


def said(capsys, *flags: str) -> str:
    """What is printed to stderr by a run that ends with 1."""
    assert main(["run", *flags]) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


def test_offline_without_files_says_all_the_flags_it_needs(base, tmp_path, capsys):
    told = said(capsys, "--preset", "offline", "--out", str(tmp_path / "run"), "--base-model", str(base))
    assert "--data.demonstrations and --data.rankings and --data.text" in told


@pytest.mark.parametrize("changed, expected", [
    ({"demonstrations": "nowhere.jsonl"}, "nowhere.jsonl: no such file or folder"),
    ({"rankings": "nowhere.jsonl"}, "nowhere.jsonl: no such file or folder"),
    ({"text": "nowhere.txt"}, "nowhere.txt: no such file or folder"),
    ({"demonstrations": "ranked"}, "ranked:1: completion: got only the fields 'prompt', 'chosen', 'rejected'"),
    ({"rankings": "shown"}, "shown:1: completions: got only the fields 'prompt', 'completion'"),
    ({"rankings": "page"}, "page: got a web page, expected JSON, CSV or Parquet"),
    ({"rankings": "empty"}, "got 0 usable rows of 0"), ({"text": "blank"}, "data.text: got no words")])
def test_a_wrong_file_is_named_with_what_is_wrong(base, files, tmp_path, capsys, changed, expected):
    named = {"demonstrations": "shown", "rankings": "ranked", "text": "text"} | changed
    flags = [part for name, file in named.items() for part in (f"--data.{name}", files.get(file, file))]
    told = said(capsys, "--preset", "offline", "--out", str(tmp_path / "run"), "--base-model", str(base), *flags,
                *"--sft.demonstrations 4 --rl-init.demonstrations 4 --collect.prompts 4 --ppo.prompts 4".split(),
                *"--collect.max-new-tokens 4".split())
    assert expected in told


@pytest.mark.parametrize("flags, expected", [
    (["--base-model", ""], "base_model is empty: name a fetched model, a folder or one on the Hub"),
    (["--base-model", "nowhere"], "base_model: got 'nowhere', expected a folder, what was fetched, or NAME@COMMIT"),
    (["--base-model", "."], ": no tokenizer"),
    (["--base-model", "smollm2"], "smollm2 is not fetched yet: get it with\n  python -m instructgpt_lite fetch")])
def test_a_base_model_that_is_not_there_is_said_with_the_way_to_it(files, tmp_path, monkeypatch, capsys, flags,
                                                                   expected):
    monkeypatch.setenv("INSTRUCTGPT_LITE_CACHE", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    told = said(capsys, "--preset", "offline", "--out", str(tmp_path / "run"), "--data.demonstrations", files["shown"],
                "--data.rankings", files["ranked"], "--data.text", files["text"], *flags)
    assert expected in told


def test_what_is_yours_comes_before_what_can_be_fetched_under_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTRUCTGPT_LITE_CACHE", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "shakespeare").write_text("to be")
    assert sources.located("smollm2") == Path("smollm2")
    assert sources.file("text", "shakespeare") == Path("shakespeare")


@pytest.mark.parametrize("flag", ["--data.ratings", "--data.text"])
def test_reviews_from_a_file_that_is_not_there_says_what_can_be_fetched(base, files, tmp_path, capsys, flag):
    given = {"--data.ratings": files["page"], "--data.text": files["text"]} | {flag: "nowhere"}
    told = said(capsys, "--preset", "reviews", "--out", str(tmp_path / "run"), "--base-model", str(base),
                *[part for each in given.items() for part in each])
    assert f"{flag} nowhere: no such file; what can be fetched is called smollm2, ratings, shakespeare" in told


def test_a_template_without_a_place_for_the_prompt_is_refused(base, files, tmp_path, capsys):
    told = said(capsys, "--preset", "offline", "--out", str(tmp_path / "run"), "--base-model", str(base),
                "--data.demonstrations", files["shown"], "--data.rankings", files["ranked"], "--data.text",
                files["text"], "--template", "Question:", "--sft.demonstrations", "4", "--rl-init.demonstrations", "4",
                "--collect.prompts", "4", "--ppo.prompts", "4")
    assert "template is 'Question:': write {prompt} where the prompt goes, once" in told
