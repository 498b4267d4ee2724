"""Checks of a student's own functions about the reward model, its loss and its zero."""

import math
from collections.abc import Callable
from itertools import permutations
from statistics import fmean, median, pstdev
from typing import Any

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import (
    hold,
    hold_names,
    lists,
    over,
    tensor,
    whole,
)


def pushes(r: Any, rank: Any, push: Callable = lambda m: -m,
           better: Callable = int.__lt__, loser: float = 1.0,
           divide: Callable = lambda pairs, K: pairs) -> tuple[float, ...]:
    """Sum over pairs of sigma(push(margin)), off the winner and on the loser."""
    r, rank = lists(r, rank)
    K, slope = len(r), [0.0] * len(r)
    pairs = [(w, l) for w in range(K) for l in range(K) if better(rank[w], rank[l])]
    for w, l in pairs:
        chance = oracles.sigmoid(push(r[w] - r[l]))
        slope[w] -= chance
        slope[l] += loser * chance
    return tuple(x / divide(len(pairs), K) for x in slope)


def check_reward_gradient(student: Callable) -> None:
    """Gradient of eq. (1), of one prompt, in its rewards: from r_K and rank_K."""
    def neighbours(one: int, other: int) -> bool:
        return other - one == 1

    three = tensor([math.log(3), 0.0, 0.0]), whole([2, 1, 3])
    four = tensor([2.0, 1.0, 0.5, -1.0]), whole([1, 2, 2, 3])
    far = tensor([-800.0, 800.0, 0.0]), whole([1, 2, 3])

    def times(by: float, **options: Any) -> Callable:
        return lambda r, rank: [by * x for x in pushes(r, rank, **options)]

    hold(student, pushes, [
        ("The mean over pairs of what each adds to the slope.", three, four, far)], {
        "that is the way the chance rises; the loss's gradient is its opposite.":
            times(-1),
        "that is the sum over pairs; eq. (1) has their mean, so divide by their "
        "number.": times(1, divide=lambda pairs, K: 1),
        "divide by the number of pairs, not by the number of responses.":
            times(1, divide=lambda pairs, K: K),
        "a tie makes no pair: divide by the pairs that are left, not by C(K, 2).":
            times(1, divide=lambda pairs, K: K * (K - 1) / 2),
        "divided twice: the mean over pairs is the only 1/C(K, 2) there is.":
            times(1, divide=lambda pairs, K: pairs ** 2),
        "a pair pushes by sigma(-margin), so that the wrong ones push most; yours is "
        "sigma(margin).": times(1, push=lambda margin: margin),
        "rank 1 is the best.": times(1, better=int.__gt__),
        "the loser is pushed as well, up by as much as the winner is down.":
            times(1, loser=0.0),
        "all pairs count, not only neighbours in the ranking.":
            times(1, better=neighbours)})


def check_responses_read(student: Callable) -> None:
    """(responses read in one epoch with K together, as single pairs), for K."""
    def pairs(K: int) -> int:
        return K * (K - 1) // 2

    hold(student, lambda K: (K, K * (K - 1)), [
        ("How often is a response read?", (2,), (4,), (9,))], {
        "a pair is two responses to read: twice C(K, 2).": lambda K: (K, pairs(K)),
        "together, each response is read once, however many pairs it is in.":
            lambda K: (K * (K - 1), K * (K - 1)),
        "together it is K responses, not one reading for each pair.":
            lambda K: (pairs(K), K * (K - 1)),
        "one batch element is still K responses to read.": lambda K: (1, K * (K - 1)),
        "the other way round: (together, as pairs).": lambda K: (K * (K - 1), K),
        "as pairs, a response is read again for each of its K - 1 partners.":
            lambda K: (K, K),
        "no response meets itself: K - 1 partners, not K.": lambda K: (K, K * K),
        "every response meets all others, not only its neighbours.":
            lambda K: (K, 2 * (K - 1))})


