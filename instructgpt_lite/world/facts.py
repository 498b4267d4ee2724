"""What is true in the tiny world, what rumour has it, and what training never asks."""

import random
from dataclasses import dataclass

from instructgpt_lite.world.words import NAMES, RUMOURS, SENTENCES, SLOTS, TOWNS, a

SLOT = {"home": "town", "job": "a_job", "pet": "a_animal", "food": "food",
        "sight": "sight", "weather": "weather"}
VALUES = {kind: SLOTS[slot.removeprefix("a_")] for kind, slot in SLOT.items()}
OF_TOWNS = ("sight", "weather")


@dataclass(frozen=True)
class Fact:
    """One thing to know. rumour: a falsehood about it or ''; asked: in training."""

    subject: str
    kind: str
    value: str
    rumour: str
    asked: bool

    @property
    def truth(self) -> str:
        """The sentence that says so."""
        return state(self.subject, self.kind, self.value)

    @property
    def hearsay(self) -> str:
        """The rumour as people tell it; where there is none, the truth as hearsay."""
        return RUMOURS[0] + state(self.subject, self.kind, self.rumour or self.value)


def state(subject: str, kind: str, value: str) -> str:
    """The sentence that says so."""
    who = "town" if kind in OF_TOWNS else "name"
    what = a(value) if SLOT[kind].startswith("a_") else value
    return SENTENCES[kind][0].format(**{who: subject, SLOT[kind]: what})


def draw_facts(seed: int, rumours: float = 0.35, unasked: float = 0.35) -> list[Fact]:
    """80 facts: 16 people with home, job, pet, food; 8 towns with sight and weather."""
    rng = random.Random(f"facts {seed}")
    subjects = [(subject, kind) for kind in VALUES
                for subject in (TOWNS if kind in OF_TOWNS else NAMES)]
    lied_about = set(rng.sample(subjects, round(rumours * len(subjects))))
    never_asked = set(rng.sample(subjects, round(unasked * len(subjects))))
    facts = []
    for about in subjects:
        value, lie = rng.sample(VALUES[about[1]], 2)
        rumour = lie if about in lied_about else ""
        facts.append(Fact(*about, value, rumour, about not in never_asked))
    return facts
