"""Rows out of the bytes of a file, whatever form it has; nothing is ever unpickled.

    JSON Lines    one object a line; strict, every bad line is named
    JSON          a list of objects
    CSV, TSV      a header, then a row a record; lists in cells as JSON
    Parquet
    gzip          of any of these

Any other form is refused in a sentence that names it and a way to one of these.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructgpt_lite.data.archives import MOST
from instructgpt_lite.data.formats import ALIASES, STRUCTURE, Row
from instructgpt_lite.data.records import DataError, Fault, kind_of

SAVE = "save its rows as CSV (UTF-8) or Parquet"
FOREIGN = {      # what the first bytes tell: what it is, what to do
    rb"(?i)\s*<(!doctype|html|head|\?xml)": (
        "a web page", "download the file itself (/resolve/, not /blob/, on the Hub)"),
    rb"version https://git-lfs": (
        "a pointer of Git LFS in place of the file", "fetch it with `git lfs pull`"),
    rb"\x80[\x02-\x05]|PK\x03\x04.*data\.pkl": (
        "a Python pickle, which may run code and is never opened", SAVE),
    rb"\xd0\xcf\x11\xe0|PK\x03\x04.*xl/workbook": ("an Excel or Word file", SAVE),
    rb"PK\x03\x04|.{257}ustar|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd": (
        "an archive (zip, tar, 7z, rar), or a file packed by bzip2, xz or zstd",
        "unpack it (7z x FILE) and name the file that comes out"),
    rb"ARROW1|\xff\xff\xff\xff|\x89HDF|\x93NUMPY": ("Arrow, HDF5 or NumPy", SAVE),
    rb"SQLite format 3": ("an SQLite database", SAVE),
    rb"%PDF": ("a PDF", "look for the data itself"),
    rb"[{\[\"\w]\x00": ("UTF-16 without a mark", "save it as UTF-8"),
    rb"\s*\{\s*\n": ("objects over several lines", "jq -c . FILE puts each on one")}
UTF_8 = "save it as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8, if it comes from Excel)"
CUT = Fault("row", "a file that ends mid-row", "a whole last row", "download it again")


@dataclass
class Rows:
    """Rows and faults by number; `mark` stands between a file's name and a number."""

    rows: dict[int, Row] = field(default_factory=dict)
    bad: dict[int, Fault] = field(default_factory=dict)
    mark: str = ", row "


def rows_of(path: str | Path) -> Rows:
    """The rows of a file; of another form, DataError says what it is."""
    data = Path(path).read_bytes()
    while data.startswith(b"\x1f\x8b"):
        data = unpacked(data, path)
    if data.startswith(b"PAR1"):
        return of_parquet(data, path)
    refuse_foreign(data, path)
    text = text_of(data, path)
    if delimiter := delimiter_of(text, str(path)):
        return of_csv(text, delimiter, path)
    if text.lstrip()[:1] != "[":
        return of_lines(text, path)
    values = parsed(text)
    if isinstance(values, Fault):
        raise DataError(f"{path}: {values}")
    return numbered(values)


def refuse_foreign(data: bytes, path: str | Path) -> None:
    """DataError that says what the bytes are, where they are nothing to read."""
    for first, (what, way) in FOREIGN.items():
        if re.match(first, data.removeprefix(b"\xef\xbb\xbf"), re.DOTALL):
            raise DataError(f"{path}: got {what}, expected JSON, CSV or Parquet; {way}")


def unpacked(data: bytes, path: str | Path) -> bytes:
    """What is packed by gzip, up to MOST bytes."""
    try:
        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: got a packed file that is damaged or cut short "
                        f"({error}); download it again") from None
    if len(data) > MOST:
        raise DataError(f"{path}: got a packed file of more than {MOST:,} bytes; is it "
                        "the right one? Unpack it with gunzip, if so")
    return data


def of_parquet(data: bytes, path: str | Path) -> Rows:
    """The rows of a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    try:
        return numbered(parquet.read_table(pyarrow.BufferReader(data)).to_pylist())
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: got a Parquet file that is damaged or cut short "
                        f"({error!s:.80}); download it again") from None


def text_of(data: bytes, path: str | Path) -> str:
    """The text of bytes in UTF-8, or in UTF-16 with its mark, with line ends \n."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16", "surrogatepass") if marked else data.decode(
            "utf-8-sig")
    except UnicodeDecodeError as error:
        fault = CUT if error.reason.endswith("data") else Fault(
            "row", f"bytes that are not UTF-8 at byte {error.start} of the file",
            "UTF-8", UTF_8)
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: {fault}") from None
    return text if "\n" in text else text.replace("\r", "\n")     # of an old Mac


