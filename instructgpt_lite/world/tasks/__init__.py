"""What people ask for: the ten use cases of Table 1 of the paper.

Each is three functions. `ask(facts, rng)` gives an instruction and its key, the little
a judge must know; `answer(key, rng)` gives a perfect response; `judge(key, told)` gives
the share of what was asked that a response delivers, in [0, 1], from its recognised
sentences.

questions    what has one right answer        writing    what has many
"""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from instructgpt_lite.world.facts import Fact
from instructgpt_lite.world.tasks import questions, writing
from instructgpt_lite.world.words import Told


class Task(NamedTuple):
    """A use case: its share of prompts in Table 1, in per cent, and its functions."""

    share: float
    ask: Callable[[list[Fact], Random], tuple[str, dict]]
    answer: Callable[[dict, Random], str]
    judge: Callable[[dict, Told], float]


def _task(share: float, home: Any, name: str) -> Task:
    """By its functions; where one text is right, answer and judge go by the key."""
    return Task(share, getattr(home, f"ask_{name}"),
                getattr(home, f"answer_{name}", questions.answer_text),
                getattr(home, f"judge_{name}", questions.judge_text))


TASKS = {
    "generation": _task(45.6, writing, "generation"),
    "open QA": _task(12.4, questions, "open_qa"),
    "brainstorming": _task(11.2, writing, "brainstorming"),
    "chat": _task(8.4, writing, "chat"),
    "rewrite": _task(6.6, questions, "rewrite"),
    "summarization": _task(4.2, questions, "summary"),
    "classification": _task(3.5, questions, "classification"),
    "other": _task(3.5, questions, "other"),
    "closed QA": _task(2.6, questions, "closed_qa"),
    "extract": _task(1.9, questions, "extract"),
}
