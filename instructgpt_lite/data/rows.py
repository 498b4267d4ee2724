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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructgpt_lite.data.archives import MOST
from instructgpt_lite.data.formats import ALIASES, STRUCTURE, Row
from instructgpt_lite.data.records import DataError, Fault, kind_of

CSV = "save it as CSV (UTF-8)"
TO_PARQUET = "save it as Parquet (to_parquet of pandas)"
FOREIGN = {      # what the first bytes tell: what it is, what to do
    rb"(?i)\s*<(!doctype|html|head|\?xml)": (
        "a web page", "download the file itself (/resolve/, not /blob/, on the Hub)"),
    rb"version https://git-lfs": (
        "a pointer of Git LFS in place of the file", "fetch it with `git lfs pull`"),
    rb"\x80[\x02-\x05]": (
        "a Python pickle, which may run code and is never opened", TO_PARQUET),
    rb"PK\x03\x04.*xl/workbook.xml": ("an Excel workbook", CSV),
    rb"PK\x03\x04.*data.pkl": (
        "pickles of PyTorch, which are never opened", TO_PARQUET),
    rb"PK\x03\x04|.{257}ustar|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd": (
        "an archive (zip, tar, 7z, rar), or a file packed by bzip2, xz or zstd",
        "unpack it (7z x FILE) and name the file that comes out"),
    rb"ARROW1|\xff\xff\xff\xff": ("an Arrow file", TO_PARQUET),
    rb"\xd0\xcf\x11\xe0": ("an Excel or Word file", CSV),
    rb"SQLite format 3": ("an SQLite database", CSV),
    rb"\x89HDF|\x93NUMPY": ("arrays of HDF5 or NumPy", TO_PARQUET),
    rb"%PDF": ("a PDF", "look for the data itself"),
    rb"[{\[\"\w]\x00": ("UTF-16 without a mark", "save it as UTF-8"),
    rb"\{\s*\n\s*\"": ("objects over several lines",
                       "jq -c . FILE puts one on a line")}
UTF_8 = "save it as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8, if it comes from Excel)"


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
    for first, (what, way) in FOREIGN.items():
        if re.match(first, data, re.DOTALL):
            raise DataError(f"{path}: got {what}, expected JSON, CSV or Parquet; {way}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "surrogatepass").encode("utf-8", "surrogatepass")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")                  # an old Mac's line ends
    if delimiter := delimiter_of(data, str(path)):
        return of_csv(data, delimiter, path)
    return of_list(data, path) if data.lstrip()[:1] == b"[" else of_lines(data, path)


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
    """The rows of a CSV file."""
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
    """What a cell says: text, or as JSON a list of texts, of ranks or of messages."""
    if name not in ("completions", "ranks") and not re.match(r"\[\s*\{", text):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise Fault(name, kind_of(text), "a list as JSON",
                    "save the table as Parquet or JSON Lines, which keep lists"
                    ) from None


def of_list(data: bytes, path: str | Path) -> Rows:
    """The rows of a JSON list."""
    try:
        return numbered(parsed(data))
    except Fault as fault:
        raise DataError(f"{path}: {fault}") from None


def of_lines(data: bytes, path: str | Path) -> Rows:
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
    if filled == 1 and found.rows and is_table(found.rows[1]):
        raise DataError(f"{path}: got one object of columns, or with the rows under a "
                        "key, expected an object for each row; with pandas, "
                        'frame.to_json(FILE, orient="records", lines=True) writes such '
                        "a file, and jq -c '.KEY[]' FILE takes rows out from under KEY")
    return found


def is_table(value: Row) -> bool:
    """Is an object no row, but a whole table: nothing in it is text or a chat?"""
    firsts = [part[0] if isinstance(part, list) and part else part
              for part in value.values()]
    return not any(isinstance(part, str) for part in value.values()) and not any(
        isinstance(first, dict) and first.keys() & {"role", "from"} for first in firsts)


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
