from random import Random

import pytest

from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold
from instructgpt_lite.world.labelers import Labelers, agree
from instructgpt_lite.world.prompts import ask, demonstrate

FACTS = draw_facts(0)
GOLD = Gold(FACTS)


def some_answers(count=60, K=4):
    rng = Random(0)
    prompts = [ask(FACTS, rng) for _ in range(count)]
    return prompts, [[demonstrate(prompt, FACTS, rng, noise=0.6).completion for _ in range(K)] for prompt in prompts]


def test_calibrated_labelers_agree_as_often_as_the_papers_did():
    """The closed form against people who really rank, 10 000 pairs."""
    prompts, answers = some_answers()
    people = Labelers(GOLD, count=4)
    judged = [[GOLD(prompt, text) for text in texts] for prompt, texts in zip(prompts, answers)]
    people.calibrate(judged, 0.726)
    rng, same, pairs = Random(1), 0, 0
    for _ in range(40):
        for scores in judged:
            one, other = rng.sample(people.people, 2)
            first, second = ([person.utility(score) + rng.gauss(0, people.noise) for score in scores]
                             for person in (one, other))
            for i in range(len(scores)):
                for j in range(i):
                    same += (first[i] > first[j]) == (second[i] > second[j])
                    pairs += 1
    assert same / pairs == pytest.approx(0.726, abs=0.01)


def test_without_noise_everybody_agrees_with_themselves():
    assert agree([[[0.1, 0.9, 0.4]]], [[[0.1, 0.9, 0.4]]], 1e-6) == pytest.approx(1.0)
    assert agree([[[0.1, 0.9]]], [[[0.9, 0.1]]], 1e-6) == pytest.approx(0.0)
    assert agree([[[0.5, 0.5]]], [[[0.5, 0.5]]], 0.2) == pytest.approx(0.5)


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


def test_the_populations_differ_in_taste():
    prompt = ask(FACTS, Random(3), "rewrite")
    plain, polite = prompt.key["text"], prompt.key["text"] + " I hope that helps."
    gain = {name: [person.utility(GOLD(prompt, polite)) - person.utility(GOLD(prompt, plain))
                   for person in Labelers(GOLD, name).people] for name in ("training", "held-out")}
    assert min(gain["training"]) > 0 > max(gain["held-out"])


def test_agreement_within_a_population_is_that_of_two_different_people():
    """Two people of opposite taste: each agrees with themselves, never with the other."""
    felt = [[[0.1, 0.9]], [[0.9, 0.1]]]
    assert agree(felt, felt, 1e-6) == pytest.approx(0.0)
    assert agree(felt, [list(person) for person in felt], 1e-6) == pytest.approx(0.5)
