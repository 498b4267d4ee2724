"""The words of the tiny world, sentences built from them, and their exact recognition.

One table of templates (words.json) serves both ways: `say` fills a template, `parse`
tells which template a sentence came from and with which words. What no template could
have said is not English here, so style and truth can be checked without a model.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple

SAID = json.loads((Path(__file__).parent / "words.json").read_text("utf-8"))
OPPOSITES, MOVES, DEEDS = SAID["opposites"], SAID["moves"], SAID["deeds"]
SLOTS = SAID["words"] | {
    "mood": SAID["words"]["glad"] + SAID["words"]["low"], "word": list(OPPOSITES),
    "move": list(MOVES), "moved": list(MOVES.values()),
    "deed": list(DEEDS), "did": list(DEEDS.values())}
NAMES, TOWNS, RUMOURS = SLOTS["name"], SLOTS["town"], SAID["rumours"]
SENTENCES = {kind: templates for about in SAID["sentences"].values()
             for kind, templates in about.items()}
FACTS = tuple(SAID["sentences"]["facts"])     # what open questions ask for


def a(noun: str) -> str:
    """The noun with its article: a fox, an owl."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def listing(items: list[str]) -> str:
    """one; one and two; one, two and three."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def say(template: str, rng: Random) -> str:
    """The template with a word drawn for each slot, in the order of the slots."""
    return re.sub(r"{(\w+)}", lambda slot: rng.choice(SLOTS[slot[1]]), template)


class Sentence(NamedTuple):
    """A recognised sentence: its kind, its words, and whether it was hearsay."""

    kind: str
    words: dict[str, str]
    text: str
    hearsay: bool = False

    @property
    def value(self) -> str:
        """What a statement of fact says about its subject."""
        return items(list(self.words.values())[-1])[0]


def _pattern(template: str) -> re.Pattern:
    """The regular expression of all sentences that a template can say."""
    one = {slot: "|".join(words) for slot, words in SLOTS.items()}
    one |= {f"a_{slot}": "|".join(map(a, words)) for slot, words in SLOTS.items()}
    many = {"foods": one["food"], "towns": one["town"], "pets": one["a_animal"],
            "gifts": one["a_object"]}
    one |= {slot: f"(?:(?:{word})(?:, | and |(?=\\.)))+" for slot, word in many.items()}
    one |= {"Pets": f"An? (?:{one['animal']})(?:(?:, | and )(?:{one['a_animal']}))*",
            "verdict": "good|bad", "word_2": one["word"]}
    escaped = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    named = re.sub(r"{(\w+)}", lambda slot: f"(?P<{slot[1]}>{one[slot[1]]})", escaped)
    return re.compile(named)


Told = list[Sentence]
PATTERNS = [(kind, _pattern(template)) for kind, templates in SENTENCES.items()
            for template in templates]


@lru_cache(maxsize=200_000)
def parse(sentence: str) -> Sentence | None:
    """Which template said this sentence, with which words; None if none could have."""
    for rumour in RUMOURS:
        if sentence.startswith(rumour):
            told = parse(sentence[len(rumour):])
            return told._replace(hearsay=True) if told and told.kind in FACTS else None
    for kind, pattern in PATTERNS:
        if found := pattern.fullmatch(sentence):
            return Sentence(kind, found.groupdict(), sentence)
    return None


def split_sentences(text: str) -> list[str]:
    """The sentences of a text; a rest without a full stop is one, too."""
    parts = (part.strip(" ") for part in re.findall(r"[^.?!\n]+[.?!]?|\n", text))
    return [part for part in parts if part]


def items(words: str) -> list[str]:
    """The nouns of a listing, without articles and 'and'."""
    parts = re.split(r", | and ", words.strip())
    return [re.sub(r"^[Aa]n? ", "", part) for part in parts if part]
