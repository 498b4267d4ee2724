from collections import Counter

from instructgpt_lite.world.facts import VALUES, draw_facts, state
from instructgpt_lite.world.words import NAMES, TOWNS, parse


def test_a_world_has_one_value_for_each_subject_and_kind():
    facts = draw_facts(0)
    assert Counter(fact.kind for fact in facts) == {"home": 16, "job": 16, "pet": 16, "food": 16,
                                                    "sight": 8, "weather": 8}
    assert len({(fact.subject, fact.kind) for fact in facts}) == len(facts) == 80
    assert {fact.subject for fact in facts} == set(NAMES) | set(TOWNS)
    assert all(fact.value in VALUES[fact.kind] for fact in facts)


def test_a_third_has_a_rumour_and_a_third_is_never_asked():
    facts = draw_facts(3)
    assert sum(bool(fact.rumour) for fact in facts) == sum(not fact.asked for fact in facts) == 28
    assert all(fact.rumour != fact.value for fact in facts)


def test_the_same_seed_is_the_same_world_and_another_is_not():
    assert draw_facts(1) == draw_facts(1) != draw_facts(2)


def test_what_a_fact_says_is_english_of_its_kind():
    for fact in draw_facts(0):
        assert parse(fact.truth).kind == parse(fact.hearsay).kind == fact.kind
        assert parse(fact.hearsay).hearsay
    assert state("Ida", "job", "actor") == "Ida is an actor."
    assert state("Ashby", "weather", "foggy") == "Ashby is foggy."
