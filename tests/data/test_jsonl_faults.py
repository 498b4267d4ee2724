"""Damaged files: every bad row is named by file, line, field and fix, and none is skipped."""

import json
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructgpt_lite.data.jsonl import read_jsonl
from instructgpt_lite.data.records import DataError, Demonstration, Prompt, Ranking

D, R = Demonstration, Ranking
GOOD = b'{"prompt": "Q", "completion": "a"}\n'
PAIR = b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 2]}\n'


def file_of(tmp_path, data):
    path = tmp_path / "data.jsonl"
    path.write_bytes(data)
    return path


FAULTS = [  # kind, bytes, line, what the message says after "data.jsonl:line: "
    (D, b"", 1, "row: got 0 usable rows"),
    (D, b"\xef\xbb\xbf", 1, "row: got 0 usable rows"),
    (D, GOOD + b"\n" + GOOD, 2, r"row: got no JSON at column 1 \(Expecting value\)"),
    (D, GOOD + b'{"prompt": "Q" "completion": "a"}\n', 2, "row: got no JSON at column 16"),
    (D, GOOD + b"{'prompt': 'Q'}\n", 2, "row: got no JSON at column 2"),
    (D, GOOD[:-1] + GOOD, 1, r"row: got no JSON at column 35 \(Extra data\)"),
    (D, GOOD + b"[1, 2]\n", 2, "row: got a list, expected an object"),
    (D, GOOD + b"# a comment\n", 2, r"row: got no JSON at column 1 .*mend or delete the line"),
    (D, GOOD + b"null", 2, "row: got a NoneType"),
    (D, GOOD + b'{"prompt": "Q", "compl', 2, "row: got a file that ends mid-row, .*download it again"),
    (D, GOOD + GOOD[:10] + "é".encode()[:1], 2, "row: got a file that ends mid-row"),
    (D, GOOD + b'{"prompt": "\xff", "completion": "a"}\n', 2, "row: got bytes that are not UTF-8 at byte 47"),
    (D, b"\xef\xbb\xbf" + b'{"prompt": "\xff"}\n', 1, "row: got bytes that are not UTF-8 at byte 12 of"),
    (D, GOOD + b'{"prompt": "\xed\xa0\x80"}\n', 2, "row: got bytes that are not UTF-8 at byte 47"),
    (D, b'{"prompt": "Caf\xe9", "completion": "a"}\n', 1, "row: got bytes that are not UTF-8 .*WINDOWS-1252"),
    (D, b'{"prompt": "a\x00b", "completion": "a"}\n', 1, r"row: got no JSON at column 14 \(Invalid control"),
    (D, b'{"prompt": "a\\u0000b", "completion": "a"}\n', 1, r"prompt: got U\+0000 at character 1"),
    (D, b'{"prompt": "Q", "completion": "\\ud83d!"}\n', 1, r"completion: got U\+D83D at character 0"),
    (D, b'{"prompt": "Q", "prompt": "R", "completion": "a"}\n', 1, "'prompt': got the key 2 times"),
    (D, b'{"prompt": "Q", "completion": "a", "key": {"k": 1, "k": 2}}\n', 1, "'k': got the key 2 times"),
    (D, b'{"prompt": "Q", "completion": "a", "key": {"k": NaN}}\n', 1, "row: got NaN, expected a finite"),
    (D, b'{"prompt": "Q", "completion": "a", "key": {"k": 1e999}}\n', 1, "key: got {'k': inf}"),
    (D, b'{"prompt": "Q", "completion": "a", "n": -Infinity}\n', 1, "row: got -Infinity"),
    (D, b'{"prompt": "Q", "completion": "a", "n": ' + b"9" * 5000 + b"}\n", 1, "row: got Exceeds the limit"),
    (D, b'{"prompt": ' + b"[" * 200_000 + b"\n", 1, "row: got .*recursion.*expected JSON of ordinary size"),
    (D, b'{"promt": "Q", "completion": "a"}\n', 1, "prompt: got only the fields .*'prompt' by 'promt'"),
    (D, b'{"prompt": "Q"}\n', 1, "completion: got only the fields 'prompt', exp"),
    (D, b'{"prompt": ["Q"], "completion": "a"}\n', 1, r"prompt\[0\]: got 'Q' \(str\)"),
    (D, b'{"prompt": "Q", "completion": null}\n', 1, r"completion: got None \(NoneType\)"),
    (D, b'{"prompt": " ", "completion": "a"}\n', 1, "prompt: got no words"),
    (D, b'{"prompt": "Q", "completion": ""}\n', 1, "completion: got an empty response, expected text; drop the row"),
    (D, b'{"prompt": "Q", "completion": " \\n"}\n', 1, "completion: got an empty response"),
    (R, b'{"prompt": "Q", "completions": ["a"], "ranks": [1]}\n', 1, "completions: got 1 of them"),
    (R, b'{"prompt": "Q", "completions": "ab", "ranks": [1, 2]}\n', 1, "completions: got 'ab'"),
    (R, b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [1]}\n', 1, "ranks: got 1 ranks, expected 2"),
    (R, b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, "2"]}\n', 1, r"ranks\[1\]: got '2'"),
    (R, b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 2.0]}\n', 1, r"ranks\[1\]: got 2.0"),
    (R, b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, true]}\n', 1, r"ranks\[1\]: got True"),
    (R, b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [0, 1]}\n', 1, r"ranks: got \[0, 1\]"),
    (R, b'{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 1]}\n', 1, "ranks: got a tie of all 2"),
    (R, b'{"prompt": "Q", "completions": ["a", "a"], "ranks": [1, 2]}\n', 1, "ranks: got one text ranked"),
    (R, b'{"prompt": "Q", "completions": ["a", ""], "ranks": [1, 2]}\n', 1, "completion: got an empty"),
    (R, b'{"prompt": "Q", "chosen": "a", "rejected": "a"}\n', 1, "rejected: got the same as chosen"),
    (R, PAIR + PAIR + PAIR.replace(b"[1, 2]", b"[2, 1]"), 3, "ranks: got 'b' over 'a', .*in row 1"),
    (R, b'{"prompt": "Q", "chosen": "b", "rejected": "a"}\n' + PAIR, 2, "ranks: got 'a' over 'b', .*row 1"),
    (Prompt, GOOD, 1, "completion: got a field that a Prompt has not"),
]


