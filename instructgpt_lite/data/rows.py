"""Rows out of the bytes of a file, whatever form it has; nothing is ever unpickled.

    JSON Lines          one object a line; strict, every bad line is named
    JSON                a list of objects, or pandas' columns
    CSV, TSV            a header, then a row a record
    Parquet, Arrow
    gz, bz2, xz, zst    of any of these; a zip or tar with one file in it
"""

import ast
import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructgpt_lite.data.archives import files_in
from instructgpt_lite.data.formats import ALIASES, STRUCTURE, Row
from instructgpt_lite.data.records import DataError, Fault, kind_of

PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress,
          b"\xfd7zXZ": lzma.decompress, b"\x28\xb5\x2f\xfd":
          lambda data: arrow().input_stream(arrow().py_buffer(data), "zstd").read()}
CSV = "save it as CSV (UTF-8)"
FOREIGN = {      # what the first bytes tell: what it is, what to do
    rb"(?i)\s*<(!doctype|html|head|\?xml)": (
        "a web page", "download the file itself (/resolve/, not /blob/, on the Hub)"),
    rb"version https://git-lfs": (
        "a pointer of Git LFS in place of the file", "fetch it with `git lfs pull`"),
    rb"\x80[\x02-\x05]": ("a Python pickle, which may run code and is never opened",
                          "save it as Parquet or JSON Lines"),
    rb"\xd0\xcf\x11\xe0": ("an Excel or Word file", CSV),
    rb"SQLite format 3": ("an SQLite database", CSV),
    rb"\x89HDF|\x93NUMPY": ("arrays of HDF5 or NumPy", "save them as Parquet"),
    rb"%PDF": ("a PDF", "look for the data itself"),
    rb"7z\xbc\xaf|Rar!": ("a packed archive", "unpack it"),
    rb"[{\[\"\w]\x00": ("UTF-16 without a mark", "save it as UTF-8")}
INSIDE = {"xl/workbook.xml": ("an Excel workbook", CSV),
          "data.pkl": ("pickles of PyTorch, which are never opened", "save as Parquet")}
UTF_8 = "save it as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8, if it comes from Excel)"


@dataclass
class Rows:
    """Rows and faults by number; `mark` stands between a file's name and a number."""

    rows: dict[int, Row] = field(default_factory=dict)
    bad: dict[int, Fault] = field(default_factory=dict)
    mark: str = ", row "


def rows_of(path: str | Path) -> Rows:
    """The rows of a file; of another form, DataError says what it is."""
    data = unpacked(Path(path).read_bytes(), str(path))
    if data.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return numbered(of_arrow(data, path))
    for first, (what, way) in FOREIGN.items():
        if re.match(first, data):
            raise DataError(f"{path}: got {what}, expected JSON, CSV or Parquet; {way}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "surrogatepass").encode("utf-8", "surrogatepass")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")                  # an old Mac's line ends
    if delimiter := delimiter_of(data, str(path)):
        return of_csv(data, delimiter, path)
    return of_json(data, path) or of_lines(data)


def unpacked(data: bytes, name: str) -> bytes:
    """The data without its packing."""
    for magic, unpack in PACKED.items():
        if data.startswith(magic):
            try:
                data = unpack(data)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise DataError(f"{name}: got a packed file that is damaged or cut "
                                f"short ({error}); download it again") from None
    if data.startswith(b"PK\x03\x04") or data[257:262] == b"ustar":
        found = files_in(data, name)
        for inside, (what, way) in INSIDE.items():
            if any(path.endswith(inside) for path in found):
                raise DataError(f"{name}: got {what}, expected rows; {way}")
        if len(found) != 1:
            raise DataError(f"{name}: got an archive of {len(found)} files "
                            f"({', '.join([*found][:4])}), expected one; unpack it")
        return unpacked(*found.values(), name)
    return data


def arrow() -> Any:
    """pyarrow, imported where it is needed."""
    import pyarrow.parquet
    return pyarrow


def of_arrow(data: bytes, path: str | Path) -> list[Row]:
    """The rows of a Parquet or an Arrow file."""
    pa = arrow()
    try:
        if data.startswith(b"PAR1"):
            return pa.parquet.read_table(pa.BufferReader(data)).to_pylist()
        stream = pa.ipc.open_file if data.startswith(b"ARROW1") else pa.ipc.open_stream
        return stream(data).read_all().to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: got a Parquet or Arrow file that is damaged or cut "
                        f"short ({error!s:.80}); download it again") from None


def numbered(values: list) -> Rows:
    """Rows counted from 1; what is no object is a fault."""
    found = Rows()
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            found.rows[number] = value
        else:
            found.bad[number] = not_an_object(value)
    return found


def not_an_object(value: Any) -> Fault:
    """The fault of a row that is another value of JSON."""
    return Fault("row", f"a {type(value).__name__}", "an object {...}",
                 "write one object for each row")


def delimiter_of(data: bytes, name: str) -> str:
    """What parts the cells, if the first line is a header of CSV; else ""."""
    line = data.partition(b"\n")[0].decode(errors="replace").strip()
    delimiter = max(",;\t", key=line.count)
    cells = {cell.strip('" \r').lower() for cell in line.split(delimiter)}
    words = STRUCTURE.union(ALIASES, *ALIASES.values())
    table = re.search(r"\.[ct]sv\b", name.lower()) or cells & words
    return delimiter if table and len(cells) > 1 and line[0] not in "{[" else ""


