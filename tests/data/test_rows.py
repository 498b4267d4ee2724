"""The bytes of a file to rows: every form that can be read is, every other is named as what it is."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
    "gzip": gzip.compress(BYTES), "two gzips": gzip.compress(BYTES[:60]) + gzip.compress(BYTES[60:]),
    "bzip2": bz2.compress(BYTES), "xz": lzma.compress(BYTES),
    "zstd": pa.Codec("zstd").compress(BYTES).to_pybytes(), "zip": zipped(rows_jsonl=BYTES), "tar.gz": tarred(BYTES),
    "list": json.dumps(ROWS).encode(), "list, indented": json.dumps(ROWS, indent=1).encode(),
    "list in gzip": gzip.compress(json.dumps(ROWS).encode()), "rows under a key": json.dumps({"data": ROWS}).encode(),
    "pandas' columns": json.dumps(COLUMNS).encode(),
    "columns of lists": json.dumps({name: [*column.values()] for name, column in COLUMNS.items()}).encode(),
    "pandas' split": json.dumps({"columns": [*ROWS[0]], "index": [0, 1],
                                 "data": [[*row.values()] for row in ROWS]}, indent=1).encode(),
    "CSV": table(","), "CSV of Excel": b"\xef\xbb\xbf" + table(";", "\r\n"), "TSV": table("\t"),
    "CSV in gzip": gzip.compress(table(",")), "Parquet": parquet(ROWS),
    "Arrow": arrow(pa.ipc.new_file), "Arrow stream": arrow(pa.ipc.new_stream)}


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
    for data in (json.dumps(rows[0]), json.dumps(rows[0], indent=1), json.dumps(rows), json.dumps(rows[0]) + "\n"):
        assert list(rows_of(write(tmp_path, data.encode())).rows.values()) == rows


def test_columns_of_unequal_lengths_are_no_table(tmp_path):
    row = {"prompt": ["Q", "R"], "chosen": ["a", "b"], "rejected": ["c"]}
    assert list(rows_of(write(tmp_path, json.dumps(row).encode())).rows.values()) == [row]


def test_lists_in_cells_are_read_as_json_or_as_pandas_writes_them(tmp_path):
    data = ('prompt,completions,ranks\n"' + repr(CHAT).replace('"', '""') + '","[""a"", ""b""]","[1, 2]"\n'
            + '[1] is what?,"[\'a\', \'b\']","[2, 1]"\n')
    assert list(rows_of(write(tmp_path, data.encode())).rows.values()) == [
        {"prompt": CHAT, "completions": ["a", "b"], "ranks": [1, 2]},
        {"prompt": "[1] is what?", "completions": ["a", "b"], "ranks": [2, 1]}]
    found = rows_of(write(tmp_path, b"prompt,completions,ranks\nQ,a|b,1|2\n"))
    assert str(found.bad[1]).startswith("completions: got 'a|b' (str), expected a list as JSON; save the table as Par")


def test_parquet_keeps_chats_and_empty_cells(tmp_path):
    rows = [{"prompt": CHAT, "rank": 1}, {"prompt": None, "rank": None}]
    assert list(rows_of(write(tmp_path, parquet(rows))).rows.values()) == rows


@pytest.mark.parametrize("data, message", [
    (b"  <!DOCTYPE html><html>404</html>", "a web page.*/resolve/, not /blob/"),
    (b"<html><head>", "a web page"), (b"<?xml version='1.0'?>", "a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "a pointer of Git LFS.*git lfs pull"),
    (pickle.dumps(ROWS), "a Python pickle, which may run code and is never opened"),
    (gzip.compress(pickle.dumps(ROWS)), "a Python pickle"),
    (zipped(xl__workbook_xml=b"", xl__styles_xml=b""), "an Excel workbook.*save it as CSV"),
    (zipped(archive__data_pkl=b"", archive__version=b""), "pickles of PyTorch, which are never opened"),
    (zipped(a_jsonl=b"", b_jsonl=b""), r"an archive of 2 files \(a.jsonl, b.jsonl\), expected one; unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel or Word file"), (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89HDF\r\n", "HDF5 or NumPy"), (b"\x93NUMPY\x01", "HDF5 or NumPy"), (b"%PDF-1.4", "a PDF"),
    (b"Rar!\x1a", "unpack it"),
    (LINES.encode("utf-16-le"), "UTF-16 without a mark"),
    (gzip.compress(BYTES)[:-9], "packed file that is damaged or cut short"),
    (lzma.compress(BYTES)[:-9], "packed file that is damaged"),
    (bz2.compress(BYTES)[:-9], "packed file that is damaged"),
    (FORMS["zstd"][:-9], "packed file that is damaged"), (FORMS["zip"][:-30], "no whole zip or tar.gz"),
    (parquet(ROWS)[:-9], "Parquet or Arrow file that is damaged or cut short"),
    (json.dumps(ROWS).encode()[:-9], r"row: got no JSON at column .*"), (b"[1, NaN]", "row: got NaN"),
    (json.dumps(ROWS[0], indent=1).encode() * 2, "objects over several lines.*jq -c"),
    (b'prompt,chosen\nQ,"a\n', "no whole CSV after line 1"),
    (b"prompt,chosen\nQ,Caf\xe9\n", "not UTF-8 at byte 19.*WINDOWS-1252"),
])
def test_what_cannot_be_read_is_named_as_what_it_is_in_one_line(tmp_path, data, message):
    with pytest.raises(DataError, match=rf"^{tmp_path}/rows.data: .*{message}") as caught:
        rows_of(write(tmp_path, data))
    assert "; " in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("data, number, message", [
    (b"prompt,chosen\nQ,a\nR,b,c\n", 2, "row: got more or fewer cells than the header has, expected 2; quote"),
    (b"prompt,chosen\nQ\n", 1, "row: got more or fewer cells"), (b"[1, {}]", 1, "row: got a int, expected an object"),
    (json.dumps({"data": [3]}).encode(), 1, "row: got a int")])
def test_a_bad_row_of_a_table_is_a_fault_of_that_row(tmp_path, data, number, message):
    found = rows_of(write(tmp_path, data))
    assert list(found.bad) == [number] and str(found.bad[number]).startswith(message)


def test_a_table_with_unknown_columns_is_one_by_its_name(tmp_path):
    assert list(rows_of(write(tmp_path, b"frage,gut\nQ,a\n", "mine.csv")).rows.values()) == [{"frage": "Q", "gut": "a"}]
    assert len(rows_of(write(tmp_path, b"frage,gut\nQ,a\n")).bad) == 2
