"""What people ask for: the ten use cases of Table 1 of the paper.

Each is three functions. `ask(facts, rng)` gives an instruction and its key, the little
a judge must know; `answer(key, rng)` gives a perfect response; `judge(key, told)` gives
the share of what was asked that a response delivers, in [0, 1], from its recognised
sentences.

questions    what has one right answer        writing    what has many
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from instructgpt_lite.world.facts import Fact
from instructgpt_lite.world.tasks import questions, writing
from instructgpt_lite.world.words import Sentence


class Task(NamedTuple):
    """A use case: its share of prompts in Table 1, in per cent, and its functions."""

    share: float
    ask: Callable[[list[Fact], Random], tuple[str, dict]]
    answer: Callable[[dict, Random], str]
    judge: Callable[[dict, list[Sentence]], float]


TASKS = {
    "generation": Task(45.6, writing.ask_generation, writing.answer_generation,
                       writing.judge_generation),
    "open QA": Task(12.4, questions.ask_open_qa, questions.answer_open_qa,
                    questions.judge_open_qa),
    "brainstorming": Task(11.2, writing.ask_brainstorming, writing.answer_brainstorming,
                          writing.judge_brainstorming),
    "chat": Task(8.4, writing.ask_chat, questions.answer_text, writing.judge_chat),
    "rewrite": Task(6.6, questions.ask_rewrite, questions.answer_text,
                    questions.judge_text),
    "summarization": Task(4.2, questions.ask_summary, questions.answer_text,
                          questions.judge_text),
    "classification": Task(3.5, questions.ask_classification,
                           questions.answer_classification,
                           questions.judge_classification),
    "other": Task(3.5, questions.ask_other, questions.answer_text,
                  questions.judge_text),
    "closed QA": Task(2.6, questions.ask_closed_qa, questions.answer_closed_qa,
                      questions.judge_closed_qa),
    "extract": Task(1.9, questions.ask_extract, questions.answer_extract,
                    questions.judge_extract),
}
