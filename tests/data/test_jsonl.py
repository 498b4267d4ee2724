"""Whole files: what is accepted, what is warned of, what is written. Damage: test_jsonl_faults.py."""

import json
import os
import warnings

import pytest

from instructgpt_lite.data.jsonl import read_jsonl, write_jsonl
from instructgpt_lite.data.records import Demonstration, Prompt, Ranking

D, R = Demonstration, Ranking
GOOD = b'{"prompt": "Q", "completion": "a"}\n'
PAIR = b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 2]}\n'


def file_of(tmp_path, data):
    path = tmp_path / "data.jsonl"
    path.write_bytes(data)
    return path


ACCEPTED = [b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"\n", b"\r\n"), GOOD[:-1], b"  " + GOOD,
            GOOD.replace(b"Q", b"\\u0051")]


@pytest.mark.parametrize("data", ACCEPTED)
def test_bom_crlf_a_missing_last_newline_and_escapes_are_accepted(tmp_path, data):
    assert read_jsonl(file_of(tmp_path, data), D) == [Demonstration("Q", "a")]


def test_other_line_separators_stay_inside_a_text(tmp_path):
    records = [Demonstration("a\u2028b\x85c\x0bd", "e\r\nf\u2029\x1c")]
    write_jsonl(tmp_path / "data.jsonl", records)
    assert read_jsonl(tmp_path / "data.jsonl", D) == records


@pytest.mark.parametrize("kind, data", [(D, b'{"prompt": "Q", "completion": ""}'), (
    R, b'{"prompt": "Q", "chosen": "", "rejected": "a"}')])
def test_empty_responses_are_read_on_request(tmp_path, kind, data):
    assert "" in read_jsonl(file_of(tmp_path, data), kind, allow_empty=True)[0].responses


def test_contradictions_are_read_on_request_and_named_labelers_may_disagree(tmp_path):
    other = PAIR.replace(b"[1, 2]", b"[2, 1]")
    assert len(read_jsonl(file_of(tmp_path, PAIR + other), R, allow_contradictions=True)) == 2
    signed = other.replace(b"}", b', "labeler": "L"}')
    assert len(read_jsonl(file_of(tmp_path, PAIR + signed), R)) == 2


def test_unknown_fields_are_kept_with_one_warning_and_written_back(tmp_path):
    row = {"prompt": "Q", "completion": "a", "id": 7, "auther": "Ann"}
    path = file_of(tmp_path, (json.dumps(row) + "\n").encode() * 2)
    told = r"'id' in 2 rows, 'auther' in 2 rows \(did you mean 'author'\?\)"
    with pytest.warns(UserWarning, match=told) as seen:
        records = read_jsonl(path, D)
    assert len(seen) == 1 and seen[0].filename == __file__
    write_jsonl(tmp_path / "again.jsonl", records)
    again = (tmp_path / "again.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in again.splitlines()] == [row, row]


@pytest.mark.parametrize("longer_wins, pairs, share", [(50, 50, "100%"), (0, 50, "100%"), (46, 50, "92%"),
                                                       (45, 50, ""), (5, 50, ""), (49, 49, "")])
def test_length_that_explains_over_nine_tenths_of_the_pairs_is_warned_of(tmp_path, longer_wins, pairs, share):
    orders = [(1, 2)] * longer_wins + [(2, 1)] * (pairs - longer_wins)
    write_jsonl(tmp_path / "data.jsonl", [Ranking(f"Q{row}", ("long", "x"), order)
                                          for row, order in enumerate(orders)])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        read_jsonl(tmp_path / "data.jsonl", R)
    assert len(seen) == bool(share)
    assert all(f"length alone explains {share} of {pairs} pairs" in str(warning.message) for warning in seen)


RECORDS = [Demonstration("Q é", "a\nb", "Ann", key={"n": 1}), Demonstration("R", "c", category="qa")]


RANKED = [Ranking("Q", ("a", "b"), (2, 1)), Ranking("R", ("c", "d", "e"), (1, 1, 2), "L", "qa", {"k": [1]}),
          Ranking("S", ("f", "g"), (1, 2), extra={"id": 3})]


SHARED = [Ranking("Is it", (" so", " not so", " now"), (3, 1, 2), "L"),
          Ranking("Is it", (" a", " b"), (1, 2))]


@pytest.mark.filterwarnings("ignore:.*kept in .extra.")
@pytest.mark.parametrize("form, conversational, records", [
    ("ours", False, RANKED), ("ours", True, RANKED), ("preference", False, RANKED),
    ("preference", True, RANKED), ("implicit", False, SHARED), ("implicit", True, RANKED)])
def test_rankings_come_back_from_every_form(tmp_path, form, conversational, records):
    write_jsonl(tmp_path / "data.jsonl", records, form=form, conversational=conversational)
    assert read_jsonl(tmp_path / "data.jsonl", R) == records


@pytest.mark.parametrize("conversational", [False, True])
@pytest.mark.parametrize("records", [RECORDS, [Prompt("Q", "qa", "Ann", {"k": "v"}), Prompt("R")]])
def test_prompts_and_demonstrations_come_back(tmp_path, records, conversational):
    write_jsonl(tmp_path / "data.jsonl", records, conversational=conversational)
    assert read_jsonl(tmp_path / "data.jsonl", type(records[0])) == records


@pytest.mark.parametrize("records, message", [
    ([], "got none"), ([Prompt("Q"), RECORDS[0]], "got Demonstration and Prompt"),
    ([Ranking("Q", ("x a", "x b"), (1, 2))], "share their first words")])
def test_what_cannot_be_read_back_is_not_written_and_the_old_file_stays(tmp_path, records, message):
    path = file_of(tmp_path, GOOD)
    with pytest.raises(ValueError, match=message):
        write_jsonl(path, records, form="implicit" if len(records) == 1 else "ours")
    assert path.read_bytes() == GOOD


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = file_of(tmp_path, GOOD)

    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write_jsonl(path, RECORDS)
    assert path.read_bytes() == GOOD and os.listdir(tmp_path) == ["data.jsonl"]


def test_a_missing_file_keeps_its_own_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl"):
        read_jsonl(tmp_path / "nowhere.jsonl", D)
