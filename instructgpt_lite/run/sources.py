"""Where a run has its data from, by its configuration: the tiny world, or people."""

from pathlib import Path

from instructgpt_lite.config import Reviews, Run
from instructgpt_lite.data.fetch import ITEMS, fetched
from instructgpt_lite.data.hub import model_folder
from instructgpt_lite.data.instructions import instructions
from instructgpt_lite.data.protocols import Source
from instructgpt_lite.data.reviews import reviews
from instructgpt_lite.models.loading import open_tokenizer
from instructgpt_lite.world.world import World


def open_source(config: Run) -> Source:
    """The source that a run asks for; FileNotFoundError says what is to be fetched."""
    if config.data is None:
        return World(config.world)
    if isinstance(config.data, Reviews):
        return reviews(config, located(config.data.ratings), located(config.data.text))
    return instructions(config, open_tokenizer(located(config.base_model)))


def located(name: str | Path) -> Path:
    """A folder or file, what was fetched under that name, or a model of the Hub."""
    if Path(name).exists():
        return Path(name)
    return fetched(name) if name in ITEMS else model_folder(name)
