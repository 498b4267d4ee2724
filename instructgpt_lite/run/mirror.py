"""A second place for a run, such as a mounted drive: a fresh machine goes on from it.

    mirror.json        name and sha256 of each file of the run
    files/SHA256       their bytes

A file is whole there before mirror.json names it, so stopped anywhere, even killed, the
mirror holds the run as it was at a checkpoint or at the end of a stage.
"""

import json
import os
import shutil
import warnings
from pathlib import Path

from instructgpt_lite.files import TEMPORARY, digests, replacing, write_json
from instructgpt_lite.run.folder import Damaged, RunFolder

NEEDED = ("config.json", "stages.json", "metrics.jsonl")     # nothing makes them again


class Mirror:
    """Where a run is copied to, or, without a path, nowhere."""

    def __init__(self, path: Path | str | None) -> None:
        """ValueError where a drive is not mounted, or the place holds other things."""
        self.path, self.failed = Path(path) if path else None, False
        if self.path and not self.path.absolute().parent.is_dir():
            raise ValueError(f"{self.path.absolute().parent} is not there, so nothing "
                             "can be copied to it: mount the drive, or name another "
                             "--mirror")
        if self.path and self.path.exists():
            found = os.listdir(self.path) if self.path.is_dir() else ["a file"]
            if found and not {"files", "mirror.json"} & {*found}:
                raise ValueError(f"{self.path} holds other things than a mirror: name "
                                 "an empty --mirror, or one that is not there yet")

    def restore(self, folder: RunFolder) -> None:
        """Copy the run back where the folder has none; warns of each damaged file.

        ValueError where the mirror is in that folder or holds another run, or what
        nothing makes again is damaged; OSError where it cannot be read.
        """
        there = self.names() if self.path else {}
        config = folder.path / "config.json"
        if there and digests(config, folder.path).items() - there.items():
            raise ValueError(f"{self.path} holds another run than {folder.path}: name "
                             "another --mirror, or the --out it belongs to")
        if self.path and self.path.resolve().is_relative_to(folder.path.resolve()):
            raise ValueError(f"--mirror {self.path} is in the run's own folder, "
                             f"{folder.path}: name a place outside of it")
        if config.exists():
            return
        for name in sorted(there, key="config.json".__eq__):     # last: all is there
            path = folder.path / name
            try:
                copy(self.path / "files" / there[name], path, there[name])
            except (Damaged, FileNotFoundError) as damage:
                if name in NEEDED:
                    raise Damaged(f"{name} of the mirror is lost ({damage}): begin "
                                  "anew with another --mirror") from damage
                warnings.warn(f"{name} of the mirror is lost ({damage}): what it was "
                              "for is made again", stacklevel=2)

    def keep(self, folder: RunFolder) -> None:
        """Copy what is new; an error is a warning, once, and the run goes on."""
        if not self.path:
            return
        try:
            now = saved(folder)
            (self.path / "files").mkdir(parents=True, exist_ok=True)
            for name, digest in now.items():
                path, place = folder.path / name, self.path / "files" / digest
                if not place.exists() or place.stat().st_size != path.stat().st_size:
                    copy(path, place, digest)
            write_json(self.path / "mirror.json", now)
            for old in (self.path / "files").iterdir():
                if old.name not in now.values() and len(old.stem) == 64:
                    old.unlink()
        except (OSError, Damaged) as error:
            if not self.failed:
                warnings.warn(f"the mirror {self.path} is behind ({error}); the run "
                              "goes on, and tries again at each checkpoint",
                              stacklevel=2)
            self.failed = True

    def names(self) -> dict[str, str]:
        """The sha256 of each file by its name; Damaged where one may not be written."""
        listing = self.path / "mirror.json"
        try:
            names = json.loads(listing.read_bytes()) if listing.exists() else {}
            paths = [Path(name) for name in (*names, *names.values())]
        except (ValueError, AttributeError, TypeError) as error:
            raise Damaged(f"{listing} is no list of files ({error}): begin anew with "
                          "another --mirror") from error
        for path in paths:
            if path.is_absolute() or ".." in path.parts:
                raise Damaged(f"{listing} names {path}, which is outside the run: "
                              "begin anew with another --mirror")
        return names


def saved(folder: RunFolder) -> dict[str, str]:
    """The sha256 of each file of a run, as it was saved; of others, as it is now."""
    known = {}
    for record in folder.stages.values():
        known |= record.get("files", {})
    for path in folder.path.glob("checkpoints/*/*.json"):
        inside = path.parent.relative_to(folder.path)
        for name, digest in json.loads(path.read_bytes()).items():
            known[(inside / name).as_posix()] = digest
    names = [path.relative_to(folder.path).as_posix()
             for path in sorted(folder.path.rglob("[!.]*")) if path.is_file()]
    return {name: known.get(name) or digests(folder.path / name, folder.path)[name]
            for name in names                    # a thread writes to tensorboard/
            if TEMPORARY not in name and not name.startswith("tensorboard/")}


def copy(source: Path, place: Path, digest: str) -> None:
    """Copy a file, whole or not at all; Damaged where its sha256 is another."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place, source.stat().st_size) as temporary:
        shutil.copyfile(source, temporary)
        if digest not in digests(temporary, temporary).values():
            raise Damaged(f"{source} is not what was saved")
