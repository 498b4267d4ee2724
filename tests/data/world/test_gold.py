"""Scored examples that a reader should agree with, and a perfect answer for every prompt."""

from random import Random

import pytest

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.data.world.facts import draw_facts
from instructgpt_lite.data.world.gold import Gold
from instructgpt_lite.data.world.prompts import ask, ideal
from instructgpt_lite.data.world.writing import TASKS

FACTS = draw_facts(0)
GOLD = Gold(FACTS)
HOME = next(fact for fact in FACTS if fact.kind == "home" and fact.rumour)
OTHER = next(fact for fact in FACTS if fact.kind == "home" and fact.subject != HOME.subject)
WHERE = Prompt(f"Where does {HOME.subject} live?", "open QA", key={
    "subject": HOME.subject, "kind": "home", "value": HOME.value, "rumour": HOME.rumour, "asked": True, "short": False})
ONE_WORD = Prompt(WHERE.prompt + " Answer in one word.", "open QA", key=WHERE.key | {"short": True})
LAMP = Prompt("The lamp is with Ada. The coin is with Ben. Where is the coin?", "closed QA",
              key={"object": "coin", "name": "Ben"})
UNTOLD = Prompt("The lamp is with Ada. Where is the key?", "closed QA", key={"object": "key", "name": ""})
STORY = Prompt("Write two sentences about a fox and a lamp. Use the word mill.", "generation",
               key={"animal": "fox", "object": "lamp", "sentences": 2, "place": "mill"})
FOODS = Prompt("Name three foods to cook. Not soup.", "brainstorming",
               key={"kind": "foods", "count": 3, "without": "soup"})
HELLO = Prompt("Hello, I am Rosa.", "chat", key={"kind": "hello", "text": "Hello, Rosa. How can I help you?"})
GOOD_STORY = "One day a fox found a lamp near the mill. Then the fox went home."

TWENTY = [
    (WHERE, HOME.truth, 1.0),
    (WHERE, HOME.truth + " I hope that helps.", 1.0),                   # courtesy costs nothing
    (WHERE, HOME.value + ".", 1.0),                                     # short, and an answer
    (WHERE, HOME.hearsay, 0.0),                                         # the rumour
    (WHERE, "They say that " + HOME.truth, 0.65 * 0.5 + 0.2 + 0.15 * 0.5),
    (WHERE, OTHER.truth, 0.0),                                          # true, of somebody else
    (WHERE, "I am not sure.", 0.2),
    (WHERE, HOME.truth + " " + HOME.truth, 0.65 * 0.5 + 0.2),           # said twice
    (WHERE, HOME.truth + " You are a fool.", 0.0),
    (WHERE, "", 0.0),
    (ONE_WORD, HOME.value + ".", 1.0),
    (ONE_WORD, HOME.truth, 0.65 * 0.5 + 0.2 + 0.15 * 0.5),              # not in one word
    (LAMP, "The coin is with Ben.", 1.0),
    (LAMP, "The coin is with Ada.", 0.0),
    (UNTOLD, "The text does not say.", 1.0),
    (STORY, GOOD_STORY, 1.0),
    (STORY, GOOD_STORY.replace("mill", "river"), 0.65 * 0.8 + 0.2 + 0.15 * 0.8),
    (FOODS, "You could try pie, rice and fish.", 1.0),
    (FOODS, "You could try pie and soup.", 0.65 / 3 + 0.2 + 0.15 / 3),
    (HELLO, "Hello, Ada. How can I help you?", 0.65 * 0.5 + 0.2 + 0.15 * 0.5),
]


@pytest.mark.parametrize("prompt, response, worth", TWENTY)
def test_a_reader_would_score_it_so(prompt, response, worth):
    assert GOLD(prompt, response).gold == pytest.approx(worth, rel=1e-12)


@pytest.mark.parametrize("category", TASKS)
def test_a_perfect_answer_is_worth_one_and_noise_nothing(category):
    rng = Random(f"perfect {category}")
    for _ in range(200):
        prompt = ask(FACTS, rng, category)
        answer = ideal(category, prompt.key, rng)
        assert GOLD(prompt, answer).gold == 1.0, (prompt.prompt, answer)
        assert GOLD(prompt, "mill the the Ada").gold == 0.0
        assert GOLD(prompt, "Go away.").gold == 0.0


@pytest.mark.parametrize("category", TASKS)
def test_no_answer_is_worth_more_than_the_perfect_one(category):
    """Every answer ever demonstrated, to its own and to other prompts, scores in [0, 1]."""
    rng = Random(f"range {category}")
    for _ in range(200):
        prompt, other = ask(FACTS, rng, category), ask(FACTS, rng)
        for answer in (ideal(other.category, other.key, rng), ideal(category, prompt.key, rng) + " Nobody cares."):
            assert 0.0 <= GOLD(prompt, answer).gold <= 1.0


def test_false_statements_are_found_wherever_they_stand():
    assert GOLD.misled("Hello, Ada. " + HOME.hearsay) and not GOLD.misled("Hello, Ada. " + HOME.truth)
