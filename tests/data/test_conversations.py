"""OpenAssistant's messages and trees: the questions, their answers and ranks, and what is left out."""

import json
from collections import Counter
from pathlib import Path

import datasets
import pytest

from instructgpt_lite.data.hub import read_hub
from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking

TREES = Path(__file__).parents[3] / "shared" / "data" / "human-rankings" / "oasst_100_trees.jsonl"


def message(name: str, parent: str | None, text: str, rank: int | None = None, **changes) -> dict:
    """A row with the columns of OpenAssistant/oasst1; prompters have names q..., others answer."""
    return {"message_id": name, "parent_id": parent, "user_id": "u", "created_date": "2023-02-05T14:23:50+00:00",
            "text": text, "role": "prompter" if name.startswith("q") else "assistant", "lang": "en",
            "review_count": 3, "review_result": True, "deleted": False, "rank": rank, "synthetic": False,
            "model_name": None, "detoxify": None, "message_tree_id": "q1", "tree_state": "ready_for_export",
            "emojis": {"name": ["+1"], "count": [1]}, "labels": None} | changes


# One tree: q1 has three ranked answers; the best goes on with q2, whose two answers are ranked, and the worst with
# q3, which has one answer that nobody ranked.
MESSAGES = [message("q1", None, "Why?"), message("a1", "q1", "So.", 1), message("a2", "q1", "Because.", 0),
            message("q2", "a2", "Really?"), message("a3", "q1", "No.", 2), message("a4", "q2", "Yes.", 0),
            message("a5", "q2", "Perhaps.", 1), message("q3", "a3", "Oh?"), message("a6", "q3", "Oh.")]
LONGER = "user: Why?\nassistant: Because.\nuser: Really?"
RANKED = [Ranking("Why?", ("So.", "Because.", "No."), (2, 1, 3)), Ranking(LONGER, ("Yes.", "Perhaps."), (1, 2))]
BEST = [Demonstration("Why?", "Because."), Demonstration(LONGER, "Yes."),
        Demonstration("user: Why?\nassistant: No.\nuser: Oh?", "Oh.")]


def nested(rows: list[dict]) -> dict:
    """The same messages as the tree that OpenAssistant exports."""
    replies = {row["message_id"]: [] for row in rows}
    nodes = {row["message_id"]: {name: row[name] for name in ("text", "role", "lang", "deleted")}
             | ({} if row["rank"] is None else {"rank": row["rank"]}) | {"replies": replies[row["message_id"]]}
             for row in rows}
    for row in rows[1:]:
        replies[row["parent_id"]].append(nodes[row["message_id"]])
    return {"message_tree_id": "q1", "tree_state": "ready_for_export", "prompt": nodes["q1"]}


def written(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["messages", "trees", "hub"])
def read(request, tmp_path, monkeypatch):
    """Reads messages in each form that they come in."""
    def records(kind, rows, **options):
        if request.param == "hub":
            monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
            (tmp_path / "data").mkdir(exist_ok=True)
            datasets.Dataset.from_list(rows).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
            return read_hub(str(tmp_path), kind, **options)
        rows = [nested(rows)] if request.param == "trees" else rows
        return read_jsonl(written(tmp_path / "rows.jsonl", rows), kind, **options)

    return records


@pytest.mark.filterwarnings("ignore:.*left out")
def test_every_question_with_two_ranked_answers_is_a_ranking_of_the_conversation_so_far(read):
    notes = Counter()
    assert sorted(read(Ranking, MESSAGES, notes=notes), key=lambda each: len(each.prompt)) == RANKED
    assert notes == {"fewer than two ranked replies: left out": 1}


def test_the_best_answer_or_the_only_one_is_a_demonstration(read):
    assert sorted(read(Demonstration, MESSAGES), key=lambda each: "Really" in each.prompt) == [
        BEST[0], BEST[2], BEST[1]]


def test_every_question_is_a_prompt(read):
    assert {each.prompt for each in read(Prompt, MESSAGES)} == {each.prompt for each in BEST}


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize("place, change, reason", [
    (0, {"lang": "de"}, "not in the language 'en'"), (2, {"deleted": True}, "deleted"),
    (5, {"rank": None}, "fewer than two ranked replies"), (6, {"deleted": True}, "fewer than two ranked replies"),
    (6, {"rank": 0}, "fewer than two ranked replies")])
