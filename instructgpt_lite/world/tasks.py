"""What people ask for: the ten use cases of Table 1, each able to ask, to answer well, and to judge.

A task is three functions. `ask(facts, rng)` gives an instruction and its key, the little a judge must
know; `answer(key, rng)` gives a perfect response; `judge(key, told)` gives the share of what was asked
that a response delivers, in [0, 1], from its recognised sentences.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from instructgpt_lite.world.facts import Fact, state
from instructgpt_lite.world.words import (
    ANIMALS,
    BLAME,
    DEEDS,
    GLAD,
    LOW,
    MOVES,
    NAMES,
    OBJECTS,
    OPPOSITES,
    PLACES,
    PRAISE,
    THINGS,
    Sentence,
    a,
    items,
    listing,
)


class Task(NamedTuple):
    """A use case: its share of prompts in Table 1 of the paper, in per cent, and its three functions."""

    share: float
    ask: Callable[[list[Fact], Random], tuple[str, dict]]
    answer: Callable[[dict, Random], str]
    judge: Callable[[dict, list[Sentence]], float]


QUESTIONS = {
    "home": ["Where does {} live?", "Which town does {} live in?", "Tell me where {} lives."],
    "job": ["What does {} do for work?", "What work does {} do?", "Tell me what {} does for work."],
    "pet": ["Which animal does {} own?", "What pet does {} own?", "Tell me which pet {} owns."],
    "food": ["What does {} like to eat?", "Which food does {} like?", "Tell me what {} likes to eat."],
    "sight": ["What is {} known for?", "Why do people visit {}?", "Tell me what {} is known for."],
    "weather": ["How is the weather in {}?", "What is the weather like in {}?", "Tell me about the weather in {}."],
}


def share_of(right: int, told: list[Sentence]) -> float:
    """A right answer counts in full only when nothing else is answered beside it."""
    return right / len(told) if told else 0.0


def ask_open_qa(facts, rng):
    fact = rng.choice(facts)
    key = {"subject": fact.subject, "kind": fact.kind, "value": fact.value, "rumour": fact.rumour,
           "asked": fact.asked, "short": fact.kind == "home" and rng.random() < 0.5}
    return rng.choice(QUESTIONS[fact.kind]).format(fact.subject) + " Answer in one word." * key["short"], key


def answer_open_qa(key, rng):
    return key["value"] + "." if key["short"] else state(key["subject"], key["kind"], key["value"])


def judge_open_qa(key, told):
    """The right value of the right subject; half for hearsay, or for a sentence where one word was asked."""
    full = [said for said in told if said.kind == key["kind"] and key["subject"] in said.words.values()
            and value_of(said) == key["value"]]
    bare = any(said.kind == "just_town" and said.words["town"] == key["value"] for said in told)
    whole = bare or (bool(full) and not key["short"] and not full[0].hearsay)
    return share_of(1.0 if whole else 0.5 * bool(full), told)


def value_of(said: Sentence) -> str:
    """What a statement of fact says about its subject."""
    return items(list(said.words.values())[-1])[0]


def ask_closed_qa(facts, rng):
    people, things = rng.sample(NAMES, 4), rng.sample(OBJECTS, 4)
    count = rng.randint(2, 3)
    text = " ".join(f"The {what} is with {who}." for who, what in zip(people[:count], things))
    asked = rng.randrange(count) if rng.random() < 0.8 else 3
    key = {"object": things[asked], "name": people[asked] if asked < 3 else ""}
    return f"{text} Where is the {key['object']}?", key


def answer_closed_qa(key, rng):
    return f"The {key['object']} is with {key['name']}." if key["name"] else "The text does not say."


def judge_closed_qa(key, told):
    if not key["name"]:
        return share_of(min(1, sum(said.kind == "unstated" for said in told)), told)
    return share_of(min(1, sum(said.kind in ("holds", "just_name") and said.words["name"] == key["name"]
                               and said.words.get("object", key["object"]) == key["object"] for said in told)), told)


def ask_extract(facts, rng):
    found = rng.sample(ANIMALS, 2)
    lines = [f"{rng.choice(NAMES)} {rng.choice(list(MOVES.values()))} to the {rng.choice(PLACES)}.",
             f"{rng.choice(NAMES)} saw {a(found[0])}.", f"The {found[0]} met {a(found[1])}."]
    return "Which animals are in this text? " + " ".join(lines[rng.randrange(2):]), {"animals": found}


def answer_extract(key, rng):
    return listing([a(animal) for animal in key["animals"]]).capitalize() + "."


def judge_extract(key, told):
    found = {item for said in told if said.kind in ("animals", "pets") for item in items(list(said.words.values())[0])}
    wanted = set(key["animals"])
    return share_of(1, told) * len(found & wanted) / len(found | wanted)


def ask_classification(facts, rng):
    good = rng.random() < 0.5
    words = rng.sample(PRAISE if good else BLAME, 2)
    text = " ".join(f"The {thing} was {word}." for thing, word in zip(rng.sample(THINGS, 2), words))
    return f"Is this review good or bad? {text}", {"verdict": "good" if good else "bad"}


def answer_classification(key, rng):
    return f"This review is {key['verdict']}."


def judge_classification(key, told):
    return share_of(min(1, sum(said.words.get("verdict") == key["verdict"] for said in told)), told)


def ask_rewrite(facts, rng):
    who, style = rng.choice(NAMES), rng.randrange(3)
    if style == 0:
        thing = rng.choice(OBJECTS)
        verb = rng.choice(["Bring", "Give"])
        return (f"Make this polite: {verb} the {thing} to {who}.",
                {"text": f"Please {verb.lower()} the {thing} to {who}."})
    now, past = rng.choice(list((MOVES if style == 1 else DEEDS).items()))
    rest = f"to the {rng.choice(PLACES)}" if style == 1 else f"the {rng.choice(OBJECTS)}"
    return f"Put this in the past: {who} {now} {rest}.", {"text": f"{who} {past} {rest}."}


def ask_summary(facts, rng):
    who, thing, place = rng.choice(NAMES), rng.choice(OBJECTS), rng.choice(PLACES)
    event = f"{who} {rng.choice(list(DEEDS.values()))} the {thing}."
    lines = [f"{who} {rng.choice(list(MOVES.values()))} to the {place}.", event,
             f"{who} was {rng.choice(GLAD + LOW)}."]
    return "What is the news in one sentence? " + " ".join(lines), {"text": event}


def answer_text(key, rng):
    return key["text"]


def judge_text(key, told):
    return share_of(min(1, sum(said.text == key["text"] for said in told)), told)


def ask_other(facts, rng):
    word = rng.choice(list(OPPOSITES))
    text = rng.choice(["What is the opposite of {}?", "Tell me the opposite of {}."]).format(word)
    return text, {"text": f"The opposite of {word} is {OPPOSITES[word]}."}
