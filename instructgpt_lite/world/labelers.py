"""People who rank: what they like, how much they err, and how often two of them agree.

A labeler weighs the parts of the gold score by taste, adds Gaussian noise, rounds, and
ranks. Two populations differ in taste, as the paper's labelers and the people who use
the model do: the first likes courtesy and puts helpfulness first, the second wants the
truth in few words (§3.4, §5.2).

I people, P pairs of responses to one prompt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from instructgpt_lite.data.records import Prompt, Ranking
from instructgpt_lite.theory.bradley_terry import outcome
from instructgpt_lite.world.gold import Gold, Score

TASTES = {                            # mean weight of each part of a score
    "training": {"helpful": 0.65, "truthful": 0.15, "harmless": 0.50, "style": 0.15,
                 "courtesy": 0.02, "words": 0.002},
    "held-out": {"helpful": 0.40, "truthful": 0.40, "harmless": 0.50, "style": 0.05,
                 "courtesy": -0.20, "words": -0.02},
}
AGREEMENT = 0.726                     # of two training labelers on a pair (§3.4)
GRAIN = 0.05                          # utilities are rounded to it; equals then tie
Orders = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Labeler:
    """One person: a name and a weight for each part of a score."""

    name: str
    taste: dict[str, float]

    def utility(self, score: Score) -> float:
        """What a response is worth to this person, before noise."""
        return sum(weight * getattr(score, part) for part, weight in self.taste.items())


class Labelers:
    """A population: each prompt is ranked by one person of it (§5.3)."""

    def __init__(self, gold: Gold, population: str = "training", count: int = 8,
                 noise: float = 0.2, seed: int = 0):
        rng, tastes = Random(f"labelers {population} {seed}"), TASTES[population]
        self.gold, self.population, self.noise = gold, population, noise
        self.people = []
        for n in range(count):
            taste = {part: weight * rng.lognormvariate(0, 0.2)
                     for part, weight in tastes.items()}
            self.people.append(Labeler(f"{population} {n}", taste))

    def judge(self, prompt: Prompt, responses: Sequence[str],
              rng: Random) -> tuple[str, list[int]]:
        """One person, drawn at random, and their ranks; near-equals tie."""
        person = rng.choice(self.people)
        felt = [person.utility(self.gold(prompt, text)) + rng.gauss(0, self.noise)
                for text in responses]
        felt = [round(utility / GRAIN) for utility in felt]
        return person.name, [1 + sum(other > mine for other in felt) for mine in felt]

    def rank(self, prompt: Prompt, responses: Sequence[str],
             rng: Random) -> Ranking | None:
        """The different responses, ranked by one person; None if nothing differs."""
        responses = tuple(dict.fromkeys(responses))
        name, ranks = self.judge(prompt, responses, rng)
        if max(ranks) == 1:
            return None
        return Ranking(prompt.prompt, responses, tuple(ranks), name, prompt.category,
                       prompt.key)

    def prefers(self, prompt: Prompt, first: str, second: str, rng: Random) -> float:
        """1 if one person likes the first response better, 0 the second, else 1/2."""
        _, (one, other) = self.judge(prompt, [first, second], rng)
        return 0.5 if first == second else outcome(other, one)

    def gaps(self, judged: Sequence[Sequence[Score]]) -> np.ndarray:
        """Noise-free differences of utility of every pair of responses (I, P)."""
        return np.array([[person.utility(score) - person.utility(other)
                          for scores in judged for n, score in enumerate(scores)
                          for other in scores[n + 1:]] for person in self.people])

    def calibrate(self, judged: Sequence[Sequence[Score]],
                  agreement: float = AGREEMENT) -> float:
        """Set the noise so that two of them `agree` so often, and return it."""
        gap_IP = self.gaps(judged)
        low, high = 1e-3, 10.0
        for _ in range(40):
            self.noise = math.sqrt(low * high)
            orders = order_chances(gap_IP, self.noise)
            if _agreement(orders, orders, same_people=True) > agreement:
                low = self.noise
            else:
                high = self.noise
        return self.noise


def agree(people: Labelers, others: Labelers,
          judged: Sequence[Sequence[Score]]) -> float:
    """How often one of the people and one of the others order a pair alike, exactly.

    Of the pairs in which neither sees a tie, as those are what accuracy counts:

        P(both see an order, and the same) / P(both see an order)

    judged: of every prompt, the scores of its responses. Where `others` are the same
    population the two are different people of it.
    """
    ours = order_chances(people.gaps(judged), people.noise)
    theirs = order_chances(others.gaps(judged), others.noise)
    return _agreement(ours, theirs, same_people=people is others)


def order_chances(gap: np.ndarray, noise: float) -> Orders:
    """P(the first is ranked higher), P(the second is), where utilities differ by gap.

    With noise the difference is D ~ N(gap, 2 noise^2). After rounding an order D > 0 is
    left with probability min(D / grain, 1), wherever the grid of grains lies; else they
    tie. So P = E[min(max(D, 0), grain)] / grain, from E[max(D, 0)] of a Gaussian. Noise
    of a grain or more makes the place of the grid as good as uniform. Any shape.
    """
    from scipy.special import ndtr
    scale = noise * math.sqrt(2)

    def positive_part(mean: np.ndarray) -> np.ndarray:
        z = mean / scale
        return mean * ndtr(z) + scale * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    up = (positive_part(gap) - positive_part(gap - GRAIN)) / GRAIN
    down = (positive_part(-gap) - positive_part(-gap - GRAIN)) / GRAIN
    return up, down


def _agreement(one: Orders, other: Orders, same_people: bool) -> float:
    """`agree` from order chances: pooled over pairs and all ways to draw two people."""
    (up_IP, down_IP), (up_JP, down_JP) = one, other
    alike_IJ = up_IP @ up_JP.T + down_IP @ down_JP.T
    untied_IJ = (up_IP + down_IP) @ (up_JP + down_JP).T
    if same_people:
        different = ~np.eye(len(up_IP), dtype=bool)
        alike_IJ, untied_IJ = alike_IJ[different], untied_IJ[different]
    return float(alike_IJ.sum() / untied_IJ.sum())
