"""The bytes of a file to rows: what is common is read, every other form is named as what it is."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import re
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from instructgpt_lite.data import rows
from instructgpt_lite.data.records import DataError
from instructgpt_lite.data.rows import rows_of

ROWS = [{"prompt": "Wér?", "chosen": "Ann, it is.", "rejected": 'I "know"\nnot.'},
        {"prompt": "Why?", "chosen": "So.", "rejected": "No."}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CHAT = [{"role": "user", "content": "It's on"}]


def parquet(rows):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def arrow(opened):
    table, file = pa.Table.from_pylist(ROWS), io.BytesIO()
    with opened(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def zipped(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return file.getvalue()


def tarred(data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("folder/rows.jsonl")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def table(delimiter, end="\n"):
    rows = [['"prompt"', "chosen", "rejected"], ["Wér?", '"Ann, it is."', '"I ""know""\nnot."'],
            ["Why?", "So.", "No."]]
    return "".join(delimiter.join(row) + end for row in rows).encode()


BYTES = LINES.encode()
COLUMNS = {name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]}
FORMS = {
    "lines": BYTES, "BOM": b"\xef\xbb\xbf" + BYTES, "Windows": BYTES.replace(b"\n", b"\r\n"),
    "old Mac": BYTES.replace(b"\n", b"\r"), "no last line end": BYTES[:-1],
    "empty lines at the end": BYTES + b"\n \r\n",
    "UTF-16": LINES.encode("utf-16"), "UTF-16 of the other order": b"\xfe\xff" + LINES.encode("utf-16-be"),
    "gzip": gzip.compress(BYTES), "gzip in gzip": gzip.compress(gzip.compress(BYTES)),
    "two gzips": gzip.compress(BYTES[:60]) + gzip.compress(BYTES[60:]),
    "list": json.dumps(ROWS).encode(), "list, indented": json.dumps(ROWS, indent=1).encode(),
    "list in gzip": gzip.compress(json.dumps(ROWS).encode()),
    "CSV": table(","), "CSV of Excel": b"\xef\xbb\xbf" + table(";", "\r\n"), "TSV": table("\t"),
    "CSV in gzip": gzip.compress(table(",")), "Parquet": parquet(ROWS), "Parquet in gzip": gzip.compress(parquet(ROWS))}
TABLES = {
    "rows under a key": {"data": ROWS}, "pandas' columns": COLUMNS,
    "columns of lists": {name: [*column.values()] for name, column in COLUMNS.items()},
    "pandas' split": {"columns": [*ROWS[0]], "index": [0, 1], "data": [[*row.values()] for row in ROWS]},
    "columns of unequal lengths": {"prompt": ["Q", "R"], "chosen": ["a", "b"], "rejected": ["c"]}}


def write(tmp_path, data, name="rows.data"):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_come_out_of_every_form(tmp_path, form):
    found = rows_of(write(tmp_path, FORMS[form]))
    assert list(found.rows.values()) == ROWS and not found.bad


@pytest.mark.parametrize("rows", [
    [{"prompt": CHAT, "completion": CHAT}], [{"messages": CHAT}],
    [{"prompt": "Q", "completions": ["a", "b"], "ranks": [1, 2]}]])
def test_one_row_alone_is_a_row_and_no_table_of_columns(tmp_path, rows):
    for data in (json.dumps(rows[0]), json.dumps(rows), json.dumps(rows[0]) + "\n"):
        assert list(rows_of(write(tmp_path, data.encode())).rows.values()) == rows


@pytest.mark.parametrize("form", TABLES)
def test_one_object_that_holds_a_whole_table_is_refused_with_what_makes_rows_of_it(tmp_path, form):
    for end in ("", "\n"):
        path = write(tmp_path, (json.dumps(TABLES[form]) + end).encode())
        with pytest.raises(DataError, match="rows.data: got one object of columns, or with the rows under a key, "
                                            "expected an object for each row;.*to_json.*jq -c") as caught:
            rows_of(path)
        assert len(str(caught.value).splitlines()) == 1


def test_lists_in_cells_are_read_as_json(tmp_path):
    data = ('prompt,completions,ranks\n"' + json.dumps(CHAT).replace('"', '""') + '","[""a"", ""b""]","[1, 2]"\n'
            + '[1] is what?,"[""a"", ""b""]","[2, 1]"\n')
    assert list(rows_of(write(tmp_path, data.encode())).rows.values()) == [
        {"prompt": CHAT, "completions": ["a", "b"], "ranks": [1, 2]},
        {"prompt": "[1] is what?", "completions": ["a", "b"], "ranks": [2, 1]}]


@pytest.mark.parametrize("text, name", [("Q,a|b,1|2", "completions"), ("Q,\"['a', 'b']\",1", "completions"),
                                        ("\"[{'role': 'user'}]\",[],1", "prompt")])
def test_a_cell_with_a_list_in_another_form_is_a_fault_of_its_row(tmp_path, text, name):
    found = rows_of(write(tmp_path, f"prompt,completions,ranks\n{text}\n".encode()))
    assert re.match(rf"{name}: got .*\(str\), expected a list as JSON; save the table as Parquet", str(found.bad[1]))


def test_parquet_keeps_chats_and_empty_cells(tmp_path):
    rows = [{"prompt": CHAT, "rank": 1}, {"prompt": None, "rank": None}]
    assert list(rows_of(write(tmp_path, parquet(rows))).rows.values()) == rows


@pytest.mark.parametrize("data, message", [
    (b"  <!DOCTYPE html><html>404</html>", "a web page.*/resolve/, not /blob/"),
    (b"\xef\xbb\xbf<html><head>", "a web page"), (b"<?xml version='1.0'?>", "a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "a pointer of Git LFS.*git lfs pull"),
    (pickle.dumps(ROWS), "a Python pickle, which may run code and is never opened"),
    (gzip.compress(pickle.dumps(ROWS)), "a Python pickle"),
    (zipped(xl__workbook_xml=b"", xl__styles_xml=b""), "an Excel or Word file.*as CSV"),
    (zipped(archive__data_pkl=b"", archive__version=b""), "a Python pickle, which .* is never opened"),
    (zipped(rows_jsonl=BYTES), "an archive .*unpack it"), (tarred(BYTES), "an archive .*unpack it"),
    (bz2.compress(BYTES), "a file packed by bzip2, xz or zstd"), (lzma.compress(BYTES), "packed by bzip2, xz"),
    (pa.Codec("zstd").compress(BYTES).to_pybytes(), "packed by bzip2, xz or zstd"),
    (arrow(pa.ipc.new_file), "Arrow, HDF5"), (arrow(pa.ipc.new_stream), "Arrow, HDF5 or .*as CSV .* or Parquet"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel or Word file"), (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89HDF\r\n", "HDF5 or NumPy"), (b"\x93NUMPY\x01", "HDF5 or NumPy"), (b"%PDF-1.4", "a PDF"),
    (b"Rar!\x1a", "unpack it"),
    (LINES.encode("utf-16-le"), "UTF-16 without a mark"),
    (gzip.compress(BYTES)[:-9], "packed file that is damaged or cut short"),
    (parquet(ROWS)[:-9], "Parquet file that is damaged or cut short"),
    (json.dumps(ROWS).encode()[:-9], r"row: got no JSON at column .*"), (b"[1, NaN]", "row: got NaN"),
    (json.dumps(ROWS[0], indent=1).encode() * 2, "objects over several lines.*jq -c"),
    (b"\xef\xbb\xbf\r\n" + json.dumps(ROWS[0], indent=1).encode(), "objects over several lines.*jq -c"),
    (b'prompt,chosen\nQ,"a\n', "no whole CSV after line 1"),
    (b"prompt,chosen\nQ,Caf\xe9\n", "not UTF-8 at byte 19.*WINDOWS-1252"),
    (b"prompt,chosen\nQ,Caf\xc3", "a file that ends mid-row.*download it again"),
    (LINES.encode("utf-16")[:-1], "a file that ends mid-row"),
])
def test_what_cannot_be_read_is_named_as_what_it_is_in_one_line(tmp_path, data, message):
    with pytest.raises(DataError, match=rf"^{tmp_path}/rows.data(:\d)?: .*{message}") as caught:
        rows_of(write(tmp_path, data))
    assert "; " in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("data, number, message", [
    (b"prompt,chosen\nQ,a\nR,b,c\n", 2, "row: got more or fewer cells than the header has, expected 2; quote"),
    (b"prompt,chosen\nQ\n", 1, "row: got more or fewer cells"), (b"[1, {}]", 1, "row: got a int, expected an object")])
def test_a_bad_row_of_a_table_is_a_fault_of_that_row(tmp_path, data, number, message):
    found = rows_of(write(tmp_path, data))
    assert list(found.bad) == [number] and str(found.bad[number]).startswith(message)


def test_a_packed_file_is_unpacked_to_no_more_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MOST", len(BYTES))
    assert len(rows_of(write(tmp_path, gzip.compress(BYTES))).rows) == 2
    path = write(tmp_path, gzip.compress(BYTES) + gzip.compress(b"\n"))
    with pytest.raises(DataError, match=f"a packed file of more than {len(BYTES)} bytes; .*gunzip"):
        rows_of(path)


def test_a_table_with_unknown_columns_is_one_by_its_name(tmp_path):
    assert list(rows_of(write(tmp_path, b"frage,gut\nQ,a\n", "mine.csv")).rows.values()) == [{"frage": "Q", "gut": "a"}]
    assert len(rows_of(write(tmp_path, b"frage,gut\nQ,a\n")).bad) == 2


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "twice.csv").write_text("prompt,prompt,completion\nfirst,second,said\n")
    with pytest.raises(DataError, match="twice.csv: got no whole CSV .*2 columns are called 'prompt': keep one"):
        rows_of(tmp_path / "twice.csv")


def test_a_cell_nested_too_deep_is_a_bad_row(tmp_path):
    (tmp_path / "deep.csv").write_text("prompt,completions,ranks\nask," + "[" * 100_000 + ",[1]\n")
    assert "completions" in str(rows_of(tmp_path / "deep.csv").bad[1])
