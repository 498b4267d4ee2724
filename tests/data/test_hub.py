"""Datasets in the Hub's own layout and columns, written here by `datasets` itself; nothing is downloaded."""

import json
import socket
import time
from functools import partial
from pathlib import Path

import datasets
import pytest

from instructgpt_lite.data import hub as sources
from instructgpt_lite.data.hub import read_hub
from instructgpt_lite.data.records import DataError, Demonstration, Ranking

hub_rankings = partial(read_hub, kind=Ranking)
hub_demonstrations = partial(read_hub, kind=Demonstration)
COMMIT = "09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Writes rows as Parquet in the Hub's layout, and returns the folder's name."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()

    def write(*rows, split="train", folder="data"):
        path = tmp_path / "hub" / folder
        path.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(list(rows)).to_parquet(path / f"{split}-00000-of-00001.parquet")
        return str(tmp_path / "hub")

    return write


def test_a_helpful_harmless_dialogue_is_split_after_its_last_assistant(hub):
    said = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How are you?\n\nAssistant:"
    name = hub({"chosen": said + " Fine.", "rejected": said + " Go away."})
    assert hub_rankings(name) == [Ranking(said, (" Fine.", " Go away."), (1, 2))]


def test_where_neither_is_preferred_the_row_is_left_out_with_a_warning(hub):
    row = {"instruction": "Why?", "input": "", "output_1": "a", "output_2": "b", "preference": "2"}
    name = hub(row, row | {"preference": "tie"})
    with pytest.warns(UserWarning, match="all responses tie: left out in 1 rows"):
        assert hub_rankings(name) == [Ranking("Why?", ("a", "b"), (2, 1))]


def test_ranked_answers_keep_all_K_and_their_ties(hub):
    ranks = (2.0, 1.0, 2.0, 7.0)
    answers = [{"answer": text, "model": "m", "rank": rank} for text, rank in zip("abcd", ranks)]
    assert hub_rankings(hub({"prompt": "Q", "answers": answers, "turns": 1})) == [
        Ranking("Q", ("a", "b", "c", "d"), (2, 1, 2, 3))]


def test_scored_completions_rank_from_the_highest(hub):
    scores = (3.0, 8.5, 5.0)
    completions = [{"response": text, "overall_score": score} for text, score in zip("abc", scores)]
    name = hub({"instruction": "Q", "completions": completions})
    assert hub_rankings(name) == [Ranking("Q", ("a", "b", "c"), (3, 1, 2))]


def test_a_choice_of_two_summaries_is_a_pair_of_whoever_chose(hub):
    """openai/summarize_from_feedback, comparisons; a column of dicts has every key in every row."""
    about = {"id": "t3_x", "post": "P", "title": "T", "subreddit": "r", "site": None, "article": None}
    row = {"info": about, "summaries": [{"text": " a", "policy": "sup2", "note": None},
                                        {"text": " b", "policy": "ref", "note": None}],
           "choice": 1, "worker": "W", "batch": "batch3", "split": "train", "extra": {"confidence": None}}
    asked = "SUBREDDIT: r\n\nTITLE: T\n\nPOST: P\n\nTL;DR:"
    assert hub_rankings(hub(row)) == [Ranking(asked, (" a", " b"), (2, 1), labeler="W")]


def test_a_missing_score_is_named(hub):
    completions = [{"response": "a", "overall_score": 1.0}, {"response": "b", "overall_score": None}]
    with pytest.raises(DataError, match=r"train, row 1: completions\[1\].overall_score: got None"):
        hub_rankings(hub({"instruction": "Q", "completions": completions}))


def test_bad_rows_are_all_named_or_dropped_on_demand(hub):
    good = {"prompt": "Q", "chosen": "a", "rejected": "b", "score_chosen": 9.5}
    name = hub(good, good | {"rejected": "a"}, good | {"prompt": " "})
    with pytest.raises(DataError, match="2 of 3 rows are bad") as caught:
        hub_rankings(name)
    assert "train, row 2: rejected: got the same as chosen" in caught.value.faults[0]
    assert "train, row 3: prompt: got no words" in caught.value.faults[1]
    with pytest.warns(UserWarning, match="bad and left out: 2 of 3 rows, such as .*train, row 2"):
        assert hub_rankings(name, drop_bad=True) == [Ranking("Q", ("a", "b"), (1, 2))]
    with pytest.raises(DataError, match="nothing was read"):
        hub_rankings(hub(good | {"rejected": "a"}), drop_bad=True)