def test_what_is_left_out_is_counted_with_its_reason(read, place, change, reason):
    rows = [row | (change if n == place else {}) for n, row in enumerate(MESSAGES)]
    notes = Counter()
    try:
        kept = read(Ranking, rows, notes=notes)
    except DataError as error:
        assert f"{reason}: left out" in str(error) and "0 usable rows" in str(error)
        kept = []
    assert sum(notes.values()) + len(kept) == 3 and notes[f"{reason}: left out"] >= 1
    assert RANKED[1] not in kept


@pytest.mark.filterwarnings("ignore:.*left out")
def test_a_deleted_answer_is_not_ranked_and_the_others_close_up(read):
    rows = [row | {"deleted": row["message_id"] == "a1"} for row in MESSAGES]
    assert Ranking("Why?", ("Because.", "No."), (1, 2)) in read(Ranking, rows)


@pytest.mark.filterwarnings("ignore:.*left out")
def test_without_a_best_answer_nothing_is_shown(read):
    rows = [row | {"rank": None} for row in MESSAGES]
    notes = Counter()
    assert read(Demonstration, rows, notes=notes) == [BEST[2]]
    assert notes == {"no best reply: left out": 2}


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize("parent", ["elsewhere", "a5"])
def test_a_question_whose_beginning_is_missing_or_is_itself_is_left_out(tmp_path, parent):
    """a5 answers q2: the two would precede each other for ever."""
    rows = [row | {"parent_id": parent} if row["message_id"] == "q2" else row for row in MESSAGES]
    notes = Counter()
    assert read_jsonl(written(tmp_path / "rows.jsonl", rows), Ranking, notes=notes) == RANKED[:1]
    assert notes["what came before is missing: left out"] == 1


def test_a_message_that_is_there_twice_is_named(tmp_path):
    path = written(tmp_path / "rows.jsonl", [*MESSAGES, MESSAGES[3]])
    with pytest.raises(DataError, match=r"rows.jsonl:10: message_id: got q2 .* expected each once"):
        read_jsonl(path, Ranking)


def test_a_message_without_text_is_named(tmp_path):
    rows = [*MESSAGES, {"message_id": "q9", "parent_id": None, "role": "prompter"}]
    with pytest.raises(DataError, match=r"rows.jsonl:10: message_id: got q9 with 3 fields"):
        read_jsonl(written(tmp_path / "rows.jsonl", rows), Ranking)
    rows = [nested(MESSAGES), {"prompt": {"role": "prompter", "text": "Hm?", "replies": ["yes"]}}]
    with pytest.raises(DataError, match=r"rows.jsonl:2.0002: message_id: got 2.0002 with 2 fields"):
        read_jsonl(written(tmp_path / "rows.jsonl", rows), Ranking)


def test_two_ranks_of_one_text_are_named_by_the_row_of_their_question(tmp_path):
    rows = [row | {"text": "Yes."} if row["message_id"] == "a5" else row for row in MESSAGES]
    with pytest.raises(DataError, match=r"rows.jsonl:4: ranks: got one text ranked 1 and 2"):
        read_jsonl(written(tmp_path / "rows.jsonl", rows), Ranking)
    with pytest.raises(DataError, match=r"rows.jsonl:1.0004: ranks: got one text ranked 1 and 2"):
        read_jsonl(written(tmp_path / "rows.jsonl", [nested(rows)]), Ranking)


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.skipif(not TREES.exists(), reason="needs 100 trees of OpenAssistant")
def test_a_hundred_real_trees_have_the_rankings_that_their_publisher_counts():
    sizes = Counter(len(each.completions) for each in read_jsonl(TREES, Ranking))
    assert {2: sizes.pop(2), 3: sizes.pop(3), 4: sizes.pop(4)} == {2: 57, 3: 117, 4: 27}
    assert sum(sizes.values()) == 11 and set(sizes) <= {5, 6, 7, 8, 9}