@pytest.mark.parametrize("kind, data, line, message", FAULTS, ids=range(len(FAULTS)))
def test_a_bad_row_is_named_by_file_line_field_and_fix(tmp_path, kind, data, line, message):
    path = file_of(tmp_path, data)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}:{line}: {message}") as caught:
        read_jsonl(path, kind)
    assert ", expected " in str(caught.value) and "; " in str(caught.value)


def test_equal_faults_share_a_line(tmp_path):
    path = file_of(tmp_path, (GOOD + b"{}\n") * 25)
    with pytest.raises(DataError) as caught:
        read_jsonl(path, D)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}: 25 of 50 rows are bad; nothing was read")
    assert second.startswith(f"{path}:2: prompt: got only") and second.endswith("(and 24 more rows like it)")


def test_of_many_faults_the_first_12_are_shown(tmp_path):
    rows = [{"prompt": "Q", "completion": "a", "author": [chr(97 + n)]} for n in range(20)]
    with pytest.raises(DataError) as caught:
        read_jsonl(file_of(tmp_path, "\n".join(map(json.dumps, rows)).encode()), D)
    first, *shown, last = str(caught.value).splitlines()
    assert [row.split(":")[1] for row in shown] == [str(line) for line in range(1, 13)]
    assert last == "... and 8 more" and len(caught.value.faults) == 20


def test_faults_of_different_kinds_come_in_the_order_of_their_lines(tmp_path):
    unknown = PAIR.replace(b"completions", b"texts")
    opposite = PAIR.replace(b"[1, 2]", b"[2, 1]")
    with pytest.raises(DataError) as caught:
        read_jsonl(file_of(tmp_path, PAIR + opposite + unknown + b"{\n" + PAIR[:-9]), R)
    assert [fault.split("jsonl:")[1][:8] for fault in caught.value.faults] == [
        "2: ranks", "3: compl", "4: row: ", "5: row: "]


THREE = [b'{"prompt": "\xc3\xa9", "completion": "a"}', b'{"prompt": "Q", "completion": "{}"}',
         b'{"prompt": "Q", "completion": "c", "key": {"k": {}}}']


@pytest.mark.parametrize("cut", range(len(b"\n".join(THREE)) + 2))
def test_a_cut_at_every_byte_is_seen_unless_it_falls_between_two_rows(tmp_path, cut):
    data = b"\n".join(THREE) + b"\n"
    path = file_of(tmp_path, data[:cut])
    ends = [len(b"\n".join(THREE[:count])) for count in (1, 2, 3)]
    whole = sum(end <= cut for end in ends)
    if cut in ends + [end + 1 for end in ends]:
        assert len(read_jsonl(path, D)) == whole
    else:
        with pytest.raises(DataError, match=f"data.jsonl:{whole + 1}: row: got (a file that ends|0 usable)"):
            read_jsonl(path, D)


def test_only_a_last_row_without_its_newline_counts_as_cut_off(tmp_path):
    for data in (GOOD + b'{"prompt": "Q\n', b'{"prompt": "Q\n' + GOOD[:-1]):
        with pytest.raises(DataError, match="row: got no JSON at column"):
            read_jsonl(file_of(tmp_path, data), D)


VALID = b"""{"prompt": "Q \xc3\xa9", "completion": "a\\nb", "author": "Ann", "key": {"n": 1}}
{"prompt": "R", "completion": "c", "category": "qa"}
"""


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_damaged_file_is_refused_by_line_or_read_as_json_loads_reads_it(tmp_path_factory, data):
    text = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        byte = data.draw(st.sampled_from(b'{}[]",:\\ \n\r\x00\xff\xc3a1') | st.integers(0, 255))
        text[place:place + data.draw(st.integers(0, 2))] = bytes([byte])[:data.draw(st.integers(0, 1))]
    path = file_of(tmp_path_factory.getbasetemp(), bytes(text))
    lines = bytes(text).removeprefix(b"\xef\xbb\xbf").rstrip().split(b"\n")
    try:
        rows = [json.loads(line.decode()) for line in lines]
    except ValueError:
        rows = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records = read_jsonl(path, D)
    except DataError as error:
        named = re.compile(r".*data\.jsonl:\d+: .+: got .+, expected .+; .+")
        assert all(named.match(fault) for fault in error.faults)
        assert error.faults or not rows
    else:
        assert rows is not None and len(rows) == len(records)
        for row, record in zip(rows, records):
            said = {"prompt": record.prompt, "completion": record.completion, "author": record.author,
                    "category": record.category, "key": record.key}
            assert {name: value for name, value in said.items() if value or name in row} == {
                name: value for name, value in row.items() if name in said}
