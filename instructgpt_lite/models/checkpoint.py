"""Checkpoints that no crash, full disk or flipped bit can pass off as whole.

A checkpoint is a folder of three files: `tensors.safetensors`, `info.json`, and `SHA256SUMS` with the
digests of both (`sha256sum -c SHA256SUMS` checks them by hand). It is written under a temporary name,
flushed to the disk and renamed, so a folder under its final name is whole. Nothing is ever unpickled.
"""

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from instructgpt_lite.files import TEMPORARY, cannot_save, flush

FORMAT = 1                           # of the folder; a newer one is refused
TENSORS, INFO, SUMS = "tensors.safetensors", "info.json", "SHA256SUMS"
PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}


class Damaged(ValueError):
    """A checkpoint whose files are not those that were saved; the message names the file."""


def save(folder: Path | str, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    info: JSON, without clock times: saving the same again does nothing, but where a valid checkpoint
    differs ValueError protects it. A damaged one gives way. Tensors that are one in memory are one on
    disk. OSError tells the bytes needed and free, and leaves whatever was saved before.
    """
    folder = Path(folder)
    stored_as, kept = _unshared(tensors)
    text = json.dumps({"format": FORMAT, "stored_as": stored_as, "info": info}, indent=1)
    temporary = folder.with_name(folder.name + TEMPORARY)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(kept, temporary / TENSORS)
        (temporary / INFO).write_text(text, encoding="utf-8")
        (temporary / SUMS).write_text(_sums(temporary), encoding="utf-8")
        for path in (*temporary.iterdir(), temporary):
            flush(path)
        _install(temporary, folder)
    except (OSError, SafetensorError) as error:
        needed = sum(tensor.nbytes for tensor in kept.values()) + len(text)
        raise cannot_save(folder, needed, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load(folder: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the info of a checkpoint; Damaged, unless they are what was saved."""
    folder = Path(folder)
    verify(folder)
    stored = json.loads((folder / INFO).read_text(encoding="utf-8"))
    if stored["format"] > FORMAT:
        raise ValueError(f"{folder / INFO}: format {stored['format']} is newer than {FORMAT}, the newest "
                         "that this version reads: pip install --upgrade instructgpt-lite")
    tensors = load_file(folder / TENSORS)
    return {name: tensors[place] for name, place in stored["stored_as"].items()}, stored["info"]


def verify(folder: Path | str) -> None:
    """Raise Damaged, naming the file, unless the files of a checkpoint are those that were saved."""
    folder = Path(folder)
    for path in folder.iterdir() if folder.is_dir() else [folder]:
        if path.suffix in PICKLES:
            raise Damaged(f"{path} is a pickle, which can run code when it is opened, and is never read: "
                          "if you trust it, write its tensors anew with safetensors.torch.save_file")
    for path in (folder / TENSORS, folder / INFO, folder / SUMS):
        if not path.is_file():
            raise Damaged(f"{path} is missing")
    said, found = (folder / SUMS).read_bytes(), _sums(folder)
    for line in found.splitlines():
        if line.encode() not in said:
            digest, name = line.split()
            raise Damaged(f"{folder / name} is not what was saved: it has {(folder / name).stat().st_size:,} "
                          f"bytes and the sha256 {digest}, which {SUMS} does not say")
    if said != found.encode():
        raise Damaged(f"{folder / SUMS} is not what was saved")


def newest(root: Path | str) -> Path | None:
    """The valid checkpoint whose name comes last (numbers by value), or None; warns of damaged ones."""
    return next(_valid(root), None)


def prune(root: Path | str, keep: int = 2) -> None:
    """Remove the checkpoints before the last `keep` valid ones, and temporary folders."""
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least one checkpoint must stay")
    for stray in Path(root).glob("*" + TEMPORARY):
        if stray.is_dir():
            shutil.rmtree(stray)
    kept, folders = list(islice(_valid(root), keep)), _folders(root)
    for old in folders[folders.index(kept[-1]) + 1:] if len(kept) == keep else []:
        shutil.rmtree(old.rename(old.with_name(old.name + TEMPORARY)))


def _unshared(tensors: dict[str, Tensor]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The name that each tensor is stored under, and the stored: dense, on the CPU, sharing no memory."""
    stored_as, kept, seen, storages = {}, {}, {}, set()
    for name, tensor in tensors.items():
        storage = (tensor.device, tensor.untyped_storage().data_ptr())
        view = (storage, tensor.storage_offset(), tensor.dtype, tensor.shape, tensor.stride())
        stored_as[name] = seen.setdefault(view, name) if tensor.numel() else name
        if stored_as[name] == name:
            dense = tensor.detach().cpu().contiguous()
            kept[name] = dense.clone() if storage in storages else dense
            storages.add(storage)
    return stored_as, kept


def _sums(folder: Path) -> str:
    """What SHA256SUMS must say of the files as they are."""
    lines = []
    for name in (INFO, TENSORS):
        with open(folder / name, "rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def _install(temporary: Path, folder: Path) -> None:
    """Give a new checkpoint its final name, unless the same is there already."""
    if folder.exists():
        try:
            verify(folder)
        except Damaged:
            if not {path.name for path in folder.iterdir()} <= {TENSORS, INFO, SUMS}:
                raise ValueError(f"{folder} holds other things than a checkpoint: choose another name") from None
            shutil.rmtree(folder)
        else:
            if (folder / SUMS).read_bytes() == (temporary / SUMS).read_bytes():
                return
            raise ValueError(f"{folder} already holds another checkpoint: remove it or choose another name")
    temporary.rename(folder)
    flush(folder.parent)


def _folders(root: Path | str) -> list[Path]:
    """The checkpoints at `root`, damaged ones too, from the last name to the first."""
    folders = [path for path in Path(root).glob("*") if not path.name.endswith(TEMPORARY)
               and ((path / TENSORS).exists() or (path / SUMS).exists())]
    return sorted(folders, reverse=True, key=lambda path: [
        int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)])


def _valid(root: Path | str) -> Iterator[Path]:
    for folder in _folders(root):
        try:
            verify(folder)
        except (Damaged, OSError) as error:
            warnings.warn(f"passed over a damaged checkpoint: {error}", stacklevel=3)
        else:
            yield folder
