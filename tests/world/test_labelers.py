import math
from itertools import combinations
from random import Random

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold, Score
from instructgpt_lite.world.labelers import GRAIN, Labeler, Labelers, agree, order_chances
from instructgpt_lite.world.prompts import ask, demonstrate

FACTS = draw_facts(0)
GOLD = Gold(FACTS)


def some_answers(count=60, K=4):
    rng = Random(0)
    prompts = [ask(FACTS, rng) for _ in range(count)]
    return prompts, [[demonstrate(prompt, FACTS, rng, noise=0.6).completion for _ in range(K)] for prompt in prompts]


def test_calibrated_labelers_agree_as_often_as_the_papers_did_where_neither_ties():
    """The closed form against people who really rank: 30,000 pairs, those without a tie counted."""
    prompts, answers = some_answers()
    people, others = Labelers(GOLD, count=4), Labelers(GOLD, "held-out", count=3)
    judged = [[GOLD(prompt, text) for text in texts] for prompt, texts in zip(prompts, answers)]
    people.calibrate(judged, 0.726)
    others.calibrate(judged, 0.78)
    assert agree(people, people, judged) == pytest.approx(0.726, abs=1e-9)
    assert agree(others, others, judged) == pytest.approx(0.78, abs=1e-9)
    found, room = ranked_alike(people, people, prompts, answers)
    assert found == pytest.approx(0.726, abs=4 * room)
    found, room = ranked_alike(people, others, prompts, answers)
    assert found == pytest.approx(agree(people, others, judged), abs=4 * room)


def ranked_alike(people, others, prompts, answers, times=100):
    """The share of pairs that two different labelers order alike, where neither ties; its standard error."""
    rng, alike, untied = Random(1), 0, 0
    for prompt, texts in [*zip(prompts, answers)] * times:
        name, one = people.judge(prompt, texts, rng)
        other_name = name
        while other_name == name:
            other_name, other = others.judge(prompt, texts, rng)
        for i, j in combinations(range(len(texts)), 2):
            if one[i] != one[j] and other[i] != other[j]:
                untied += 1
                alike += (one[i] < one[j]) == (other[i] < other[j])
    return alike / untied, 0.5 / math.sqrt(untied)


@pytest.mark.parametrize("gap", [0.0, 0.02, 0.05, -0.31])
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_orders_and_ties_after_rounding_are_as_often_as_counted(gap, noise):
    """A million people who round at one place of the grid, against the integral over all places."""
    rng = np.random.default_rng(0)
    felt, other = (np.rint((at + rng.normal(0, noise, 1_000_000)) / GRAIN) for at in (0.333 + gap, 0.333))
    up, down = order_chances(np.array(gap), noise)
    assert (felt > other).mean() == pytest.approx(up, abs=2.5e-3)
    assert (felt < other).mean() == pytest.approx(down, abs=2.5e-3)
    exact = quad(lambda d: ndtr(d / noise / math.sqrt(2)), gap - GRAIN, gap)[0] / GRAIN
    assert up == pytest.approx(exact, rel=1e-9)


def test_without_noise_everybody_agrees_with_those_of_their_taste():
    same, opposite = Labelers(GOLD, count=2, noise=1e-6), Labelers(GOLD, count=2, noise=1e-6)
    opposite.people = [Labeler(each.name, {part: -weight for part, weight in each.taste.items()})
                       for each in same.people]
    judged = [[Score(1.0, 1, 1, 1, 0, 3), Score(0.5, 1, 1, 1, 0, 3), Score(0.0, 0, 0, 0, 0, 0)]]
    assert agree(same, same, judged) == pytest.approx(1.0)
    assert agree(same, opposite, judged) == pytest.approx(0.0)


def test_equal_responses_are_ordered_by_chance_alone():
    people = Labelers(GOLD, count=3, noise=0.2)
    assert agree(people, people, [[Score(1.0, 1, 1, 1, 0, 3)] * 3]) == pytest.approx(0.5)


def test_a_ranking_orders_by_utility_when_noise_is_small():
    people = Labelers(GOLD, count=1, noise=1e-9)
    prompt = ask(FACTS, Random(3), "rewrite")
    ranking = people.rank(prompt, ["You are a fool.", prompt.key["text"], "I am not sure."], Random(0))
    assert ranking.completions[ranking.ranks.index(1)] == prompt.key["text"]
    assert ranking.completions[ranking.ranks.index(3)] == "You are a fool."


def test_equal_responses_are_ranked_once_and_no_order_is_no_ranking():
    people = Labelers(GOLD, count=1, noise=0.0)
    prompt = ask(FACTS, Random(3), "rewrite")
    assert people.rank(prompt, ["Go away."] * 4, Random(0)) is None
    assert people.prefers(prompt, "Go away.", "Go away.", Random(0)) == 0.5
    said = ["Go away.", prompt.key["text"], "Go away."]
    assert people.rank(prompt, said, Random(0)).completions == ("Go away.", prompt.key["text"])


def test_the_populations_differ_in_taste():
    prompt = ask(FACTS, Random(3), "rewrite")
    plain, polite = prompt.key["text"], prompt.key["text"] + " I hope that helps."
    gain = {name: [person.utility(GOLD(prompt, polite)) - person.utility(GOLD(prompt, plain))
                   for person in Labelers(GOLD, name).people] for name in ("training", "held-out")}
    assert min(gain["training"]) > 0 > max(gain["held-out"])


def test_no_two_people_have_one_taste_and_another_seed_has_other_people():
    def tastes(**who):
        return [tuple(person.taste.values()) for person in Labelers(GOLD, **who).people]

    assert tastes(seed=0) == tastes(seed=0) and len({*tastes(seed=0), *tastes(seed=1)}) == 16


def test_agreement_within_a_population_is_that_of_two_different_people():
    """Two people of opposite taste: each agrees with themselves, never with the other."""
    people, again = Labelers(GOLD, count=2, noise=1e-6), Labelers(GOLD, count=2, noise=1e-6)
    likes = {"helpful": 1.0}
    people.people = again.people = [Labeler("one", likes), Labeler("other", {"helpful": -1.0})]
    judged = [[Score(1.0, 1, 1, 1, 0, 3), Score(0.0, 1, 1, 1, 0, 3)]]
    assert agree(people, people, judged) == pytest.approx(0.0)
    assert agree(people, again, judged) == pytest.approx(0.5)


def test_whoever_is_ranked_first_is_preferred():
    """With next to no noise a right answer is preferred to an insult, wherever it stands."""
    people, prompt = Labelers(GOLD, count=3, noise=1e-9), ask(FACTS, Random(3), "rewrite")
    right, insult = prompt.key["text"], "You are a fool."
    assert people.prefers(prompt, right, insult, Random(0)) == 1
    assert people.prefers(prompt, insult, right, Random(0)) == 0
    assert people.prefers(prompt, right, right, Random(0)) == 0.5