def numbered(values: Iterable[Any], mark: str = ", row ") -> Rows:
    """Rows counted from 1; what is a Fault, or no object, is a bad one."""
    found = Rows(mark=mark)
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            found.rows[number] = value
        elif isinstance(value, Fault):
            found.bad[number] = value
        else:
            found.bad[number] = Fault("row", f"a {type(value).__name__}", "an object "
                                      "{...}", "write one object for each row")
    return found


def delimiter_of(text: str, name: str) -> str:
    """What parts the cells, if the first line is a header of CSV; else ""."""
    line = text.partition("\n")[0].strip()
    delimiter = max(",;\t", key=line.count)
    cells = {cell.strip('" \r').lower() for cell in line.split(delimiter)}
    words = STRUCTURE.union(ALIASES, *ALIASES.values())
    table = re.search(r"\.[ct]sv\b", name.lower()) or cells & words
    return delimiter if table and len(cells) > 1 and line[0] not in "{[" else ""


def of_csv(text: str, delimiter: str, path: str | Path) -> Rows:
    """The rows of a CSV file."""
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter,
                           strict=True)
    try:
        for name, count in Counter(table.fieldnames).items():
            if count > 1:
                raise csv.Error(f"{count} columns are called {name!r}: keep one")
        return numbered(map(cells_of, table))
    except csv.Error as error:
        raise DataError(f"{path}: got no whole CSV after line {table.line_num} "
                        f"({error}); save it again, or as JSON Lines") from None


def cells_of(row: dict[str, Any]) -> Row | Fault:
    """A row of text, of lists of texts and ranks, and of chats, the lists as JSON."""
    if None in row or None in row.values():
        return Fault("row", "more or fewer cells than the header has",
                     f"{len(row.keys() - {None})}",
                     "quote text with the delimiter or line ends in it")
    for name, text in row.items():
        if name in ("completions", "ranks") or re.match(r"\[\s*\{", text):
            row[name] = parsed(text)
            if isinstance(row[name], Fault):
                return Fault(name, kind_of(text), "a list as JSON", "save the table "
                             "as Parquet or JSON Lines, which keep lists")
    return row


def of_lines(text: str, path: str | Path) -> Rows:
    """The rows of JSON Lines by number of line; empty lines at the end are none."""
    lines = text.split("\n")
    filled = text.rstrip().count("\n") + 1 if text.strip() else 0
    values = [parsed(line, torn=number == len(lines))      # no line end after it
              for number, line in enumerate(lines[:filled], start=1)]
    if filled == 1 and isinstance(values[0], dict) and is_table(values[0]):
        raise DataError(f"{path}: got one object of columns, or with the rows under a "
                        "key, expected an object for each row; with pandas, "
                        'frame.to_json(FILE, orient="records", lines=True) writes such '
                        "a file, and jq -c '.KEY[]' FILE takes rows out from under KEY")
    return numbered(values, ":")


def is_table(value: Row) -> bool:
    """Is an object no row, but a table: lists and objects, and none of them a chat?"""
    firsts = [part[0] if isinstance(part, list) and part else part
              for part in value.values()]
    chats = [isinstance(first, dict) and first.keys() & {"role", "from"}
             for first in firsts]
    return bool(value) and not any(chats) and all(
        isinstance(part, list | dict) for part in value.values())


def parsed(text: str, torn: bool = False) -> Any:
    """The value of a JSON text, or a Fault. torn: it may be only a beginning."""
    try:
        return json.loads(text, object_pairs_hook=without_duplicates,
                          parse_constant=refuse_constant)
    except Fault as fault:
        return fault
    except json.JSONDecodeError as error:
        return CUT if torn else Fault(
            "row", f"no JSON at column {error.colno} ({error.msg})",
            "one object a line", "mend or delete the line, or export the file again")
    except (ValueError, RecursionError) as error:       # digits over 4,300; [[[[...
        return Fault("row", str(error), "JSON of ordinary size", "drop the row")


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's object, without Python's habit of keeping the last of two equal keys."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise Fault(repr(name), f"the key {count} times", "once", "keep one")
    return dict(pairs)


def refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python takes for JSON."""
    raise Fault("row", name, "a finite number", "leave the field out; JSON has no such")
