"""Files of records: what is accepted, what is warned of, what is written. Damage: test_jsonl_faults.py."""

import json
import warnings

import pytest

from instructgpt_lite.data.jsonl import read_jsonl, write_jsonl
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking

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


def test_named_labelers_may_disagree(tmp_path):
    signed = PAIR.replace(b"[1, 2]", b"[2, 1]").replace(b"}", b', "labeler": "L"}')
    assert len(read_jsonl(file_of(tmp_path, PAIR + signed), R)) == 2


def test_fields_that_no_one_reads_are_named_in_one_warning(tmp_path):
    row = {"prompt": "Q", "completion": "a", "id": 7, "auther": "Ann"}
    path = file_of(tmp_path, (json.dumps(row) + "\n").encode() * 2)
    told = r"data.jsonl: not read: 'id' in 2 rows; not read: 'auther' \(did you mean 'author'\?\) in 2 rows"
    with pytest.warns(UserWarning, match=told) as seen:
        assert read_jsonl(path, D) == [Demonstration("Q", "a")] * 2
    assert len(seen) == 1 and seen[0].filename == __file__


def test_bad_rows_are_left_out_on_request_with_a_warning(tmp_path):
    data = GOOD + b'{"prompt": "Q"}\n{"prompt": "R", "completion": " "}\n'
    with pytest.raises(DataError, match=r"2 of 3 rows are bad; nothing was read \(drop_bad, --drop-bad,"):
        read_jsonl(file_of(tmp_path, data), D)
    with pytest.warns(UserWarning, match="bad and left out: 2 of 3 rows, such as .*data.jsonl:2: completion: got only"):
        assert read_jsonl(file_of(tmp_path, data), D, drop_bad=True) == [Demonstration("Q", "a")]
    with pytest.raises(DataError, match="1 of 1 rows are bad; nothing was read\n") as caught:
        read_jsonl(file_of(tmp_path, GOOD[:9] + b"\n"), D, drop_bad=True)
    assert "column 10" in caught.value.faults[0]


def test_of_two_rows_that_contradict_each_other_the_later_is_left_out(tmp_path):
    data = PAIR + PAIR.replace(b"[1, 2]", b"[2, 1]")
    with pytest.warns(UserWarning, match="such as .*:2: ranks: got 'b' over 'a'"):
        assert read_jsonl(file_of(tmp_path, data), R, drop_bad=True) == [Ranking("Q", ("a", "b"), (1, 2))]


def test_a_column_of_one_row_that_may_hold_the_prompt_forbids_an_implicit_prompt_in_all(tmp_path):
    rows = [{"frage": asked, "chosen": "It is so.", "rejected": "It is not."} for asked in ("Warum?", "Und warum?")]
    path = file_of(tmp_path, "\n".join(map(json.dumps, rows)).encode())
    with pytest.raises(DataError, match=r"'frage' may hold it.*\(and 1 more rows like it\)"):
        read_jsonl(path, R)
    assert [ranking.prompt for ranking in read_jsonl(path, R, prompt_column="frage")] == ["Warum?", "Und warum?"]


def test_rows_of_other_forms_are_counted_from_1(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("prompt,chosen,rejected\nQ,a,b\nR,,b\n")
    with pytest.raises(DataError, match="data.csv, row 2: completion: got an empty response"):
        read_jsonl(path, R)


RECORDS = [Demonstration("Q é", "a\nb", "Ann", key={"n": 1}), Demonstration("R", "c", category="qa")]
RANKED = [Ranking("Q", ("a", "b"), (2, 1)), Ranking("R", ("c", "d", "e"), (1, 1, 2), "L", "qa", {"k": [1]})]


@pytest.mark.parametrize("records", [RECORDS, RANKED, [Prompt("Q", "qa", "Ann", {"k": "v"}), Prompt("R")]])
def test_records_come_back_as_they_were_written(tmp_path, records):
    write_jsonl(tmp_path / "data.jsonl", records)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_jsonl(tmp_path / "data.jsonl", type(records[0])) == records


@pytest.mark.parametrize("records, message", [
    ([], "got none"), ([Prompt("Q"), RECORDS[0]], "got Demonstration and Prompt")])
def test_what_cannot_be_read_back_is_not_written_and_the_old_file_stays(tmp_path, records, message):
    path = file_of(tmp_path, GOOD)
    with pytest.raises(ValueError, match=message):
        write_jsonl(path, records)
    assert path.read_bytes() == GOOD


def test_a_missing_file_keeps_its_own_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl"):
        read_jsonl(tmp_path / "nowhere.jsonl", D)
