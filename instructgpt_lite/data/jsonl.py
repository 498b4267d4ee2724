"""Files of records: strict reading, whole writing.

No row is skipped in silence: one DataError names the bad ones, as "file:line: field:
got X, expected Y; what to do". What is worth a word but no error is one warning.
"""

import json
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from instructgpt_lite.data.conversations import unfolded
from instructgpt_lite.data.curation import contradictions
from instructgpt_lite.data.formats import could_ask, from_row, to_row
from instructgpt_lite.data.records import DataError, Fault, Ranking, Record
from instructgpt_lite.data.rows import Rows, rows_of
from instructgpt_lite.files import write_bytes


def read_jsonl(path: str | Path, kind: type, *, allow_empty: bool = False,
               drop_bad: bool = False, prompt_column: str = "",
               notes: Counter[str] | None = None) -> list[Record]:
    """The records of a file, all of one kind, in any form of rows.py and formats.py.

    allow_empty: responses may be empty text. drop_bad: bad rows are left out with a
    warning. prompt_column: where the prompt stands. notes: what is left out is counted
    here, too. DataError names all bad rows.
    """
    return records_of(kind, str(path), rows_of(path), allow_empty, drop_bad,
                      prompt_column, notes)


def records_of(kind: type, name: str, found: Rows, allow_empty: bool = False,
               drop_bad: bool = False, prompt_column: str = "",
               notes: Counter[str] | None = None) -> list[Record]:
    """The records that the rows of `name` hold."""
    notes = Counter() if notes is None else notes
    found = unfolded(kind, found, notes)
    records, bad = {}, found.bad
    rivals = could_ask(found.rows.values())
    for number, row in found.rows.items():
        try:
            record = from_row(kind, row, prompt_column, rivals, notes)
            if record is None:
                continue
            if not allow_empty and not all(map(str.strip, record.responses)):
                raise Fault("completion", "an empty response", "text", "drop the row")
            records[number] = record
        except Fault as fault:
            bad[number] = fault
    if kind is Ranking:
        bad |= contradictions(records)
    good = [record for number, record in records.items() if number not in bad]
    faults, total = listed(name + found.mark, bad), len(found.rows.keys() | bad.keys())
    if bad and not (drop_bad and good):
        way = " (drop_bad, --drop-bad, leaves such rows out)" if good else ""
        raise DataError(f"{name}: {len(bad)} of {total} rows are bad; nothing was read"
                        + way, faults)
    if not good:
        why = f" ({'; '.join(notes)})" * bool(notes)
        raise DataError(f"{name}:1: row: got 0 usable rows of {total}{why}, expected "
                        "one or more; is it the right file?")
    told = [f"{note} in {count} rows" for note, count in notes.items()]
    if bad:
        told += [f"bad and left out: {len(bad)} of {total} rows, such as {faults[0]}"]
        notes["bad: left out"] = len(bad)
    if told:
        warnings.warn(f"{name}: {'; '.join(told[-8:])}", stacklevel=3)
    return good


def listed(place: str, bad: dict[int, Fault]) -> list[str]:
    """A line for each fault by rows; those alike but for numbers share one."""
    alike: dict[str, list[str]] = {}
    for number in sorted(bad):
        kind = re.sub(r"\d+", "#", str(bad[number]))
        alike.setdefault(kind, []).append(f"{place}{number}: {bad[number]}")
    return [first + f" (and {len(more)} more rows like it)" * bool(more)
            for first, *more in alike.values()]


def write_jsonl(path: str | Path, records: Sequence[Record]) -> None:
    """Write records of one kind; `read_jsonl` gives the same records back."""
    kinds = {type(record).__name__ for record in records}
    if len(kinds) != 1:
        got = " and ".join(sorted(kinds)) or "none"
        raise ValueError(f"records: got {got}, expected records of one kind; write a "
                         "file for each")
    rows = [json.dumps(to_row(record), ensure_ascii=False) + "\n" for record in records]
    write_bytes(path, "".join(rows).encode())
