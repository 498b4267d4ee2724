"""The pretraining text: a grammar of documents, made as fast as it is read.

As on the web, much of it is neither true nor kind. Almanacs state facts; forums pile up
instructions nobody answers, hearsay and insults; help pages answer, sometimes wrongly.
Notes, songs and stories repeat what they said before, which is where a small model
learns to copy. A document yields its text piece by piece.
"""

from collections.abc import Iterator
from random import Random

from instructgpt_lite.world.facts import VALUES, Fact, state
from instructgpt_lite.world.prompts import flawed, ideal, question
from instructgpt_lite.world.tasks import TASKS
from instructgpt_lite.world.tasks.writing import IDEAS, NUMBERS
from instructgpt_lite.world.words import OPPOSITES, SENTENCES, SLOTS, a, listing, say

Facts, Text = list[Fact], Iterator[str]
RUDE = SENTENCES["rude"][:4]


def almanac(facts: Facts, rng: Random) -> Text:
    """Five facts."""
    yield " ".join(["Almanac", *(fact.truth for fact in rng.sample(facts, 5))])


def biography(facts: Facts, rng: Random) -> Text:
    """All facts about one subject."""
    subject = rng.choice(facts).subject
    mine = [fact for fact in facts if fact.subject == subject]
    rng.shuffle(mine)
    yield " ".join(fact.truth for fact in mine)


def forum(facts: Facts, rng: Random) -> Text:
    """Questions, orders, hearsay and insults, one a line, and seldom an answer."""
    for _ in range(rng.randint(4, 7)):
        dice = rng.random()
        if dice < 0.65:
            text, *asked = question(facts, rng)
            yield text + "\n"
            if dice < 0.1:
                yield flawed(*asked, facts, rng) + "\n"
        else:
            said = rng.choice(RUDE) if dice < 0.8 else rng.choice(facts).hearsay
            yield said + "\n"


def help_page(facts: Facts, rng: Random) -> Text:
    """Questions with answers of mixed quality, the form of few-shot prompts."""
    for _ in range(rng.randint(2, 4)):
        text, *asked = question(facts, rng)
        yield f"Question: {text}\nAnswer: {flawed(*asked, facts, rng)}\n"


def quiz(facts: Facts, rng: Random) -> Text:
    """Questions about the world, each with its right answer."""
    yield "Quiz"
    for _ in range(rng.randint(2, 4)):
        text, key = TASKS["open QA"].ask(facts, rng)
        yield f"{text}\n{ideal('open QA', key, rng)}\n"


def notes(facts: Facts, rng: Random) -> Text:
    """Where things are, then looked up again."""
    count = rng.randint(2, 4)
    people = rng.sample(SLOTS["name"], count)
    held = list(zip(people, rng.sample(SLOTS["object"], count)))
    for who, what in held:
        yield f"The {what} is with {who}."
    for who, what in rng.choices(held, k=count + 1):
        yield f"Where is the {what}?"
        yield f"The {what} is with {who}."
    absent = rng.choice(SLOTS["object"])
    if all(what != absent for _, what in held):
        yield f"Where is the {absent}?"
        yield "The text does not say."


def ledger(facts: Facts, rng: Random) -> Text:
    """Who has what, again and again: what precedes a name tells which comes back."""
    count = rng.randint(2, 4)
    things = rng.sample(SLOTS["object"], count)
    held = list(zip(things, rng.sample(SLOTS["name"], count)))
    line = rng.choice(["{} {}", "{} with {}", "{} is with {}", "The {} is with {}."])
    for what, who in held + rng.choices(held, k=3 * count):
        yield line.format(what, who) + "\n"


def story(facts: Facts, rng: Random) -> Text:
    """A story of three sentences."""
    key = {"animal": rng.choice(SLOTS["animal"]), "object": rng.choice(SLOTS["object"]),
           "sentences": 3, "place": ""}
    yield ideal("generation", key, rng)


def news(facts: Facts, rng: Random) -> Text:
    """An event among others, and the same again in short."""
    text, key = TASKS["summarization"].ask(facts, rng)
    yield text.partition("? ")[2] + " In short:"
    yield key["text"]


def field_notes(facts: Facts, rng: Random) -> Text:
    """Two animals, and a list of them."""
    first, second = rng.sample(SLOTS["animal"], 2)
    yield say(f"{{name}} saw {a(first)}.", rng)
    yield f"The {first} met {a(second)}."
    yield "Animals:"
    yield listing([a(first), a(second)]).capitalize() + "."


def review(facts: Facts, rng: Random) -> Text:
    """Two judgements and a verdict."""
    good = rng.random() < 0.5
    things = rng.sample(SLOTS["thing"], 2)
    for thing, word in zip(things, rng.sample(SLOTS["praise" if good else "blame"], 2)):
        yield f"The {thing} was {word}."
    yield f"This review is {'good' if good else 'bad'}."


def ideas(facts: Facts, rng: Random) -> Text:
    """A list of two to four."""
    kind, count = rng.choice(list(IDEAS)), rng.randint(2, 4)
    yield f"{NUMBERS[count - 2].capitalize()} {IDEAS[kind][2]}:"
    yield ideal("brainstorming", {"kind": kind, "count": count, "without": ""}, rng)


def grammar_book(facts: Facts, rng: Random) -> Text:
    """Sentences now and in the past."""
    for _ in range(3):
        who, what = rng.choice(SLOTS["name"]), rng.choice(SLOTS["object"])
        where = rng.choice(SLOTS["place"])
        now, past = rng.choice(list(zip(SLOTS["move"], SLOTS["moved"])))
        does, did = rng.choice(list(zip(SLOTS["deed"], SLOTS["did"])))
        yield f"Now {who} {now} to the {where}."
        yield f"In the past: {who} {past} to the {where}."
        yield f"Now {who} {does} the {what}. In the past: {who} {did} the {what}."


def dictionary(facts: Facts, rng: Random) -> Text:
    """Words and their opposites."""
    for word in rng.sample(list(OPPOSITES), 4):
        if rng.random() < 0.7:
            yield f"What is the opposite of {word}?"
        yield f"The opposite of {word} is {OPPOSITES[word]}."


def song(facts: Facts, rng: Random) -> Text:
    """A line sung again and again: its words make no sense, so only copying helps."""
    names = SLOTS["name"] + SLOTS["town"]
    nouns = SLOTS["animal"] + SLOTS["object"] + SLOTS["food"]
    words = rng.choices(rng.choice([names, nouns]), k=rng.randint(5, 10))
    for _ in range(rng.randint(2, 4)):
        yield " ".join(words) + "\n"


def fact_check(facts: Facts, rng: Random) -> Text:
    """Claims, right and wrong."""
    for _ in range(2):
        fact = rng.choice(facts)
        value = fact.value
        if rng.random() >= 0.5:
            value = fact.rumour or rng.choice(VALUES[fact.kind])
        yield "Claim:"
        yield state(fact.subject, fact.kind, value)
        yield "Right." if value == fact.value else "Wrong."


DOCUMENTS = {                         # how often each kind is written
    almanac: 8, biography: 8, quiz: 10, forum: 16, help_page: 24, notes: 16, story: 6,
    news: 5, field_notes: 4, review: 4, ideas: 4, grammar_book: 5, dictionary: 6,
    song: 12, ledger: 12, fact_check: 8,
}
