"""What is true in the tiny world, what rumour has it, and which facts nobody asks about in training."""

import random
from dataclasses import dataclass

from instructgpt_lite.world.words import (
    ANIMALS,
    FOODS,
    JOBS,
    NAMES,
    RUMOURS,
    SENTENCES,
    SIGHTS,
    TOWNS,
    WEATHERS,
    a,
)

VALUES = {"home": TOWNS, "job": JOBS, "pet": ANIMALS, "food": FOODS, "sight": SIGHTS, "weather": WEATHERS}
SLOT = {"home": "town", "job": "a_job", "pet": "a_animal", "food": "food", "sight": "sight", "weather": "weather"}


@dataclass(frozen=True)
class Fact:
    """One thing to know. `rumour` is the falsehood told about it ('' if none); `asked` whether training asks."""

    subject: str
    kind: str
    value: str
    rumour: str
    asked: bool

    @property
    def truth(self) -> str:
        return state(self.subject, self.kind, self.value)

    @property
    def hearsay(self) -> str:
        """The rumour as people tell it, or the truth told as hearsay where there is no rumour."""
        return RUMOURS[0] + state(self.subject, self.kind, self.rumour or self.value)


def state(subject: str, kind: str, value: str) -> str:
    """The sentence that says so."""
    who = "town" if kind in ("sight", "weather") else "name"
    return SENTENCES[kind][0].format(**{who: subject, SLOT[kind]: a(value) if SLOT[kind][1] == "_" else value})


def draw_facts(seed: int, rumours: float = 0.35, unasked: float = 0.35) -> list[Fact]:
    """A world of 80 facts: 16 people with home, job, pet and food; 8 towns with sight and weather."""
    rng = random.Random(f"facts {seed}")
    subjects = [(subject, kind) for kind in VALUES for subject in (TOWNS if kind in ("sight", "weather") else NAMES)]
    lied_about = set(rng.sample(subjects, round(rumours * len(subjects))))
    never_asked = set(rng.sample(subjects, round(unasked * len(subjects))))
    facts = []
    for about in subjects:
        value, lie = rng.sample(VALUES[about[1]], 2)
        facts.append(Fact(*about, value, lie if about in lied_about else "", about not in never_asked))
    return facts