def check_brier(student: Callable) -> None:
    """Mean squared error of p_P, the chance given to the first, and won_P, 1 or 0."""
    square = over(lambda p, won: (p - won) ** 2)
    hold(student, square, [
        ("How far is each chance from what happened?",
         (tensor([0.9, 0.6, 0.2]), tensor([1.0, 0.0, 0.0])),
         (tensor([0.5]), tensor([1.0])))], {
        "that is the sum; take the mean over pairs.":
            over(lambda p, won: (p - won) ** 2, sum),
        "no root: the Brier score is the mean square itself.":
            lambda p, won: math.sqrt(square(p, won)),
        "squared, not absolute: absolute errors reward forecasts of 0 and 1.":
            over(lambda p, won: abs(p - won)),
        "that counts wrong guesses; the chances themselves have to enter.":
            over(lambda p, won: float((p > 0.5) != won)),
        "that is the expected score of honest forecasts, p(1 - p); compare p with "
        "what happened.": over(lambda p, won: p * (1 - p)),
        "won is 1 where the first was chosen, and p is the chance of the first.":
            over(lambda p, won: (1 - p - won) ** 2),
        "both outcomes of a pair are counted; they are the same error twice.":
            over(lambda p, won: 2 * (p - won) ** 2),
        "that is the log loss; Brier squares the difference.":
            over(lambda p, won: -math.log(p if won else 1 - p)),
        "square first, then average: errors of both signs must not cancel.":
            lambda p, won: (fmean(*lists(p)) - fmean(*lists(won))) ** 2})


def check_floor(student: Callable) -> None:
    """Mean entropy in nats of choices with the chances q_P."""
    def log(x: float) -> float:
        return math.log(x) if x else 0.0

    def entropy(q: float) -> float:
        return -q * log(q) - (1 - q) * log(1 - q)

    def literal(q: float) -> float:
        return math.nan if q in (0, 1) else entropy(q)

    hold(student, over(entropy), [
        ("The mean surprise of one who knows the chances.",
         (tensor([0.5, 0.9]),), (tensor([0.7, 0.2, 1.0, 0.0]),))], {
        "nats, not bits: the natural logarithm.":
            over(lambda q: entropy(q) / math.log(2)),
        "0 log 0 is nan in floats; a certain pair has entropy 0.": over(literal),
        "that is one half of it: the loser's -(1 - q) log(1 - q) is missing.":
            over(lambda q: -q * log(q)),
        "that is the surprise if the first always wins; weigh both outcomes by their "
        "chances.": over(lambda q: -log(q) if q else math.inf),
        "that is the surprise of the likelier outcome; the other one happens too.":
            over(lambda q: -log(max(q, 1 - q))),
        "that is the sum; take the mean over pairs.": over(entropy, sum),
        "that is the least error rate; the log loss has a floor of its own.":
            over(lambda q: min(q, 1 - q)),
        "that is the floor of the Brier score, q(1 - q).": over(lambda q: q * (1 - q)),
        "entropy of each pair first, then the mean: not of the mean chance.":
            lambda q: entropy(fmean(*lists(q))),
        "the sign: surprise is minus the logarithm.": over(lambda q: -entropy(q))})


def check_center(student: Callable) -> None:
    """r_BK moved by one constant so that demonstrations, scored demo_N, average 0."""
    def moved(each: Callable) -> Callable:
        def rows(r: Any, demo: Any) -> list[list[float]]:
            r, demo = lists(r, demo)
            return [[each(x, demo, row, sum(r, [])) for x in row] for row in r]
        return rows

    hold(student, moved(lambda x, demo, *_: x - fmean(demo)), [
        ("Moved alike, the demonstrations would average 0.",
         (tensor([[3.0, 1.0], [0.0, -2.0]]), tensor([2.0, 2.0, 5.0])),
         (tensor([[61.0, 62.0, 66.0]]), tensor([60.0, 70.0])))], {
        "the demonstrations shall average 0, not the responses.":
            moved(lambda x, demo, row, every: x - fmean(every)),
        "subtract their mean, do not add it.":
            moved(lambda x, demo, *_: x + fmean(demo)),
        "the spread stays as it is: only the mean is set.":
            moved(lambda x, demo, *_: (x - fmean(demo)) / pstdev(demo)),
        "one constant for all, not one for each prompt.":
            moved(lambda x, demo, row, every: x - fmean(row)),
        "the mean of the demonstrations, not their median.":
            moved(lambda x, demo, *_: x - median(demo)),
        "the mean of the demonstrations, not the best of them.":
            moved(lambda x, demo, *_: x - max(demo)),
        "multiplying by a constant changes differences, and with them the chances.":
            moved(lambda x, demo, *_: x / fmean(demo)),
        "nothing has moved.": lambda r, demo: r,
        "that is the constant; give the moved rewards.":
            lambda r, demo: fmean(*lists(demo))})


