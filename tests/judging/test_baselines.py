"""Baselines against hand counts, plain loops and the likelihood itself; no model is in the loop."""

from random import Random

import numpy as np
import pytest
from scipy.optimize import minimize

from instructgpt_lite.data.records import Ranking
from instructgpt_lite.judging.baselines import (
    by_another_labeler,
    by_gold,
    by_length,
    by_words,
    word_weights,
)
from instructgpt_lite.world.world import World


def ranking(*texts):
    """These texts from best to worst."""
    return Ranking("Q", texts, tuple(range(1, len(texts) + 1)))


def test_length_takes_its_direction_from_training_whatever_the_held_out_pairs_say():
    longer, shorter = [ranking("aaa", "b")], [ranking("a", "bbb"), ranking("cc", "ddd"), ranking("e", "f")]
    assert by_length(longer, longer + shorter) == [[3, 1], [1, 3], [2, 3], [1, 1]]
    assert by_length(shorter, longer + shorter) == [[-3, -1], [-1, -3], [-2, -3], [-1, -1]]


def test_one_very_long_text_does_not_turn_the_direction():
    train = [ranking("a", "b" * 99), ranking("aa", "b"), ranking("aa", "b")]
    assert by_length(train, [ranking("cc", "d")]) == [[2, 1]]


def test_words_that_win_in_training_win_on_texts_never_seen():
    rng, good, bad = Random(0), ["good", "great", "fine"], ["bad", "poor", "sad"]
    fill = ["a", "film", "of", "this"]
    train = [ranking(*(" ".join([rng.choice(words), *rng.choices(fill, k=5)]) for words in (good, bad)))
             for _ in range(40)]
    heldout = [ranking("great new film", "sad film"), ranking("so fine", "so poor"), ranking("x a", "a")]
    (great, sad), (fine, poor), (one, other) = by_words(train, heldout)
    assert great > sad and fine > poor and one == other


def test_one_pair_is_enough_to_fit_and_the_order_of_writing_has_no_say():
    for pair in (ranking("better", "worse"), Ranking("Q", ("worse", "better"), (2, 1))):
        heldout = [ranking("better", "worse"), ranking("Better", "new")]
        (better, worse), (same, new) = by_words([pair], heldout)
        assert better == -worse > 0 and (same, new) == (better, 0)


def test_the_fit_is_the_maximum_of_its_penalised_likelihood():
    rng = Random(1)
    texts = [[" ".join([*rng.choices("abcd", k=3), "abcd"[n]]) for n in range(K)] for K in (2, 4, 3, 4)]
    train = [ranking(*group) for group in texts]

    def worth(s, text):
        return sum(s["abcd".index(word)] for word in text.split())

    def surprise(s, C=0.3):
        return s @ s / 2 + C * sum(np.logaddexp(0, worth(s, lost) - worth(s, won)) / len(each.pairs)
                                   for each in train for won, lost in each.comparisons())

    counter, weights = word_weights(train, C=0.3)
    assert list(counter.get_feature_names_out()) == list("abcd")
    assert weights == pytest.approx(minimize(surprise, np.zeros(4), tol=1e-10).x, abs=1e-4)


@pytest.fixture(scope="module")
def world():
    return World(0, prompts=3_000)


def test_another_labeler_is_somebody_else_and_prefers_what_is_better(world):
    """With next to no noise anybody puts a right answer above an insult; the one who ranked is never asked."""
    people, asked = world.labelers, []
    judge, noise = people.judge, people.noise
    prompt = next(prompt for prompt in world.train if prompt.category == "rewrite")
    texts = (prompt.key["text"], "You are a fool.")
    ranked = [Ranking(prompt.prompt, texts, (2, 1), person.name, "rewrite", prompt.key) for person in people.people * 4]

    def overheard(*arguments):
        asked.append((found := judge(*arguments))[0])
        return found

    try:
        people.judge, people.noise = overheard, 1e-6
        said = by_another_labeler(people, ranked)
    finally:
        del people.judge
        people.noise = noise
    assert all(right > insult for right, insult in said)
    answered = iter(asked)
    for each in ranked:                                  # of those asked about a ranking the last one counts
        assert next(name for name in answered if name != each.labeler)
    assert next(answered, None) is None


def test_gold_gives_every_response_its_exact_score(world):
    prompt = next(prompt for prompt in world.train if prompt.category == "rewrite")
    ranked = Ranking(prompt.prompt, (prompt.key["text"], "You are a fool."), (1, 2), "", "rewrite", prompt.key)
    assert by_gold(world.gold, [ranked]) == [[1.0, 0.0]]