def test_subset_and_split_choose_the_files(hub):
    row = {"prompt": "Q", "chosen": "a", "rejected": "b"}
    hub(row, folder="easy")
    name = hub(row | {"prompt": "R"}, folder="hard", split="test")
    named = [f"- config_name: {each}\n  data_dir: {each}\n" for each in ("easy", "hard")]
    (Path(name) / "README.md").write_text("---\nconfigs:\n" + "".join(named) + "---\n")
    assert [ranking.prompt for ranking in hub_rankings(name, subset="easy")] == ["Q"]
    assert [ranking.prompt for ranking in hub_rankings(name, subset="hard", split="test")] == ["R"]
    with pytest.raises(ValueError, match="nonsense"):
        hub_rankings(name, subset="hard", split="nonsense")


@pytest.mark.filterwarnings("ignore:.*not read")
@pytest.mark.parametrize("row", [
    {"prompt": "Q\n\nin full", "completion": "A", "score": 1.5},
    {"prompt": "Q\n\nin full", "label": "A"},
    {"instruction": "Q", "input": "in full", "output": "A", "text": "..."},
    {"instruction": "Q", "context": "in full", "response": "A", "category": None},
    {"messages": [{"role": "user", "content": "Q\n\nin full"}, {"role": "assistant", "content": "A"}]}])
def test_demonstrations_come_in_the_columns_of_five_datasets(hub, row):
    assert hub_demonstrations(hub(row)) == [Demonstration("Q\n\nin full", "A")]


def test_json_lines_in_a_folder_are_read_like_parquet(hub, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps({"instruction": "Q", "input": "", "output": "A"}) + "\n")
    assert hub_demonstrations(str(folder)) == [Demonstration("Q", "A")]


def test_a_demonstration_without_its_answer_is_named(hub):
    with pytest.raises(DataError, match="train, row 1: completion: got only the fields 'prompt'"):
        hub_demonstrations(hub({"instruction": "Q", "input": "in full"}))


def test_a_null_prompt_in_one_row_is_no_implicit_prompt(hub):
    pair = {"prompt": "Q", "chosen": "It is a", "rejected": "It is b"}
    with pytest.raises(DataError, match="train, row 2: prompt: got None"):
        hub_rankings(hub(pair, pair | {"prompt": None}))


def test_a_question_in_another_column_is_read_when_it_is_named(hub):
    name = hub({"question": "Who?", "chosen": "It is a", "rejected": "It is b"})
    with pytest.raises(DataError, match="'question' may hold it.*--prompt-column question"):
        hub_rankings(name, drop_bad=True)
    assert hub_rankings(name, prompt_column="question") == [Ranking("Who?", ("It is a", "It is b"), (1, 2))]


@pytest.mark.parametrize("splits", [False, True])
def test_a_folder_that_datasets_has_saved_is_read_too(tmp_path, hub, splits):
    saved = datasets.Dataset.from_list([{"prompt": "Q", "chosen": "a", "rejected": "b"}])
    (datasets.DatasetDict({"train": saved}) if splits else saved).save_to_disk(tmp_path / "saved")
    assert hub_rankings(str(tmp_path / "saved")) == [Ranking("Q", ("a", "b"), (1, 2))]


def test_a_folder_of_csv_in_parts_is_read_whole(tmp_path, hub):
    for part in (1, 2):
        (tmp_path / f"train-{part}.csv").write_text(f"prompt,chosen,rejected\nQ{part},a,b\n")
    assert [ranking.prompt for ranking in hub_rankings(str(tmp_path))] == ["Q1", "Q2"]


def test_an_empty_folder_is_no_dataset(tmp_path, hub):
    with pytest.raises((DataError, FileNotFoundError), match=str(tmp_path)):
        hub_rankings(str(tmp_path))


@pytest.mark.parametrize("revision", ["", "main", COMMIT[:12], COMMIT.upper()])
def test_the_hub_is_read_at_a_commit_only(revision):
    with pytest.raises(ValueError, match="expected the 40 signs of a commit"):
        hub_rankings("Anthropic/hh-rlhf", revision=revision)


def test_a_hub_that_does_not_answer_is_an_error_within_seconds(monkeypatch):
    silent = socket.create_server(("127.0.0.1", 0))              # takes the connection and says nothing
    monkeypatch.setattr(sources, "PATIENCE", 0.2)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
    began = time.monotonic()
    with silent, pytest.raises(ConnectionError, match="cannot be reached .* HF_HUB_OFFLINE=1"):
        hub_rankings("Anthropic/hh-rlhf", revision=COMMIT)
    assert time.monotonic() - began < 5


def test_offline_a_dataset_outside_the_cache_is_an_error_at_once(monkeypatch, hub):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=f"hh-rlhf at {COMMIT} is not in the cache"):
        hub_rankings("Anthropic/hh-rlhf", revision=COMMIT)
    assert time.monotonic() - began < 5


def test_a_saved_dataset_without_that_split_is_refused_by_its_name(tmp_path):
    rows = datasets.Dataset.from_list([{"prompt": "Q", "chosen": "a", "rejected": "b"}])
    datasets.DatasetDict({"test": rows}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match="saved: no dataset could be read .*train"):
        hub_rankings(str(tmp_path / "saved"))