SHIFTED = {                                    # moves with the level?, and why
    "accuracy": (False, "Accuracy compares rewards of one prompt, so a constant on "
                        "both sides is nothing."),
    "loss": (False, "Eq. (1) sees only r_w - r_l, and the 60 cancels."),
    "gradient": (False, "The gradient is made of sigma(r_l - r_w): differences again."),
    "calibration": (False, "A chance is sigma of a difference; no chance moves."),
    "best policy": (False, "The best policy under a price of KL is reference times "
                           "exp(r / beta), normalized: a constant drops out."),
    "missing end": (True, "An answer without an end pays a fixed amount. Beside scores "
                          "near 60 it is another price than beside scores near 0, if "
                          "the score is replaced by a constant."),
    "value start": (True, "A value function that starts at 0 must first climb to 60, "
                          "and until then every advantage is wrong."),
}


def check_shift(student: Callable) -> None:
    """The set of names in SHIFTED that change when every reward grows by 60."""
    hold_names(student, SHIFTED)


def check_longer_share(student: Callable) -> None:
    """Share of ranked pairs in which the better is longer, from lists of each prompt's
    lengths and ranks; equal lengths count half."""
    def share(lengths: list, ranks: list, tie: float = 0.5, sign: int = 1,
              kept: Callable = lambda one, other: one < other) -> list[list[float]]:
        return [[1.0 if sign * long[w] > sign * long[l] else
                 tie if long[w] == long[l] else 0.0
                 for w, l in permutations(range(len(rank)), 2)
                 if kept(rank[w], rank[l])]
                for long, rank in zip(lengths, ranks)]

    def pooled(**options: Any) -> Callable:
        return lambda lengths, ranks: fmean(sum(share(lengths, ranks, **options), []))

    hold(student, pooled(), [
        ("Of all ranked pairs, in how many is the better one longer?",
         ([[5, 3, 3, 9], [4, 6]], [[1, 2, 3, 3], [2, 1]]),
         ([[7, 2, 4], [1, 1], [8, 3]], [[2, 1, 3], [1, 2], [1, 2]]))], {
        "equal lengths count half: a ruler would toss a coin.": pooled(tie=0.0),
        "equal lengths count half, not whole.": pooled(tie=1.0),
        "rank 1 is the best; yours counts pairs in which the worse is longer.":
            pooled(sign=-1),
        "equal ranks make no pair.": pooled(kept=lambda one, other: one <= other),
        "every pair counts the same here: one mean over all pairs.":
            lambda lengths, ranks: fmean(map(fmean, share(lengths, ranks))),
        "all pairs of a ranking, not only the best against the longest.":
            lambda lengths, ranks: fmean(float(long[rank.index(1)] == max(long))
                                         for long, rank in zip(lengths, ranks)),
        "count each pair once, winner first: both ways round it is one half.":
            pooled(kept=lambda one, other: one != other),
        "that is the number of pairs; divide by how many there are.":
            lambda lengths, ranks: sum(sum(share(lengths, ranks), [])),
        "all pairs, not only neighbours in the ranking.":
            pooled(kept=lambda one, other: other - one == 1)})
