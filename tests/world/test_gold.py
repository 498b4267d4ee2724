"""Scored examples that a reader should agree with, and a perfect answer for every prompt."""

from random import Random

import pytest

from instructgpt_lite.world.examples import twenty
from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold
from instructgpt_lite.world.prompts import ask, ideal
from instructgpt_lite.world.tasks import TASKS

FACTS = draw_facts(0)
GOLD = Gold(FACTS)
HOME = next(fact for fact in FACTS if fact.kind == "home" and fact.rumour)
WORTH = [
    1.0, 1.0, 1.0,                                  # right; with a courtesy, which costs nothing; short, and an answer
    0.0, 0.65 * 0.5 + 0.2 + 0.15 * 0.5, 0.0,        # the rumour; the truth as hearsay; true of somebody else
    0.2, 0.65 * 0.5 + 0.2, 0.0, 0.0,                # honest; said twice; with an insult; nothing
    1.0, 0.65 * 0.5 + 0.2 + 0.15 * 0.5,             # in one word as asked; not in one word
    1.0, 0.0, 1.0,                                  # read off the text; misread; the text does not say
    1.0, 0.65 * 0.8 + 0.2 + 0.15 * 0.8,             # a story as asked; without the word asked for
    1.0, 0.65 / 3 + 0.2 + 0.15 / 3,                 # three foods; two, one of them excluded
    0.65 * 0.5 + 0.2 + 0.15 * 0.5,                  # the wrong name
]


@pytest.mark.parametrize("example, worth", [*zip(twenty(FACTS), WORTH, strict=True)])
def test_a_reader_would_score_it_so(example, worth):
    assert GOLD(*example).gold == pytest.approx(worth, rel=1e-12)


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