def of_csv(data: bytes, delimiter: str, path: str | Path) -> Rows:
    """The rows of a CSV file, whose cells may hold lists."""
    found = Rows()
    try:
        text = io.StringIO(data.decode(), newline="")
        table = csv.DictReader(text, delimiter=delimiter, strict=True)
        for number, row in enumerate(table, start=1):
            try:
                if None in row or None in row.values():
                    raise Fault("row", "more or fewer cells than the header has",
                                f"{len(table.fieldnames)}",
                                f"quote text with {delimiter!r} or line ends in it")
                found.rows[number] = {name: cell(name, row[name]) for name in row}
            except Fault as fault:
                found.bad[number] = fault
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: got bytes that are not UTF-8 at byte {error.start}; "
                        f"{UTF_8}") from None
    except csv.Error as error:
        raise DataError(f"{path}: got no whole CSV after line {table.line_num} "
                        f"({error}); save it again, or as JSON Lines") from None
    return found


def cell(name: str, text: str) -> Any:
    """What a cell says: text, a list (as JSON, or as pandas writes it), or a chat."""
    chat = re.match(r"""\[\s*\{\s*['"](role|content|from|value)['"]""", text)
    if not chat and name not in ("completions", "ranks"):
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            pass
    raise Fault(name, kind_of(text), "a list as JSON",
                "save the table as Parquet or JSON Lines, which keep lists")


def of_json(data: bytes, path: str | Path) -> Rows | None:
    """The rows of a file that is one JSON value; None when it is JSON Lines."""
    first, *others = data.strip().split(b"\n", 1)
    if first[:1] not in (b"{", b"["):
        return None
    if first[:1] == b"{" and others and is_json(first):
        return None
    try:
        value = parsed(data)
    except Fault as fault:
        if first[:1] == b"[":
            raise DataError(f"{path}: {fault}") from None
        if first.strip() == b"{" and others:
            raise DataError(f"{path}: got objects over several lines, expected one a "
                            "line; jq -c . FILE makes such a file") from None
        return None
    rows = rows_in(value)
    return None if rows == [value] and not others else numbered(rows)


def is_json(line: bytes) -> bool:
    """Can the line be read alone?"""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def rows_in(value: Any) -> list:
    """Rows of a JSON value: a list of them, or columns, as pandas writes them."""
    if isinstance(value, list):
        return value
    if {"columns", "data"} <= value.keys():
        return [dict(zip(value["columns"], cells)) for cells in value["data"]]
    for name in ("data", "rows", "train", "examples"):
        if isinstance(value.get(name), list):
            return value[name]
    columns = list(value.values())
    if all(isinstance(column, dict) and "0" in column for column in columns):
        columns = [list(column.values()) for column in columns]
    elif not all(isinstance(column, list) and column and not isinstance(column[0], dict)
                 for column in columns):
        return [value]
    if len(set(map(len, columns))) != 1:
        return [value]
    return [dict(zip(value, cells)) for cells in zip(*columns)]


def of_lines(data: bytes) -> Rows:
    """The rows of JSON Lines by number of line; empty lines at the end are none."""
    found, offset, lines = Rows(mark=":"), 0, data.split(b"\n")
    filled = len(data.rstrip().split(b"\n")) if data.strip() else 0
    for number, line in enumerate(lines[:filled], start=1):
        try:
            row = parsed(line, offset)
            if not isinstance(row, dict):
                raise not_an_object(row)
            found.rows[number] = row
        except Unreadable as fault:
            cut = number == len(lines)             # no line end after it
            found.bad[number] = CUT if cut else fault
        except Fault as fault:
            found.bad[number] = fault
        offset += len(line) + 1
    return found


CUT = Fault("row", "a file that ends mid-row", "a whole last row", "download it again")


class Unreadable(Fault):
    """Bytes that are no JSON: of a last line, perhaps only its beginning."""


def parsed(line: bytes, offset: int = 0) -> Any:
    """The JSON value of bytes that begin at byte `offset` of their file."""
    try:
        return json.loads(line.decode(), object_pairs_hook=without_duplicates,
                          parse_constant=refuse_constant)
    except Fault:
        raise
    except UnicodeDecodeError as error:
        place = f"bytes that are not UTF-8 at byte {offset + error.start} of the file"
        raise Unreadable("row", place, "UTF-8", UTF_8) from None
    except json.JSONDecodeError as error:
        raise Unreadable("row", f"no JSON at column {error.colno} ({error.msg})",
                         "one object a line",
                         "mend or delete the line, or export the file again") from None
    except (ValueError, RecursionError) as error:       # digits over 4,300; [[[[...
        raise Fault("row", str(error), "JSON of ordinary size",
                    "drop the row") from None


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's object, without Python's habit of keeping the last of two equal keys."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise Fault(repr(name), f"the key {count} times", "once", "keep one")
    return dict(pairs)


def refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python takes for JSON."""
    raise Fault("row", name, "a finite number", "leave the field out; JSON has no such")
