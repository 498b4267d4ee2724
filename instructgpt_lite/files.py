"""Files that are whole or not there, their digests, and the log of metrics."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp"                   # ends the name of what is not whole yet


@contextmanager
def replacing(path: Path | str, needs: int = 0) -> Iterator[Path]:
    """A temporary path to write a file or a folder at, which then takes `path`'s place.

    It is on the disk before it has its name. After an error nothing of the new is left
    and all of the old. needs: bytes, where they are known. OSError says the path, the
    bytes needed and free, and the way out.
    """
    path = Path(path)
    temporary = path.with_name(path.name + TEMPORARY)
    old = path.with_name(f"{path.name}.old{TEMPORARY}")
    _tidy(path, temporary, old)      # what a killed process left
    try:
        yield temporary
        for each in (*temporary.rglob("*"), temporary):
            flush(each)
        if path.is_dir():            # over which no folder can be renamed
            path.rename(old)
        temporary.replace(path)
        flush(path.parent)
    except Exception as error:
        if _is_of_the_disk(error, temporary):
            raise cannot_save(path, needs, error) from error
        raise
    finally:
        _tidy(path, temporary, old)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file, whole or not at all; OSError leaves what was there before."""
    with replacing(path, len(data)) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path | str, obj: Any) -> None:
    """Write `obj` as JSON, whole or not at all, as `write_bytes` does."""
    write_bytes(path, (json.dumps(obj, indent=1) + "\n").encode())


def digests(path: Path, root: Path) -> dict[str, str]:
    """SHA-256 of each file there that is not hidden, by its name seen from `root`."""
    found = {}
    for each in sorted(path.rglob("[!.]*")) if path.is_dir() else [path]:
        if each.is_file():
            with open(each, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[each.relative_to(root).as_posix()] = digest
    return found


def flush(path: Path) -> None:
    """Wait until the file or the folder at `path` is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def cannot_save(path: Path, needs: int, error: Exception) -> OSError:
    """The disk's or safetensors' error as one that says path, bytes and the way out."""
    in_words = re.search(r"os error (\d+)", str(error))
    number = int(in_words[1]) if in_words else getattr(error, "errno", errno.EIO)
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    needed = f"it needs {needs:,} bytes, and " if needs else ""
    free = shutil.disk_usage(folder).free
    return OSError(number, f"could not save {path} ({os.strerror(number)}): {needed}"
                   f"{free:,} are free on that disk. What was saved before is intact; "
                   "make room, or choose another folder, and run again")


def _tidy(path: Path, temporary: Path, old: Path) -> None:
    if old.exists() and not path.exists():
        old.rename(path)
    for each in (temporary, old):
        if each.is_dir():
            shutil.rmtree(each)
        elif each.exists():
            each.unlink()


def _is_of_the_disk(error: Exception, temporary: Path) -> bool:
    """Whether an error came from writing, and not from what was done in between."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
    if isinstance(error, OSError):
        return error.errno in full or str(error.filename).startswith(str(temporary))
    return "os error" in str(error)  # safetensors says it in words


class Metrics:
    """A log of rows, one line of JSON each: one writer, any number of readers."""

    def __init__(self, path: Path | str) -> None:
        """Open or make the file at `path`, and drop a torn last line."""
        self.path = Path(path)
        self.path.touch()
        os.truncate(self.path, self.path.read_bytes().rfind(b"\n") + 1)

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; OSError leaves no part of it behind."""
        line = (json.dumps(row) + "\n").encode()
        end = self.path.stat().st_size
        try:
            with open(self.path, "ab") as file:
                file.write(line)
        except OSError as error:
            os.truncate(self.path, end)
            raise cannot_save(self.path, len(line), error) from error

    def keep(self, stage: str, step: int) -> None:
        """Drop the rows of `stage` after `step`: a stage that goes on repeats none."""
        text = "".join(json.dumps(row) + "\n" for row in read_metrics(self.path)
                       if row["stage"] != stage or row["step"] <= step)
        write_bytes(self.path, text.encode())


def read_metrics(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a metrics file; a torn last line, still being written, is no row."""
    rows = []
    for number, line in enumerate(Path(path).read_bytes().split(b"\n")[:-1], start=1):
        try:
            rows.append(json.loads(line))
            if type(rows[-1]) is not dict or not {"stage", "step"} <= rows[-1].keys():
                raise ValueError("expected a stage and a step")
        except ValueError as error:
            raise ValueError(f"{path}:{number} is not JSON of a row ({error}): "
                             "remove that line") from error
    return rows
