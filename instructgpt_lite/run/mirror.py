"""A second place for a run, such as a mounted drive: a fresh machine goes on from it.

    mirror.json        name and sha256 of each file of the run
    files/SHA256       their bytes

A file is whole there before mirror.json names it, so stopped anywhere, even killed, the
mirror holds the run as it was at a checkpoint or at the end of a stage.
"""

import json
import shutil
import warnings
from pathlib import Path

from instructgpt_lite.files import TEMPORARY, digests, replacing, write_json
from instructgpt_lite.run.folder import Damaged, RunFolder

NEEDED = ("config.json", "stages.json", "metrics.jsonl")     # nothing makes them again


class Mirror:
    """Where a run is copied to, or, without a path, nowhere."""

    def __init__(self, path: Path | str | None) -> None:
        """ValueError where the folder around it is missing: a drive not mounted."""
        self.path, self.failed = Path(path) if path else None, False
        if self.path and not self.path.absolute().parent.is_dir():
            raise ValueError(f"{self.path.absolute().parent} is not there, so nothing "
                             "can be copied to it: mount the drive, or name another "
                             "--mirror")

    def restore(self, folder: RunFolder) -> None:
        """Copy the run back where the folder has none; warns of each damaged file.

        ValueError where the mirror holds another run, or what nothing makes again is
        damaged; OSError where it cannot be read.
        """
        there = self.names() if self.path else {}
        config = folder.path / "config.json"
        if config.exists():
            if there and there["config.json"] not in digests(config, config).values():
                raise ValueError(f"{self.path} holds another run than {folder.path}: "
                                 "name another --mirror, or the --out it belongs to")
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
                if old.name not in now.values():
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
        except ValueError as error:
            raise Damaged(f"{listing} is not JSON ({error}): begin anew with another "
                          "--mirror") from error
        for name in (*names, *names.values()):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise Damaged(f"{listing} names {name}, which is outside the run")
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
