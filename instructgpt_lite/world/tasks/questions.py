"""What has one right answer: questions, extraction, verdicts, rewriting, summaries."""

from random import Random

from instructgpt_lite.world.facts import Fact, state
from instructgpt_lite.world.words import SAID, SLOTS, Told, a, items, listing, say


def share_of(right: float, told: Told) -> float:
    """A right answer counts in full only when nothing else is answered beside it."""
    return right / len(told) if told else 0.0


def ask_open_qa(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """A question about a fact; some about homes want one word."""
    fact = rng.choice(facts)
    key = {"subject": fact.subject, "kind": fact.kind, "value": fact.value,
           "rumour": fact.rumour, "asked": fact.asked,
           "short": fact.kind == "home" and rng.random() < 0.5}
    text = rng.choice(SAID["questions"][fact.kind]).format(fact.subject)
    return text + " Answer in one word." * key["short"], key


def answer_open_qa(key: dict, rng: Random) -> str:
    """The fact, or its value alone."""
    if key["short"]:
        return f"{key['value']}."
    return state(key["subject"], key["kind"], key["value"])


def judge_open_qa(key: dict, told: Told) -> float:
    """The right value of the right subject; half for hearsay or too many words."""
    full = [said for said in told if said.kind == key["kind"]
            and key["subject"] in said.words.values() and said.value == key["value"]]
    bare = any(said.kind == "just_town" and said.words["town"] == key["value"]
               for said in told)
    whole = bare or (bool(full) and not key["short"] and not full[0].hearsay)
    return share_of(1.0 if whole else 0.5 * bool(full), told)


def ask_closed_qa(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """Who has what, and a question that the text answers four times out of five."""
    people, things = rng.sample(SLOTS["name"], 4), rng.sample(SLOTS["object"], 4)
    count = rng.randint(2, 3)
    text = " ".join(f"The {what} is with {who}."
                    for who, what in zip(people[:count], things))
    asked = rng.randrange(count) if rng.random() < 0.8 else 3
    key = {"object": things[asked], "name": people[asked] if asked < 3 else ""}
    return f"{text} Where is the {key['object']}?", key


def answer_closed_qa(key: dict, rng: Random) -> str:
    """What the text says, or that it does not say."""
    if not key["name"]:
        return "The text does not say."
    return f"The {key['object']} is with {key['name']}."


def judge_closed_qa(key: dict, told: Told) -> float:
    """The right name with the right thing, or with none."""
    if not key["name"]:
        return share_of(min(1, sum(said.kind == "unstated" for said in told)), told)
    right = sum(said.kind in ("holds", "just_name")
                and said.words["name"] == key["name"]
                and said.words.get("object", key["object"]) == key["object"]
                for said in told)
    return share_of(min(1, right), told)


def ask_extract(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """Two animals in a text of two or three sentences."""
    first, second = rng.sample(SLOTS["animal"], 2)
    lines = [say("{name} {moved} to the {place}.", rng),
             say(f"{{name}} saw {a(first)}.", rng), f"The {first} met {a(second)}."]
    text = " ".join(lines[rng.randrange(2):])
    return f"Which animals are in this text? {text}", {"animals": [first, second]}


def answer_extract(key: dict, rng: Random) -> str:
    """Both animals."""
    return listing([a(animal) for animal in key["animals"]]).capitalize() + "."


def judge_extract(key: dict, told: Told) -> float:
    """Animals named and meant, of all named or meant."""
    found = {item for said in told if said.kind in ("animals", "pets")
             for item in items(list(said.words.values())[0])}
    wanted = set(key["animals"])
    return share_of(1, told) * len(found & wanted) / len(found | wanted)


def ask_classification(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """A review of two sentences."""
    good = rng.random() < 0.5
    words = rng.sample(SLOTS["praise" if good else "blame"], 2)
    things = rng.sample(SLOTS["thing"], 2)
    text = " ".join(f"The {thing} was {word}." for thing, word in zip(things, words))
    return f"Is this review good or bad? {text}", {"verdict": "good" if good else "bad"}


def answer_classification(key: dict, rng: Random) -> str:
    """The verdict."""
    return f"This review is {key['verdict']}."


def judge_classification(key: dict, told: Told) -> float:
    """The right verdict, once."""
    right = sum(said.words.get("verdict") == key["verdict"] for said in told)
    return share_of(min(1, right), told)


def ask_rewrite(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """An order to make polite, or a sentence to put in the past."""
    who, style = rng.choice(SLOTS["name"]), rng.randrange(3)
    if style == 0:
        thing, verb = rng.choice(SLOTS["object"]), rng.choice(["Bring", "Give"])
        return (f"Make this polite: {verb} the {thing} to {who}.",
                {"text": f"Please {verb.lower()} the {thing} to {who}."})
    now, past = ("move", "moved") if style == 1 else ("deed", "did")
    verb = rng.choice(SLOTS[now])
    before = SLOTS[past][SLOTS[now].index(verb)]
    rest = say("to the {place}" if style == 1 else "the {object}", rng)
    text = f"{who} {before} {rest}."
    return f"Put this in the past: {who} {verb} {rest}.", {"text": text}


def ask_summary(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """Three sentences, of which the second is the news."""
    who, thing = rng.choice(SLOTS["name"]), rng.choice(SLOTS["object"])
    place = rng.choice(SLOTS["place"])
    event = say(f"{who} {{did}} the {thing}.", rng)
    text = say(f"{who} {{moved}} to the {place}. {event} {who} was {{mood}}.", rng)
    return f"What is the news in one sentence? {text}", {"text": event}


def answer_text(key: dict, rng: Random) -> str:
    """The only right answer, where the key has it."""
    return key["text"]


def judge_text(key: dict, told: Told) -> float:
    """The only right answer, once."""
    return share_of(min(1, sum(said.text == key["text"] for said in told)), told)


def ask_other(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """The opposite of a word."""
    word = rng.choice(SLOTS["word"])
    text = rng.choice(["What is the opposite of {}?", "Tell me the opposite of {}."])
    opposite = SAID["opposites"][word]
    return text.format(word), {"text": f"The opposite of {word} is {opposite}."}
