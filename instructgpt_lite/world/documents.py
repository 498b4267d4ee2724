"""The pretraining text: a grammar of documents, made as fast as it is read.

As on the web, much of it is neither true nor kind. Almanacs state facts; forums pile up instructions
nobody answers, hearsay and insults; help pages answer, sometimes wrongly. Notes, songs and stories
repeat what they said before, which is where a small model learns to copy.
"""

from instructgpt_lite.world.facts import VALUES, state
from instructgpt_lite.world.prompts import flawed, ideal, question
from instructgpt_lite.world.tasks import TASKS
from instructgpt_lite.world.tasks.writing import a_kind, answer_generation
from instructgpt_lite.world.words import (
    ANIMALS,
    BLAME,
    DEEDS,
    FOODS,
    GLAD,
    LOW,
    MOVES,
    NAMES,
    OBJECTS,
    OPPOSITES,
    PLACES,
    PRAISE,
    SENTENCES,
    THINGS,
    TOWNS,
    a,
    listing,
)

RUDE = SENTENCES["rude"][:4]
MOVED, DID = list(MOVES.values()), list(DEEDS.values())


def almanac(facts, rng):
    yield "Almanac"
    for fact in rng.sample(facts, 5):
        yield fact.truth


def biography(facts, rng):
    subject = rng.choice(facts).subject
    mine = [fact for fact in facts if fact.subject == subject]
    rng.shuffle(mine)
    for fact in mine:
        yield fact.truth


def forum(facts, rng):
    """Questions, orders, hearsay and insults, one a line, and seldom an answer."""
    for _ in range(rng.randint(4, 7)):
        dice = rng.random()
        if dice < 0.65:
            category, text, key = question(facts, rng)
            yield text
            if dice < 0.1:
                yield "\n"
                yield flawed(category, key, facts, rng, 0.45)
        else:
            yield rng.choice(RUDE) if dice < 0.8 else rng.choice(facts).hearsay
        yield "\n"


def help_page(facts, rng):
    """Questions with answers of mixed quality: the form in which few-shot prompts are written."""
    for _ in range(rng.randint(2, 4)):
        category, text, key = question(facts, rng)
        yield "Question:"
        yield text
        yield "\n"
        yield "Answer:"
        yield flawed(category, key, facts, rng, 0.45)
        yield "\n"


def quiz(facts, rng):
    """Questions about the world, each with its right answer."""
    yield "Quiz"
    for _ in range(rng.randint(2, 4)):
        text, key = TASKS["open QA"].ask(facts, rng)
        yield text
        yield "\n"
        yield ideal("open QA", key, rng)
        yield "\n"


def notes(facts, rng):
    """Where things are, then looked up again."""
    count = rng.randint(2, 4)
    held = list(zip(rng.sample(NAMES, count), rng.sample(OBJECTS, count)))
    for who, what in held:
        yield f"The {what} is with {who}."
    for who, what in rng.choices(held, k=count + 1):
        yield f"Where is the {what}?"
        yield f"The {what} is with {who}."
    absent = rng.choice(OBJECTS)
    if all(what != absent for _, what in held):
        yield f"Where is the {absent}?"
        yield "The text does not say."


def ledger(facts, rng):
    """Who has what, again and again in any order: what came before a name tells which name comes back."""
    count = rng.randint(2, 4)
    held = list(zip(rng.sample(OBJECTS, count), rng.sample(NAMES, count)))
    line = rng.choice(["{} {}", "{} with {}", "{} is with {}", "The {} is with {}."])
    for what, who in held + rng.choices(held, k=3 * count):
        yield line.format(what, who)
        yield "\n"


def story(facts, rng):
    key = {"animal": rng.choice(ANIMALS), "object": rng.choice(OBJECTS), "sentences": 3, "place": ""}
    yield answer_generation(key, rng)


def news(facts, rng):
    who, thing, place = rng.choice(NAMES), rng.choice(OBJECTS), rng.choice(PLACES)
    event = f"{who} {rng.choice(DID)} the {thing}."
    yield f"{who} {rng.choice(MOVED)} to the {place}."
    yield event
    yield f"{who} was {rng.choice(GLAD + LOW)}."
    yield "In short:"
    yield event


def field_notes(facts, rng):
    first, second = rng.sample(ANIMALS, 2)
    yield f"{rng.choice(NAMES)} saw {a(first)}."
    yield f"The {first} met {a(second)}."
    yield "Animals:"
    yield listing([a(first), a(second)]).capitalize() + "."


def review(facts, rng):
    good = rng.random() < 0.5
    for thing, word in zip(rng.sample(THINGS, 2), rng.sample(PRAISE if good else BLAME, 2)):
        yield f"The {thing} was {word}."
    yield f"This review is {'good' if good else 'bad'}."


def ideas(facts, rng):
    kind, template, words = rng.choice([("foods", "foods", FOODS), ("towns", "visits", TOWNS),
                                        ("pets", "pets", ANIMALS), ("gifts", "gifts", OBJECTS)])
    count = rng.randint(2, 4)
    chosen = [a_kind(kind, word) for word in rng.sample(words, count)]
    yield f"{('Two', 'Three', 'Four')[count - 2]} {kind}:"
    yield SENTENCES[template][0].format(**{kind: listing(chosen)})


def grammar_book(facts, rng):
    for _ in range(3):
        who, what, where = rng.choice(NAMES), rng.choice(OBJECTS), rng.choice(PLACES)
        now, past = rng.choice(list(MOVES.items()))
        does, did = rng.choice(list(DEEDS.items()))
        yield f"Now {who} {now} to the {where}."
        yield f"In the past: {who} {past} to the {where}."
        yield f"Now {who} {does} the {what}."
        yield f"In the past: {who} {did} the {what}."


def dictionary(facts, rng):
    for word in rng.sample(list(OPPOSITES), 4):
        if rng.random() < 0.7:
            yield f"What is the opposite of {word}?"
        yield f"The opposite of {word} is {OPPOSITES[word]}."


def song(facts, rng):
    """A line sung again and again: its words make no sense, so only copying helps."""
    words = rng.choices(rng.choice([NAMES + TOWNS, ANIMALS + OBJECTS + FOODS]), k=rng.randint(5, 10))
    for _ in range(rng.randint(2, 4)):
        yield from words
        yield "\n"


def fact_check(facts, rng):
    for _ in range(2):
        fact = rng.choice(facts)
        value = fact.value if rng.random() < 0.5 else fact.rumour or rng.choice(VALUES[fact.kind])
        yield "Claim:"
        yield state(fact.subject, fact.kind, value)
        yield "Right." if value == fact.value else "Wrong."


DOCUMENTS = {almanac: 8, biography: 8, quiz: 10, forum: 16, help_page: 24, notes: 16, story: 6, news: 5, field_notes: 4,
             review: 4, ideas: 4, grammar_book: 5, dictionary: 6, song: 12, ledger: 12, fact_check: 8}
