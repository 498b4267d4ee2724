"""Datasets of the Hugging Face Hub at a commit, or folders in its layout, to records.

A folder may hold JSON Lines, CSV or Parquet in any number of files, or what `datasets`
has saved. Which columns are known: formats.py.
"""

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from instructgpt_lite.data.formats import Row
from instructgpt_lite.data.jsonl import records_of
from instructgpt_lite.data.records import DataError, Record
from instructgpt_lite.data.rows import numbered

PATIENCE = 5                          # seconds until the Hub counts as out of reach
BUSY = 429, 500, 502, 503, 504        # what the Hub says when it cannot answer now


def read_hub(name: str, kind: type, revision: str = "", split: str = "train",
             subset: str | None = None, **options: Any) -> list[Record]:
    """The records of one split, all of one kind, as `read_jsonl` gives those of a file.

    revision: the 40 signs of a commit. options: drop_bad and prompt_column, as there.
    ConnectionError within seconds when the Hub cannot be reached.
    """
    found = numbered([*rows(name, revision, split, subset)])
    return records_of(kind, f"{name}, {split}", found, **options)


def rows(name: str, revision: str, split: str, subset: str | None,
         streaming: bool = False) -> Iterable[Row]:
    """The dataset itself, from a folder or from the Hub; streamed, if it is large."""
    import datasets

    if not Path(name).is_dir():
        check_commit("revision", f"{name}@{revision}", "")
        if not datasets.config.HF_HUB_OFFLINE:
            check_reachable(datasets.config.HF_ENDPOINT, f"datasets/{name}")
    try:
        saved = ("state.json", "dataset_dict.json")
        if any((Path(name) / file).exists() for file in saved):
            found = datasets.load_from_disk(name)
            return found[split] if isinstance(found, dict) else found
        return datasets.load_dataset(name, subset, split=split,
                                     revision=revision or None, streaming=streaming)
    except ConnectionError as error:
        raise ConnectionError(f"{name} at {revision} is not in the cache and the Hub "
                              f"is out of reach ({error}); unset HF_HUB_OFFLINE, or "
                              "give a folder with its files") from error
    except (datasets.exceptions.DatasetsError, FileNotFoundError, KeyError,
            RuntimeError) as error:                # no such split; code of its own
        why = error.__cause__ or error
        raise DataError(f"{name}: no dataset could be read ({why!s:.300}); check "
                        "name, revision and subset, or `hf auth login` if gated"
                        ) from error


def model_folder(name: str) -> Path:
    """The folder of NAME@COMMIT, from the Hub or its cache: no pickles, no code.

    ValueError without a commit, ConnectionError within seconds when out of reach.
    """
    from huggingface_hub import constants, errors, snapshot_download
    check_commit("base_model", name, "a folder, what was fetched, or NAME@COMMIT with ")
    name, _, commit = name.partition("@")
    if not constants.HF_HUB_OFFLINE:
        check_reachable(constants.ENDPOINT, f"models/{name}")
    files = ["*.safetensors", "*.json", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=files))
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError) as error:
        way = "unset HF_HUB_OFFLINE to fetch it" if constants.HF_HUB_OFFLINE else (
            f"{constants.ENDPOINT} refuses it ({type(error).__name__}), so check the "
            "name, or `hf auth login` if it is private or gated")
        raise FileNotFoundError(f"{name}@{commit} is not in the cache: {way}, or give "
                                "a folder with its files") from error


def check_commit(field: str, name: str, instead: str) -> None:
    """ValueError unless it is NAME@COMMIT, so that what is read cannot change."""
    if not re.search("@[0-9a-f]{40}$", name):
        raise ValueError(f"{field}: got {name!r}, expected {instead}the 40 signs of a "
                         "commit on the Hub, so that what is read cannot change")


def check_reachable(endpoint: str, about: str) -> None:
    """ConnectionError, within seconds, unless the Hub's interface answers about that.

    Its front page may be there when its interface is not.
    """
    address = f"{endpoint}/api/{urllib.parse.quote(about)}"
    try:
        urllib.request.urlopen(address, timeout=PATIENCE).close()
    except OSError as error:
        if getattr(error, "code", 500) not in BUSY:        # a refusal is an answer
            return
        why = getattr(error, "reason", error)
        raise ConnectionError(f"{endpoint} cannot be reached ({why}): check the "
                              "network; or set HF_HUB_OFFLINE=1 to take what was "
                              "downloaded; or give a folder with the files") from error
