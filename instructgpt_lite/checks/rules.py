"""Checks of a student's own functions about PPO's rules: clip, baseline, price."""

import math
from collections.abc import Callable
from statistics import fmean, stdev
from typing import Any

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, lists, tensor


def check_clip_slopes(student: Callable) -> None:
    """Slope of one token's loss in its log-probability, from ratio, advantage, clip."""
    def slope(flat: Callable) -> Callable:
        return lambda ratio, a, clip: 0.0 if flat(ratio, a, clip) else -ratio * a

    def over(ratio: float, a: float, clip: float) -> bool:
        return ratio > 1 + clip if a > 0 else ratio < 1 - clip

    right = slope(over)
    hold(student, right,
         [(f"At ratio {ratio}, advantage {a:+}.", (ratio, a, 0.2))
          for ratio in (1.0, 1.3, 0.7, 1.1, 0.9) for a in (1.0, -1.0, 2.0)], {
        "clips on both sides: who moved the wrong way keeps the full slope.":
            slope(lambda ratio, a, clip: abs(ratio - 1) > clip),
        "never clips: a good token above 1 + clip, or a bad one below 1 - clip, has "
        "slope 0.": slope(lambda *case: False),
        "has the slope of the gain: the loss is its opposite.":
            lambda *case: -right(*case),
        "is the slope in the ratio: in its logarithm there is one more factor, the "
        "ratio.": lambda *case: right(*case) / case[0],
        "clips good tokens only: a bad one below 1 - clip has slope 0 as well.":
            slope(lambda ratio, a, clip: a > 0 and ratio > 1 + clip),
        "clips bad tokens only: a good one above 1 + clip has slope 0 as well.":
            slope(lambda ratio, a, clip: a < 0 and ratio < 1 - clip),
        "clips on the wrong side: where the policy moved the wrong way it must come "
        "back.": slope(lambda ratio, a, clip: over(ratio, -a, clip)),
        "forgets the size of the advantage: only its sign is used.":
            lambda ratio, a, clip: right(ratio, math.copysign(1, a), clip),
        "clips above for both signs: for a bad token the flat part is below.":
            slope(lambda ratio, a, clip: ratio > 1 + clip),
        "returns the loss, not its slope.": lambda ratio, a, clip: oracles.policy_loss(
            [[math.log(ratio)]], [[0.0]], [[a]], [[True]], clip)})


def check_leave_one_out(student: Callable) -> None:
    """A_GK from r_GK: each response against the mean of the others in its group."""
    def by(each: Callable) -> Callable:
        return lambda r_GK: [[each(x, row[:k] + row[k + 1:], row)
                              for k, x in enumerate(row)] for row in lists(r_GK)[0]]

    def mixed(r_GK: Any) -> list:
        every = sum(lists(r_GK)[0], [])
        return by(lambda x, *_: x - (sum(every) - x) / (len(every) - 1))(r_GK)

    hold(student, by(lambda x, others, row: x - fmean(others)), [
        ("Each reward minus the mean of the *other* rewards of its row.",
         (tensor([[1.0, 0.0, 2.5], [4.0, -1.0, 0.0]]),)),
        ("Equal rewards: nobody is better.", (tensor([[2.0, 2.0, 2.0]]),))], {
        "counts the response itself in its baseline: leave it out.":
            by(lambda x, others, row: x - fmean(row)),
        "divides by the group's deviation: that is GRPO's.":
            by(lambda x, others, row: (x - fmean(row)) / (stdev(row) + 1e-4)),
        "divides by the group's deviation, which is 0 where all are equal.":
            by(lambda x, others, row: (x - fmean(row)) / (stdev(row) or math.nan)),
        "sums the others: take their mean.": by(lambda x, others, row: x - sum(others)),
        "divides the others' sum by K: there are K - 1.":
            by(lambda x, others, row: x - sum(others) / len(row)),
        "has the sign turned round: a good response has a positive advantage.":
            by(lambda x, others, row: fmean(others) - x),
        "returns the baseline: subtract it from the reward.":
            by(lambda x, others, row: fmean(others)),
        "takes the best of the others: the mean is wanted.":
            by(lambda x, others, row: x - max(others)),
        "mixes groups: the baseline is of the responses to the same prompt.":
            mixed,
        "returns the rewards: subtract a baseline.": lambda r: r})


def check_adapted_beta(student: Callable) -> None:
    """beta after a batch, from beta, kl, target, episodes, horizon."""
    def moved(clip: float = 0.2, error: Callable = lambda kl, target: kl / target - 1,
              share: Callable = lambda n, horizon: n / horizon) -> Callable:
        return lambda kl, target, *case: (
            min(max(error(kl, target), -clip), clip) * share(*case))

    def rule(**options: Callable | float) -> Callable:
        return lambda beta, *case: beta * (1 + moved(**options)(*case))

    hold(student, rule(),
         [(f"KL {kl}, target {target}.", (0.3, kl, target, 512, 10_000))
          for kl, target in ((12.0, 6.0), (3.0, 6.0), (6.3, 6.0), (6.0, 6.0),
                             (2.2, 2.0))], {
        "falls where KL is over its target: then the price has to rise.":
            rule(error=lambda kl, target: 1 - kl / target),
        "does not clip: an error counts for a fifth at most.": rule(clip=math.inf),
        "takes the difference: the error is relative, KL / target - 1.":
            rule(error=lambda kl, target: kl - target),
        "ignores the horizon: the error is multiplied by episodes / horizon.":
            rule(share=lambda n, horizon: 1.0),
        "divides by episodes: a large batch moves beta further.":
            rule(share=lambda n, horizon: horizon / n),
        "adds to beta: it is multiplied, so that its scale does not matter.":
            lambda beta, *case: beta + moved()(*case),
        "doubles and halves: that is the rule of the PPO paper.":
            lambda beta, kl, target, *_: beta * (
                2 if kl > 1.5 * target else 1 if kl >= target / 1.5 else 0.5),
        "returns the factor, not beta times the factor.":
            lambda beta, *case: 1 + moved()(*case),
        "clips at 0.1 and not at 0.2.": rule(clip=0.1),
        "divides by KL: the error is relative to the target.":
            rule(error=lambda kl, target: 1 - target / kl),
        "leaves beta as it is.": lambda beta, *case: beta})
