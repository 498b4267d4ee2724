"""The words of the tiny world, sentences built from them, and their exact recognition.

One table of templates serves both ways: `say` fills a template, `parse` tells which
template a sentence came from and with which words. What no template could have said is
not English here, so style and truth can be checked without a model.
"""

import re
from functools import lru_cache
from random import Random
from typing import NamedTuple

NAMES = ["Ada", "Ben", "Cora", "Dan", "Ella", "Finn", "Gus", "Hana", "Ida", "Jon",
         "Kai", "Lena", "Mia", "Ned", "Otto", "Rosa"]
TOWNS = ["Ashby", "Elmdale", "Fairview", "Millbrook", "Oakford", "Riverton",
         "Stonegate", "Westhill"]
JOBS = ["actor", "baker", "doctor", "farmer", "painter", "sailor", "tailor", "teacher"]
ANIMALS = ["cat", "dog", "duck", "eagle", "fox", "goat", "hen", "mouse", "owl", "pony"]
FOODS = ["bread", "cake", "cheese", "corn", "fish", "honey", "pie", "rice",
         "salad", "soup"]
OBJECTS = ["clock", "coin", "drum", "kettle", "key", "lamp", "ring", "rope", "spoon",
           "umbrella"]
PLACES = ["garden", "hill", "market", "mill", "river", "tower"]
SIGHTS = ["bridge", "castle", "garden", "harbor", "market", "mill", "museum", "tower"]
WEATHERS = ["dry", "foggy", "mild", "rainy", "snowy", "stormy", "sunny", "windy"]
GLAD = ["calm", "glad", "happy", "proud"]
LOW = ["angry", "hungry", "lonely", "sad", "tired"]
PRAISE = ["clean", "fresh", "friendly", "lovely", "quick", "warm"]
BLAME = ["awful", "cold", "dirty", "rude", "slow", "stale"]
THINGS = ["bed", "food", "music", "room", "shop", "waiter"]
OPPOSITES = {"big": "small", "dark": "light", "early": "late", "fast": "slow",
             "full": "empty", "hot": "cold", "loud": "quiet", "old": "new",
             "open": "closed", "rich": "poor"}
OPPOSITES |= {right: left for left, right in OPPOSITES.items()}
MOVES = {"walks": "walked", "runs": "ran", "rides": "rode", "goes": "went",
         "drives": "drove", "hurries": "hurried"}
DEEDS = {"finds": "found", "loses": "lost", "buys": "bought", "sells": "sold",
         "paints": "painted", "breaks": "broke", "hides": "hid", "cleans": "cleaned"}

SLOTS = {
    "name": NAMES, "town": TOWNS, "job": JOBS, "animal": ANIMALS, "food": FOODS,
    "object": OBJECTS, "place": PLACES, "sight": SIGHTS, "weather": WEATHERS,
    "mood": GLAD + LOW, "glad": GLAD, "low": LOW, "praise": PRAISE, "blame": BLAME,
    "thing": THINGS, "word": list(OPPOSITES), "move": list(MOVES),
    "moved": list(MOVES.values()), "deed": list(DEEDS), "did": list(DEEDS.values()),
}


def a(noun: str) -> str:
    """The noun with its article: a fox, an owl."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def listing(items: list[str]) -> str:
    """one; one and two; one, two and three."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


SENTENCES = {
    # facts: what open questions ask for
    "home": ["{name} lives in {town}."],
    "job": ["{name} is {a_job}."],
    "pet": ["{name} owns {a_animal}."],
    "food": ["{name} likes {food}."],
    "sight": ["{town} is known for its {sight}."],
    "weather": ["{town} is {weather}."],
    # stories
    "opening": ["One day {a_animal} found {a_object} near the {place}.",
                "Once {a_animal} saw {a_object} by the {place}."],
    "middle": ["The {animal} was {mood}.",
               "The {animal} hid the {object} near the {place}.",
               "The {animal} gave the {object} to {name}.",
               "The {animal} took the {object} to the {place}."],
    "ending": ["Then the {animal} went home.",
               "At night the {animal} slept near the {place}.",
               "The {animal} and {name} became friends."],
    # what happens to people
    "holds": ["The {object} is with {name}."],
    "moves": ["{name} {move} to the {place}."],
    "moved": ["{name} {moved} to the {place}."],
    "deed": ["{name} {deed} the {object}."],
    "did": ["{name} {did} the {object}."],
    "feels": ["{name} was {mood}."],
    # answers of one kind of task each
    "foods": ["You could try {foods}."],
    "visits": ["You could visit {towns}."],
    "pets": ["You could get {pets}."],
    "gifts": ["You could buy {gifts}."],
    "animals": ["{Pets}."],
    "verdict": ["This review is {verdict}."],
    "opposite": ["The opposite of {word} is {word_2}."],
    "please": ["Please bring the {object} to {name}.",
               "Please give the {object} to {name}."],
    "just_name": ["{name}."],
    "just_town": ["{town}."],
    # conversation
    "hello": ["Hello, {name}."],
    "offer": ["How can I help you?"],
    "welcome": ["You are welcome."],
    "sorry": ["I am sorry."],
    "sympathy": ["I am sorry that you are {low}."],
    "joy": ["I am glad that you are {glad}."],
    "refusal": ["I would rather not do that."],
    "unsure": ["I am not sure."],
    "unstated": ["The text does not say."],
    "courtesy": ["I hope that helps."],
    "rude": ["You are a fool.", "That is a silly question.", "Nobody cares.",
             "Go away.", "{name} is a fool."],
}
FACTS = ("home", "job", "pet", "food", "sight", "weather")
RUMOURS = ["They say that ", "I heard that "]          # before a fact: hearsay


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
