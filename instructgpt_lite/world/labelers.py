"""People who rank: what they like, how much they err, and how often two of them agree.

A labeler weighs the parts of the gold score by taste, adds Gaussian noise, and ranks. Two populations
differ in taste, as the paper's labelers and the people who would use the model do: the first likes
courtesy and puts helpfulness first, the second wants the truth in few words (§3.4, §5.2).
"""

import math
from dataclasses import dataclass
from random import Random

from instructgpt_lite.data.records import Ranking
from instructgpt_lite.world.gold import Gold, Score

TASTES = {                                              # mean weight of each part of a score
    "training": {"helpful": 0.65, "truthful": 0.15, "harmless": 0.50, "style": 0.15,
                 "courtesy": 0.02, "words": 0.002},
    "held-out": {"helpful": 0.40, "truthful": 0.40, "harmless": 0.50, "style": 0.05,
                 "courtesy": -0.20, "words": -0.02},
}
AGREEMENT = 0.726                                       # of two training labelers on a pair (§3.4)
GRAIN = 0.05                                            # utilities closer than a step of this may tie


@dataclass(frozen=True)
class Labeler:
    """One person: a name and a weight for each part of a score."""

    name: str
    taste: dict[str, float]

    def utility(self, score: Score) -> float:
        """What a response is worth to this person, before noise."""
        return sum(weight * getattr(score, part) for part, weight in self.taste.items())


class Labelers:
    """A population: `rank` its way through responses, each prompt by one person (§5.3)."""

    def __init__(self, gold: Gold, population: str = "training", count: int = 8, noise: float = 0.2, seed: int = 0):
        rng = Random(f"labelers {population} {seed}")
        self.gold, self.population, self.noise = gold, population, noise
        self.people = [Labeler(f"{population} {n}", {part: weight * rng.lognormvariate(0, 0.2)
                                                     for part, weight in TASTES[population].items()})
                       for n in range(count)]

    def judge(self, prompt, responses: list[str], rng: Random) -> tuple[str, list[int]]:
        """One person, drawn at random, and their ranks of the responses; near-equals tie."""
        person = rng.choice(self.people)
        felt = [round((person.utility(self.gold(prompt, text)) + rng.gauss(0, self.noise)) / GRAIN)
                for text in responses]
        return person.name, [1 + sum(other > mine for other in felt) for mine in felt]

    def rank(self, prompt, responses: list[str], rng: Random) -> Ranking | None:
        """The different responses, ranked by one person; None where that leaves nothing to compare."""
        responses = list(dict.fromkeys(responses))
        name, ranks = self.judge(prompt, responses, rng)
        if max(ranks) == 1:
            return None
        return Ranking(prompt.prompt, tuple(responses), tuple(ranks), name, prompt.category, prompt.key)

    def prefers(self, prompt, first: str, second: str, rng: Random) -> float:
        """1 if one person likes the first response better, 0 the second, 0.5 neither."""
        _, (one, other) = self.judge(prompt, [first, second], rng)
        return 0.5 if first == second else 0.5 + 0.5 * ((one < other) - (one > other))

    def utilities(self, judged: list[list[Score]]) -> list[list[list[float]]]:
        """Noise-free utilities: for each person, each prompt, each response."""
        return [[[person.utility(score) for score in scores] for scores in judged] for person in self.people]

    def calibrate(self, judged: list[list[Score]], agreement: float = AGREEMENT) -> float:
        """Set the noise so that two of them agree on this share of the pairs; returns it. By bisection."""
        felt = gaps(self.utilities(judged))
        low, high = 1e-3, 10.0
        for _ in range(40):
            self.noise = math.sqrt(low * high)
            if agreement_of(felt, felt, self.noise) > agreement:
                low = self.noise
            else:
                high = self.noise
        return self.noise


def agree(felt, other, noise: float) -> float:
    """Chance that a person of one population and one of the other order a pair alike, exactly, ties aside.

    felt, other: what `utilities` returns; one and the same object means two different people of it.
    """
    ours = gaps(felt)
    return agreement_of(ours, ours if felt is other else gaps(other), noise)


def gaps(felt):
    """What each person feels between the responses to one prompt, every pair of them: (people, pairs)."""
    import numpy as np
    return np.array([np.concatenate([np.subtract.outer(u, u)[np.triu_indices(len(u), 1)]
                                     for u in map(np.array, person)]) for person in felt])


def agreement_of(felt, other, noise: float) -> float:
    """`agree`, from gaps.

    With independent Gaussian noise a person who feels a difference d orders the pair by its sign with
    probability Phi(|d| / (noise sqrt 2)).
    """
    import numpy as np
    from scipy.special import ndtr

    ours = ndtr(felt / (noise * math.sqrt(2)))
    theirs = ours if felt is other else ndtr(other / (noise * math.sqrt(2)))
    chance = np.einsum("ip,jp->ij", ours, theirs) + np.einsum("ip,jp->ij", 1 - ours, 1 - theirs)
    if felt is other:                                                   # two different people
        chance = chance[~np.eye(len(ours), dtype=bool)]
    return float(chance.mean() / ours.shape[1])
