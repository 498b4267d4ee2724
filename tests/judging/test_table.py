from random import Random
from types import SimpleNamespace

import pytest

from instructgpt_lite.judging.table import K, calibrate
from instructgpt_lite.world.labelers import agree
from instructgpt_lite.world.prompts import demonstrate
from instructgpt_lite.world.world import World

CONFIG = SimpleNamespace(seed=0, max_new_tokens=40)


class Writer:
    """Says what noisy demonstrators would say."""

    def __init__(self, world):
        self.world, self.asked = world, {prompt.prompt: prompt for prompt in world.valid}

    def sample(self, prompts, copies, max_new_tokens, generator):
        return [self.asked[prompt] for prompt in prompts for _ in range(copies)]

    def texts(self, rollout):
        rng = Random(0)
        return [demonstrate(prompt, self.world.facts, rng, noise=0.6).completion for prompt in rollout]


@pytest.fixture(scope="module")
def world():
    return World(0, prompts=8_000)


def judged(world):
    texts = iter(Writer(world).texts(Writer(world).sample([p.prompt for p in world.valid[:256]], K, 40, None)))
    return [[world.gold(prompt, text) for text in dict.fromkeys(next(texts) for _ in range(K))]
            for prompt in world.valid[:256]]


def test_both_populations_agree_among_themselves_as_often_as_the_papers_labelers(world):
    found = calibrate(world, Writer(world), CONFIG)
    for people in (world.labelers, world.heldout_labelers):
        assert agree(people, people, judged(world)) == pytest.approx(0.726, abs=1e-6)
        assert found["noise"][people.population] == people.noise
    assert found["agreement"] == pytest.approx(0.726, abs=1e-6)
    assert 0.5 < found["agreement with held-out"] < found["agreement"]
