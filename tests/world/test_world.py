from random import Random

import pytest

from instructgpt_lite.data.curation import check_leakage, find_pii
from instructgpt_lite.world.facts import VALUES
from instructgpt_lite.world.prompts import ask, demonstrate, mistaken
from instructgpt_lite.world.tasks import TASKS
from instructgpt_lite.world.words import parse
from instructgpt_lite.world.world import World


@pytest.fixture(scope="module")
def world():
    return World(0, prompts=6_000)


def test_no_author_and_no_prompt_is_in_two_splits(world):
    splits = [world.train, world.valid, world.test]
    authors = [{prompt.author for prompt in split} for split in splits]
    assert not authors[0] & authors[1] and not authors[0] & authors[2] and not authors[1] & authors[2]
    check_leakage(world.train, world.test)
    assert len({prompt.prompt for split in splits for prompt in split}) == sum(map(len, splits))


def test_what_customers_reveal_is_filtered(world):
    assert any(find_pii(prompt.prompt) for prompt in world.raw)
    assert not any(find_pii(prompt.prompt) for prompt in world.train)


def test_training_asks_only_about_the_facts_that_are_asked(world):
    assert all(prompt.key.get("asked", True) for prompt in world.train)
    assert any(not prompt.key.get("asked", True) for prompt in world.test)


def test_every_use_case_is_in_every_split(world):
    for split in (world.train, world.valid, world.test):
        assert {prompt.category for prompt in split} == set(TASKS)


def test_the_same_seed_gives_the_same_prompts_and_demonstrations(world):
    again = World(0, prompts=6_000)
    assert again.train == world.train and again.demonstrations(50) == world.demonstrations(50)
    assert World(1, prompts=6_000).train != world.train


def test_labelers_get_to_know_a_policy_by_answers_to_prompts_that_serve_for_nothing_else(world):
    asked, rng = [], Random(0)

    def answer(prompts):
        asked.extend(prompts)
        return [[demonstrate(prompt, world.facts, rng).completion for _ in range(4)] for prompt in prompts]

    world.meet(answer)
    assert asked == world.valid[:256] and len(asked) > 100
    check_leakage(world.train + world.test, asked)


def test_those_who_rank_like_courtesy_and_those_who_only_judge_do_not(world):
    own, heldout = world.labelers.people, world.heldout_labelers.people
    assert min(person.taste["courtesy"] for person in own) > 0 > max(person.taste["courtesy"] for person in heldout)
    assert not {person.name for person in own} & {person.name for person in heldout}


def test_demonstrations_are_mostly_right(world):
    shown = world.demonstrations(1_000)
    gold = [world.gold(demonstration, demonstration.completion).gold for demonstration in shown]
    assert 0.6 < sum(gold) / len(gold) < 0.75


def test_a_mistake_about_a_fact_is_a_sentence_of_its_kind_about_its_subject(world):
    """Where rumour has something to say, it is the rumour."""
    rng = Random(0)
    for _ in range(200):
        key = ask(world.facts, rng, "open QA").key
        said = parse(mistaken(key, world.facts, rng))
        assert (said.kind, next(iter(said.words.values()))) == (key["kind"], key["subject"])
        assert said.value == (key["rumour"] or said.value) and said.value in VALUES[key["kind"]]


def test_a_few_shot_page_ends_with_the_prompt_and_shows_answers_of_its_kind(world):
    prompt = world.test[0]
    page = world.few_shot(prompt, 2, Random(0))
    assert page.count("Question:") == page.count("Answer:") == 3
    assert page.endswith(f"Question: {prompt.prompt}\nAnswer:")
