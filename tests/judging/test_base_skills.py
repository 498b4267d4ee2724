"""What counts as a skill kept: all of the only right end, said greedily."""

from random import Random
from types import SimpleNamespace

import pytest
import torch

from instructgpt_lite.judging.base_skills import LAST_SENTENCE, base_skills, before_value, finished, refrain
from instructgpt_lite.world.world import World

WORDS = "the cat sat on a red mat and slept".split()


class Parrot:
    """Says what it was given, to each text its own, and remembers how it was asked."""

    def __init__(self, said):
        self.said = [[WORDS.index(word) for word in text.split()] for text in said]
        self.tokenizer = SimpleNamespace(encode=lambda text: [WORDS.index(word) for word in text.split()])

    def sample(self, rows, max_new_tokens, top_k):
        self.asked = rows, max_new_tokens, top_k
        rows = [(said + [0] * max_new_tokens)[:max_new_tokens] for said in self.said]
        return SimpleNamespace(response_BT=torch.tensor(rows))


@pytest.fixture(scope="module")
def world():
    return World(0)


def test_an_end_counts_if_all_of_it_is_said_and_whatever_comes_after_it():
    parrot = Parrot(["sat on", "sat and", "a mat", "slept"])
    begun = [("the cat", "sat"), ("the cat", "sat on"), ("sat on", "a red mat"), ("the mat", "cat")]
    assert finished(parrot, begun).mean == 0.25


def test_it_is_asked_greedily_and_for_as_many_tokens_as_the_longest_end_has():
    parrot = Parrot(["sat", "a red mat"])
    assert finished(parrot, [("the cat", "sat"), ("sat on", "a red mat")]).mean == 1.0
    assert parrot.asked == ([[0, 1], [2, 3]], 3, 1)


@pytest.mark.parametrize("which", ["value", "rumour"])
def test_a_fact_is_cut_before_its_value_and_an_article_belongs_to_the_value(world, which):
    cut = [(fact, *before_value(fact, getattr(fact, which))) for fact in world.facts if getattr(fact, which)]
    assert len(cut) > 10
    for fact, begun, end in cut:
        assert end.split()[-1] == getattr(fact, which)
        assert begun.split()[-1] not in {"a", "an"} and getattr(fact, which) not in begun.split()


def test_the_second_line_of_a_song_is_cut_after_two_words_and_ends_as_the_first(world):
    for seed in range(20):
        begun, end = refrain(world.facts, Random(seed))
        first, second = begun.split("\n")
        assert len(second.split()) == 2 and first.strip() == f"{second} {end}"


def test_all_texts_are_new_by_the_seed_and_the_same_by_the_same_seed(world):
    def asked(seed):
        heard = []
        deaf = SimpleNamespace(tokenizer=SimpleNamespace(encode=lambda text: heard.append(text) or [0]),
                               sample=lambda rows, **_: SimpleNamespace(response_BT=torch.ones(len(rows), 1)))
        found = base_skills(deaf, world, count=5, seed=seed)
        assert set(found) > {*LAST_SENTENCE, "copying"} and {each.mean for each in found.values()} == {0.0}
        return heard

    assert asked(1) == asked(1) != asked(2)
