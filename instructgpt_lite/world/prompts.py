"""Instructions of customers, and answers of people: mostly well, sometimes not."""

from itertools import accumulate
from random import Random

from instructgpt_lite.data.records import Demonstration, Prompt
from instructgpt_lite.world.facts import Fact, state
from instructgpt_lite.world.tasks import TASKS
from instructgpt_lite.world.words import NAMES, RUMOURS, SENTENCES, TOWNS

ASIDES = [*3 * ["I am {name} from {town}."], "I am {name}.", "I have a question.",
          "Please help me."]
# Table 1 of the paper, tempered: half its shares, half an equal part for each use case,
# so that a thousand prompts say something about the rare ones too.
CATEGORIES = list(TASKS)
WEIGHTS = list(accumulate(task.share / 2 + 5 for task in TASKS.values()))


def question(facts: list[Fact], rng: Random, category: str = "",
             aside: float = 0.4) -> tuple[str, str, dict]:
    """Text, category and key of an instruction; its use case is drawn by share.

    The share `aside` of them begins with a word about oneself.
    """
    category = category or rng.choices(CATEGORIES, cum_weights=WEIGHTS)[0]
    text, key = TASKS[category].ask(facts, rng)
    if not text.startswith("Hello") and rng.random() < aside:
        about = rng.choice(ASIDES)
        about = about.format(name=rng.choice(NAMES), town=rng.choice(TOWNS))
        text = f"{about} {text}"
    return text, category, key


def ask(facts: list[Fact], rng: Random, category: str = "", author: str = "",
        aside: float = 0.4) -> Prompt:
    """One such instruction as a record."""
    text, category, key = question(facts, rng, category, aside)
    return Prompt(text, category, author, key)


def ideal(category: str, key: dict, rng: Random) -> str:
    """A perfect answer: the gold score of it is 1."""
    return TASKS[category].answer(key, rng)


def flawed(category: str, key: dict, facts: list[Fact], rng: Random,
           noise: float = 0.45) -> str:
    """An answer of a human: with probability `noise` something goes wrong."""
    if rng.random() >= noise:
        return ideal(category, key, rng)
    if category == "open QA" and rng.random() < 0.5:
        return mistaken(key, facts, rng)
    slip = rng.randrange(5)
    if slip == 0:
        return "I am not sure."
    if slip == 1:                      # the answer to another instruction of the kind
        return ideal(category, TASKS[category].ask(facts, rng)[1], rng)
    if slip == 2:                      # goes on and on
        return ideal(category, key, rng) + " " + rng.choice(facts).truth
    if slip == 3:                      # says it twice
        return " ".join([ideal(category, key, rng)] * 2)
    return rng.choice(facts).truth     # true, and beside the point


def mistaken(key: dict, facts: list[Fact], rng: Random) -> str:
    """Hearsay, or the same kind of fact about somebody else put on the subject."""
    subject, kind = key["subject"], key["kind"]
    if key["rumour"]:
        return rng.choice([*RUMOURS, ""]) + state(subject, kind, key["rumour"])
    values = [fact.value for fact in facts if fact.kind == kind]
    return state(subject, kind, rng.choice(values))


def demonstrate(prompt: Prompt, facts: list[Fact], rng: Random, noise: float = 0.46,
                courtesy: float = 0.2) -> Demonstration:
    """What a labeler writes: an answer, with a courtesy at its end now and then."""
    text = flawed(prompt.category, prompt.key, facts, rng, noise)
    if rng.random() < courtesy:
        text += " " + SENTENCES["courtesy"][0]
    return Demonstration(prompt.prompt, text, prompt.author, prompt.category,
                         prompt.key)
