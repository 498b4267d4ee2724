"""Where a run has its data from, by its configuration: the tiny world, or people."""

from pathlib import Path

from instructgpt_lite.config import Reviews, Run
from instructgpt_lite.data.fetch import ITEMS, fetched
from instructgpt_lite.data.hub import model_folder
from instructgpt_lite.data.instructions import check_named, instructions
from instructgpt_lite.data.protocols import Source
from instructgpt_lite.data.reviews import reviews
from instructgpt_lite.models.loading import open_tokenizer
from instructgpt_lite.world.world import World


def open_source(config: Run) -> Source:
    """The source that a run asks for; FileNotFoundError says how to get what lacks.

    ValueError where the configuration does not say what to read.
    """
    data = config.data
    if data is None:
        return World(config.world)
    if not config.base_model:
        raise ValueError("base_model is empty: name a fetched model, a folder or one "
                         "on the Hub, since this data has no words of its own")
    if isinstance(data, Reviews):
        return reviews(config, file("ratings", data.ratings), file("text", data.text))
    check_named(data)
    return instructions(config, open_tokenizer(located(config.base_model)))


def file(flag: str, name: str) -> Path:
    """A file, or what was fetched under that name."""
    if Path(name).is_file() or name in ITEMS:
        return Path(name) if Path(name).is_file() else fetched(name)
    raise FileNotFoundError(f"--data.{flag} {name}: no such file; what can be fetched "
                            f"is called {', '.join(ITEMS)}")


def located(name: str | Path) -> Path:
    """A model's folder, what was fetched under that name, or one of the Hub."""
    if Path(name).is_dir():
        return Path(name)
    return fetched(name) if name in ITEMS else model_folder(name)
