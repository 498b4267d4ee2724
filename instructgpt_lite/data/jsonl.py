"""Files of records, in JSON Lines: one row of JSON a line, UTF-8.

Reading is strict: every bad row is found, none is skipped, and one DataError names them all as
"file:line: field: got X, expected Y; what to do". Writing is atomic: a crash or a full disk leaves the
old file or the new one, never half of one.
"""

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from instructgpt_lite.data.audit import contradictions, length_baseline
from instructgpt_lite.data.formats import from_rows, grouped, known, to_rows
from instructgpt_lite.data.records import DataError, Fault, Ranking, Record
from instructgpt_lite.files import write_bytes

BOM = b"\xef\xbb\xbf"
CUT = Fault("row", "a file that ends mid-row", "a whole last row",
            "download it again, or read with drop_truncated_tail")


def read_jsonl(path: str | Path, kind: type, *, allow_empty: bool = False, allow_contradictions: bool = False,
               drop_truncated_tail: bool = False) -> list[Record]:
    """The records of a file, all of one kind (Prompt, Demonstration or Ranking), in any form of formats.py.

    allow_empty: responses may be empty text. allow_contradictions: one labeler may rank two responses
    both ways. drop_truncated_tail: a last row that was cut off is dropped, with a warning; a file cut
    exactly between two rows cannot be told from a whole one. Unknown fields are kept in `extra`, with one
    warning; another warning tells when length alone explains the rankings. Raises DataError.
    """
    rows, bad = parsed_rows(Path(path).read_bytes(), drop_truncated_tail, str(path))
    records = {}
    for line, group in grouped(rows).items():
        try:
            record = from_rows(kind, group)
            if not allow_empty and not all(response.strip() for response in record.responses):
                raise Fault("completion", "an empty response", "text",
                            "drop the row, or read with allow_empty")
            records[line] = record
        except Fault as fault:
            bad[line] = fault
    if kind is Ranking and not allow_contradictions:
        bad |= contradictions(records)
    if bad:
        raise DataError(f"{path}: {len(bad)} bad of {len(rows.keys() | bad.keys())} rows; nothing was read",
                        [f"{path}:{line}: {bad[line]}" for line in sorted(bad)])
    if not records:
        raise DataError(f"{path}:1: row: got 0 usable rows, expected at least one; is it the right file?")
    warn_of_extra(path, kind, records.values())
    if kind is Ranking:
        warn_of_length(path, list(records.values()))
    return list(records.values())


def parsed_rows(data: bytes, drop_tail: bool, path: str) -> tuple[dict[int, dict], dict[int, Fault]]:
    """Line number to row, and line number to what is wrong with it."""
    rows, bad, offset = {}, {}, len(BOM) if data.startswith(BOM) else 0
    lines = data[offset:].split(b"\n")
    whole = lines[-1] == b""
    for number, line in enumerate(lines[:-1] if whole else lines, start=1):
        try:
            row = parsed(line, offset)
            if not isinstance(row, dict):
                raise Fault("row", f"a {type(row).__name__}", "an object {...}", "write one object a line")
            rows[number] = row
        except Unreadable as fault:
            cut = number == len(lines)             # a whole file ends in an empty piece, left out above
            if cut and drop_tail:
                warnings.warn(f"{path}:{number}: dropped the last row, which is cut off", stacklevel=3)
            else:
                bad[number] = CUT if cut else fault
        except Fault as fault:
            bad[number] = fault
        offset += len(line) + 1
    return rows, bad


class Unreadable(Fault):
    """Bytes that are no JSON: of a last line, perhaps only its beginning."""


def parsed(line: bytes, offset: int) -> object:
    """The JSON value of one line that begins at byte `offset` of its file."""
    try:
        return json.loads(line.decode(), object_pairs_hook=without_duplicates, parse_constant=refuse_constant)
    except Fault:
        raise
    except UnicodeDecodeError as error:
        raise Unreadable("row", f"bytes that are not UTF-8 at byte {offset + error.start} of the file",
                         "UTF-8", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable("row", f"no JSON at column {error.colno} ({error.msg})", "one object a line",
                         "mend the line, or export the file again") from None
    except (ValueError, RecursionError) as error:      # a number of over 4,300 digits; brackets in brackets
        raise Fault("row", str(error), "JSON of ordinary size", "drop the row") from None


def without_duplicates(pairs: list[tuple[str, object]]) -> dict:
    """JSON's object, without Python's habit of keeping the last of two equal keys."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise Fault(repr(name), f"the key {count} times", "once", "keep the one that is meant")
    return dict(pairs)


def refuse_constant(name: str) -> None:
    raise Fault("row", name, "a finite number", "leave the field out; JSON has no such number")


def warn_of_extra(path: str | Path, kind: type, records: Sequence[Record]) -> None:
    """One warning for all fields that no one knows, with the likely misspellings."""
    counts = Counter(name for record in records for name in record.extra if name != "conversation")
    notes = []
    for name, count in counts.items():
        near = get_close_matches(name, known(kind), n=1)
        notes.append(f"{name!r} in {count} rows" + (f" (did you mean {near[0]!r}?)" if near else ""))
    if notes:
        warnings.warn(f"{path}: fields kept in `extra`: {', '.join(notes)}", stacklevel=3)


def warn_of_length(path: str | Path, rankings: Sequence[Ranking],
                   limit: float = 0.9, enough: int = 50) -> None:
    """Warn when the length of the responses alone orders over `limit` of at least `enough` pairs."""
    share, pairs = length_baseline(rankings)
    if pairs >= enough and share > limit:
        warnings.warn(f"{path}: length alone explains {share:.0%} of {pairs} pairs; a reward model may learn"
                      " nothing else. Are chosen and rejected swapped, or responses cut?", stacklevel=3)


def write_jsonl(path: str | Path, records: Sequence[Record], *, form: str = "ours",
                conversational: bool = False) -> None:
    """Write records of one kind in a form of formats.py; `read_jsonl` gives the same records back."""
    kinds = {type(record).__name__ for record in records}
    if len(kinds) != 1:
        raise ValueError(f"records: got {' and '.join(sorted(kinds)) or 'none'}, expected records of one"
                         " kind; write a file for each")
    rows = [row for number, record in enumerate(records)
            for row in to_rows(record, form, conversational, number)]
    write_bytes(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
