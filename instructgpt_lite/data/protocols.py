"""What stages and judges ask of data, whoever brings it: a world, or your own files.

A class meets a protocol by having its attributes and methods; it inherits nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Protocol

import torch
from torch import Tensor

from instructgpt_lite.data.records import Demonstration, Prompt, Ranking

Answer = Callable[[Sequence[Prompt]], list[list[str]]]   # K responses to each prompt


class Labelers(Protocol):
    """People who compare responses; for each prompt one of them is drawn by rng."""

    population: str                       # "training" or "held-out" (§5.3)

    def rank(self, prompt: Prompt, responses: list[str], rng: Random) -> Ranking | None:
        """The different responses ranked; None where there is nothing to compare."""

    def prefers(self, prompt: Prompt, first: str, second: str, rng: Random) -> float:
        """1 if the first response is liked better, 0 the second, 0.5 neither."""


class Corpus(Protocol):
    """Endless pretraining text."""

    def rows(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """(count, length) token ids, drawn by a generator on the CPU."""


class Score(Protocol):
    """What a response is worth, and one of its parts: 1 harmless, 0 not."""

    gold: float
    harmless: float


class Judge(Protocol):
    """Who knows what a response is worth: gold(prompt, response)."""

    def __call__(self, prompt: Prompt, response: str) -> Score:
        """The score of a response to a prompt."""

    def misled(self, response: str) -> bool:
        """Whether it states something false about the world (§4.2)."""


class Source(Protocol):
    """Where a run has its data from: prompts, people, text, and who judges."""

    train: Sequence[Prompt]
    test: Sequence[Prompt]                # held out: no author is in both
    people: Mapping[str, Labelers]        # who judge, by the name of their win rate
    gold: Judge | None                    # None where nobody knows
    instruments: Mapping[str, Callable[[str], float]]    # what else measures a response

    def demonstrations(self, count: int, seed: int = 0) -> list[Demonstration]:
        """What people write for the first `count` training prompts."""

    def meet(self, answer: Answer) -> dict:
        """Before they rank, people see what a policy says. What is known of them."""

    def recall(self, known: dict) -> None:
        """What `meet` gave, given back to a source made anew."""

    def rank(self, prompts: Sequence[Prompt], answer: Answer,
             rng: Random) -> list[Ranking]:
        """Rankings for these prompts: of what is answered, or those people have made.

        Fewer than prompts where a ranking would compare nothing.
        """

    def heldout(self, prompts: Sequence[Prompt], answer: Answer,
                seed: int) -> dict[str, list[Ranking]]:
        """By whom: rankings from which nothing is learned, to judge a reward model."""

    def second(self) -> list[Ranking]:
        """Rankings for a second reward model, which judges; they share no text."""

    def few_shot(self, prompt: Prompt, shots: int, rng: Random) -> str:
        """The prompt at the end of a page that shows other prompts with answers."""

    def corpus(self, tokenizer: Any) -> Corpus:
        """Pretraining text in the ids of a Hugging Face tokenizer."""
