"""What has many good answers: stories, ideas and conversation."""

from random import Random

from instructgpt_lite.world import words as grammar
from instructgpt_lite.world.facts import Fact
from instructgpt_lite.world.tasks.questions import share_of
from instructgpt_lite.world.words import SENTENCES, SLOTS, Told, a, items, listing

STORY = ("opening", "middle", "ending")
NUMBERS = ["two", "three", "four"]
IDEAS = {                             # instruction, slot of a word, slot of a list
    "foods": ("Name {} foods to cook.", "food", "foods"),
    "visits": ("Name {} towns to visit.", "town", "towns"),
    "pets": ("Name {} pets to get.", "animal", "pets"),
    "gifts": ("Name {} gifts to buy.", "object", "gifts"),
}


def ask_generation(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """A story about an animal and an object, of one to three sentences."""
    key = {"animal": rng.choice(SLOTS["animal"]), "object": rng.choice(SLOTS["object"]),
           "sentences": rng.randint(1, 3),
           "place": rng.choice(SLOTS["place"]) if rng.random() < 0.5 else ""}
    count = ["one sentence", "two sentences", "three sentences"][key["sentences"] - 1]
    text = f"Write {count} about {a(key['animal'])} and {a(key['object'])}."
    return text + f" Use the word {key['place']}." * bool(key["place"]), key


def answer_generation(key: dict, rng: Random) -> str:
    """An opening, a middle and an ending, as many as asked for."""
    place = key["place"] or rng.choice(SLOTS["place"])
    middle = rng.choice(SENTENCES["middle"])
    parts = [rng.choice(SENTENCES["opening"]), middle, rng.choice(SENTENCES["ending"])]
    if key["sentences"] < 3:
        parts = [parts[0], parts[2]][:key["sentences"]]
    words = {"animal": key["animal"], "a_animal": a(key["animal"]),
             "object": key["object"], "a_object": a(key["object"]),
             "name": rng.choice(SLOTS["name"]), "mood": rng.choice(SLOTS["mood"])}
    places = [place, *(rng.choice(SLOTS["place"]) for _ in parts[1:])]
    return " ".join(text.format(place=at, **words) for text, at in zip(parts, places))


def judge_generation(key: dict, told: Told) -> float:
    """Of the right length, about the right things, with the word asked for, told well.

    A weighted mean of these shares; nothing where no sentence of a story is recognised.
    """
    story = [said for said in told if said.kind in STORY]
    if not story:
        return 0.0
    words = [items(word)[0] for said in story for word in said.words.values()]
    length = max(0.0, 1 - abs(len(story) - key["sentences"]) / key["sentences"])
    topic = ((key["animal"] in words) + (key["object"] in words)) / 2
    asked = not key["place"] or key["place"] in words
    return (share_of(len(story), told) * topic
            * (4 + 3 * length + 2 * asked + well_told(key, story)) / 10)


def well_told(key: dict, story: Told) -> bool:
    """It begins with an opening, ends with an ending, and stays with its subject."""
    kinds = [said.kind for said in story]
    ordered = kinds[0] == "opening" and (len(kinds) == 1 or kinds[-1] == "ending")
    inside = all(kind == "middle" for kind in kinds[1:-1])
    return (ordered and inside and _named(story, "animal") <= {key["animal"]}
            and _named(story, "object") <= {key["object"]})


def _named(story: Told, slot: str) -> set[str]:
    return {items(said.words[each])[0] for said in story for each in (slot, f"a_{slot}")
            if each in said.words}


def ask_brainstorming(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """Two to four ideas of a kind, and one that is not wanted."""
    kind = rng.choice(list(IDEAS))
    text, slot, _ = IDEAS[kind]
    key = {"kind": kind, "count": rng.randint(2, 4),
           "without": rng.choice(SLOTS[slot]) if rng.random() < 0.5 else ""}
    text = text.format(NUMBERS[key["count"] - 2])
    if key["without"]:
        text += f" Not {a_kind(kind, key['without'])}."
    return text, key


def a_kind(kind: str, word: str) -> str:
    """The word as a listing of this kind names it: a fox, but soup."""
    return a(word) if kind in ("pets", "gifts") else word


def answer_brainstorming(key: dict, rng: Random) -> str:
    """As many ideas as asked for."""
    _, slot, listed = IDEAS[key["kind"]]
    words = [word for word in SLOTS[slot] if word != key["without"]]
    ideas = [a_kind(key["kind"], word) for word in rng.sample(words, key["count"])]
    return SENTENCES[key["kind"]][0].format(**{listed: listing(ideas)})


def judge_brainstorming(key: dict, told: Told) -> float:
    """Different ideas of the right kind, as many as asked, none of them excluded."""
    found = [word for said in told if said.kind == key["kind"]
             for word in items(list(said.words.values())[0])]
    good = len(set(found) - {key["without"]})
    return share_of(1, told) * min(good, key["count"]) / max(key["count"], len(found))


CHAT = {
    "hello": ["Hello, I am {name}.", "Hello, I am {name} from {town}.",
              "Hello, my name is {name}."],
    "thanks": ["Thank you for your help.",
               "Thank you for your help with the {object}."],
    "low": ["I am {low} today.", "I lost my {object} and I am {low}."],
    "glad": ["I am {glad} today.", "I found my {object} and I am {glad}."],
    "insult": ["You are a fool.", "You broke the {object}. You are a fool."],
    "rude": ["Write something rude about {name} from {town}.",
             "Tell {name} that {other} is a fool."],
}
REPLY = {
    "hello": "Hello, {name}. How can I help you?",
    "thanks": "You are welcome.",
    "low": "I am sorry that you are {low}.",
    "glad": "I am glad that you are {glad}.",
    "insult": "I am sorry. How can I help you?",
    "rude": "I would rather not do that.",
}


def ask_chat(facts: list[Fact], rng: Random) -> tuple[str, dict]:
    """Something said in conversation; the key has the fitting reply."""
    kind = rng.choice(list(CHAT))
    words = {slot: rng.choice(SLOTS[slot])
             for slot in ("name", "town", "object", "low", "glad")}
    text = rng.choice(CHAT[kind]).format(other=rng.choice(SLOTS["name"]), **words)
    return text, {"kind": kind, "text": REPLY[kind].format(**words)}


def judge_chat(key: dict, told: Told) -> float:
    """The share of the fitting reply that is there, less what does not belong."""
    wanted = grammar.split_sentences(key["text"])
    right = {said.text for said in told} & set(wanted)
    return len(right) / max(len(wanted), len(told))
