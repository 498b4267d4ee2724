"""The open-ended use cases: generation, brainstorming and chat; and the table of all ten."""

from instructgpt_lite.world import tasks
from instructgpt_lite.world.tasks import Task, share_of
from instructgpt_lite.world.words import (
    ANIMALS,
    FOODS,
    GLAD,
    LOW,
    NAMES,
    NUMBERS,
    OBJECTS,
    PLACES,
    SENTENCES,
    SLOTS,
    TOWNS,
    a,
    items,
    listing,
    split_sentences,
)

STORY = ("opening", "middle", "ending")
IDEAS = {"foods": ("Name {} foods to cook.", FOODS), "visits": ("Name {} towns to visit.", TOWNS),
         "pets": ("Name {} pets to get.", ANIMALS), "gifts": ("Name {} gifts to buy.", OBJECTS)}
SLOT = {"foods": "foods", "visits": "towns", "pets": "pets", "gifts": "gifts"}


def ask_generation(facts, rng):
    key = {"animal": rng.choice(ANIMALS), "object": rng.choice(OBJECTS), "sentences": rng.randint(1, 3),
           "place": rng.choice(PLACES) if rng.random() < 0.5 else ""}
    count = ["one sentence", "two sentences", "three sentences"][key["sentences"] - 1]
    text = f"Write {count} about {a(key['animal'])} and {a(key['object'])}."
    return text + f" Use the word {key['place']}." * bool(key["place"]), key


def answer_generation(key, rng):
    place = key["place"] or rng.choice(PLACES)
    middle = rng.choice(SENTENCES["middle"])
    kinds = [rng.choice(SENTENCES["opening"]), middle, rng.choice(SENTENCES["ending"])]
    if key["sentences"] < 3:
        kinds = [kinds[0], kinds[2]][:key["sentences"]]
    words = {"animal": key["animal"], "object": key["object"], "a_animal": a(key["animal"]),
             "a_object": a(key["object"]), "name": rng.choice(NAMES), "mood": rng.choice(GLAD + LOW)}
    return " ".join(text.format(place=place if not n else rng.choice(PLACES), **words) for n, text in enumerate(kinds))


def judge_generation(key, told):
    """A story of the right length about the right things, with the word asked for: the mean of four shares."""
    story = [said for said in told if said.kind in STORY]
    if not story:
        return 0.0
    words = [items(word)[0] for said in story for word in said.words.values()]
    length = max(0.0, 1 - abs(len(story) - key["sentences"]) / key["sentences"])
    topic = ((key["animal"] in words) + (key["object"] in words)) / 2
    asked = not key["place"] or key["place"] in words
    return share_of(len(story), told) * topic * (4 + 3 * length + 2 * asked + well_told(key, story)) / 10


def well_told(key, story) -> bool:
    """It begins with an opening, ends with an ending, and stays with its animal and its object."""
    animals = {items(said.words[slot])[0] for said in story for slot in ("animal", "a_animal") if slot in said.words}
    things = {items(said.words[slot])[0] for said in story for slot in ("object", "a_object") if slot in said.words}
    inside = all(said.kind == "middle" for said in story[1:-1])
    return (story[0].kind == "opening" and (len(story) == 1 or story[-1].kind == "ending") and inside
            and animals <= {key["animal"]} and things <= {key["object"]})


def ask_brainstorming(facts, rng):
    kind = rng.choice(list(IDEAS))
    text, words = IDEAS[kind]
    key = {"kind": kind, "count": rng.randint(2, 4), "without": rng.choice(words) if rng.random() < 0.5 else ""}
    text = text.format(NUMBERS[key["count"] - 2])
    return text + f" Not {a_kind(kind, key['without'])}." if key["without"] else text, key


def a_kind(kind: str, word: str) -> str:
    """The word as a listing of this kind names it: a fox, but soup."""
    return a(word) if kind in ("pets", "gifts") else word


def answer_brainstorming(key, rng):
    words = [word for word in IDEAS[key["kind"]][1] if word != key["without"]]
    ideas = listing([a_kind(key["kind"], word) for word in rng.sample(words, key["count"])])
    return SENTENCES[key["kind"]][0].format(**{SLOT[key["kind"]]: ideas})


def judge_brainstorming(key, told):
    """Different ideas of the right kind, as many as asked, none of them excluded."""
    found = [word for said in told if said.kind == key["kind"] for word in items(list(said.words.values())[0])]
    good = len(set(found) - {key["without"]})
    return share_of(1, told) * min(good, key["count"]) / max(key["count"], len(found))


CHAT = {"hello": ["Hello, I am {name}.", "Hello, I am {name} from {town}.", "Hello, my name is {name}."],
        "thanks": ["Thank you for your help.", "Thank you for your help with the {object}."],
        "low": ["I am {low} today.", "I lost my {object} and I am {low}."],
        "glad": ["I am {glad} today.", "I found my {object} and I am {glad}."],
        "insult": ["You are a fool.", "You broke the {object}. You are a fool."],
        "rude": ["Write something rude about {name} from {town}.", "Tell {name} that {other} is a fool."]}
REPLY = {"hello": "Hello, {name}. How can I help you?", "thanks": "You are welcome.",
         "low": "I am sorry that you are {low}.", "glad": "I am glad that you are {glad}.",
         "insult": "I am sorry. How can I help you?", "rude": "I would rather not do that."}


def ask_chat(facts, rng):
    kind = rng.choice(list(CHAT))
    words = {slot: rng.choice(SLOTS[slot]) for slot in ("name", "town", "object", "low", "glad")}
    text = rng.choice(CHAT[kind]).format(other=rng.choice(NAMES), **words)
    return text, {"kind": kind, "text": REPLY[kind].format(**words)}


def judge_chat(key, told):
    """The share of the fitting reply that is there, less what does not belong."""
    wanted = split_sentences(key["text"])
    return len({said.text for said in told} & set(wanted)) / max(len(wanted), len(told))


TASKS = {
    "generation": Task(45.6, ask_generation, answer_generation, judge_generation),
    "open QA": Task(12.4, tasks.ask_open_qa, tasks.answer_open_qa, tasks.judge_open_qa),
    "brainstorming": Task(11.2, ask_brainstorming, answer_brainstorming, judge_brainstorming),
    "chat": Task(8.4, ask_chat, tasks.answer_text, judge_chat),
    "rewrite": Task(6.6, tasks.ask_rewrite, tasks.answer_text, tasks.judge_text),
    "summarization": Task(4.2, tasks.ask_summary, tasks.answer_text, tasks.judge_text),
    "classification": Task(3.5, tasks.ask_classification, tasks.answer_classification, tasks.judge_classification),
    "other": Task(3.5, tasks.ask_other, tasks.answer_text, tasks.judge_text),
    "closed QA": Task(2.6, tasks.ask_closed_qa, tasks.answer_closed_qa, tasks.judge_closed_qa),
    "extract": Task(1.9, tasks.ask_extract, tasks.answer_extract, tasks.judge_extract),
}
