"""Files that are written whole or not at all, and the log of metrics.

Readers never see half a file: what is new is written under a temporary name, flushed to the disk and
renamed. Errors say which file, how many bytes it needs and how many are free.
"""

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp"                   # ends the name of what is not whole yet, or no longer


def write_json(path: Path | str, obj: Any) -> None:
    """Write `obj` as JSON, whole or not at all; OSError leaves what was there before."""
    _write(Path(path), (json.dumps(obj, indent=1) + "\n").encode())


def read_metrics(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a metrics file; a torn last line, still being written or cut by a crash, is no row."""
    rows = []
    for number, line in enumerate(_lines(Path(path)), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}:{number} is not JSON ({error}); remove that line") from error
    return rows


class Metrics:
    """A log of rows, one line of JSON each (metrics.jsonl), for one writer and any number of readers."""

    def __init__(self, path: Path | str) -> None:
        """Open or make the file at `path`, and drop a torn last line."""
        self.path = Path(path)
        self.path.touch()
        os.truncate(self.path, len(b"".join(_lines(self.path))))

    def append(self, row: dict[str, Any]) -> None:
        """Add one row, which is in the file when this returns; OSError leaves no part of it behind."""
        line = (json.dumps(row) + "\n").encode()
        with open(self.path, "ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                file.truncate(end)
                raise cannot_save(self.path, len(line), error) from error

    def keep(self, stage: str, step: int) -> None:
        """Drop the rows after `step` of `stage`, so that a run that goes on from there repeats none.

        Rows have the keys "stage" and "step" and stand in the order in which they were made.
        """
        rows = read_metrics(self.path)
        done = [i for i, row in enumerate(rows) if row["stage"] == stage and row["step"] <= step]
        ahead = [i for i, row in enumerate(rows) if row["stage"] == stage and row["step"] > step]
        end = done[-1] + 1 if done else ahead[0] if ahead else len(rows)
        _write(self.path, b"".join(_lines(self.path)[:end]))


def flush(path: Path) -> None:
    """Wait until the file or the folder at `path` is on the disk."""
    if path.is_dir() and os.name == "nt":    # Windows flushes no folders
        return
    number = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def cannot_save(path: Path, needed: int, error: Exception) -> OSError:
    """The error of the disk or of safetensors, as one that names the path, the bytes and the way out."""
    told = re.search(r"os error (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(told[1]) if told else errno.EIO)
    place = next(folder for folder in path.absolute().parents if folder.is_dir())
    return OSError(number, f"could not save {path} ({os.strerror(number)}): it needs {needed:,} bytes, and "
                           f"{shutil.disk_usage(place).free:,} are free on that disk. What was saved before "
                           "is intact; make room, or choose another folder, and run again")


def _lines(path: Path) -> list[bytes]:
    """The whole lines of a file, each with its newline."""
    return [line + b"\n" for line in path.read_bytes().split(b"\n")[:-1]]


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        temporary.write_bytes(data)
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        if temporary.is_file():
            temporary.unlink()
        raise cannot_save(path, len(data), error) from error
