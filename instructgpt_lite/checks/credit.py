"""Checks of a student's own functions about PPO: rewards, credit, clip, price of KL."""

import math
from collections.abc import Callable
from statistics import fmean, stdev
from typing import Any

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, lists, over, tensor, whole

NAN = math.nan                                 # what padding holds

MASK = whole([[True, True, True, False], [True, False, False, False],
              [True, True, True, True]])
VALUE = tensor([[0.5, 0.6, 0.7, NAN], [0.2, NAN, NAN, NAN], [0.9, -0.4, 0.1, 0.6]])
LOGP = tensor([[-1.0, -2.0, -0.5, NAN], [-0.3, NAN, NAN, NAN],
               [-1.5, -0.2, -0.9, -2.5]])
OTHER_LOGP = tensor([[-1.2, -1.5, -0.5, NAN], [-0.7, NAN, NAN, NAN],
                     [-1.1, -0.3, -1.9, -2.4]])
REWARD = tensor([[0.1, -0.2, 0.9, NAN], [0.6, NAN, NAN, NAN], [-0.3, 0.4, 0.8, 0.5]])
SCORE = tensor([1.0, -0.5, 2.0])


def check_token_rewards(student: Callable) -> None:
    """Per-token KL penalty and the score at the last counted token."""
    right = oracles.token_rewards
    none, case = whole([[False] * 4]), (SCORE, LOGP, OTHER_LOGP, MASK, 0.5)
    hold(student, right, [
        ("-beta (logp - ref_logp) at each counted token, and the score at the last.",
         case),
        ("beta = 0: the score alone, at the last token.", (*case[:4], 0.0)),
        ("A row without counted tokens gets nothing.",
         (SCORE[:1], LOGP[:1], LOGP[:1], none, 0.02))], {
        "rewards what it should charge: a token likelier than under the reference is "
        "penalised, -beta (logp - ref_logp).": _charged(lambda x: -x),
        "charges no KL: only the score is there.": _charged(lambda x: 0.0),
        "forgets beta.": lambda *case: right(*case[:4], 1.0),
        "takes the absolute log-ratio: a token that became rarer gets a bonus.":
            _charged(abs),
        "clamps the log-ratio at 0: a token that became rarer gets a bonus.":
            _charged(lambda x: max(x, 0.0)),
        "charges the ratio of probabilities: the charge is its logarithm.":
            _charged(math.exp),
        "puts the score into the last column: the last token is the last *counted* "
        "one.": _paid(lambda counts: [0, 0, 0, 1]),
        "puts the score on the first token: it is known when the text has ended.":
            _paid(lambda counts: [1, 0, 0, 0]),
        "gives the score to every token: then a long response is paid often.":
            _paid(lambda counts: counts),
        "spreads the score over the tokens: it is paid once, at the last.":
            _paid(lambda counts: [x / max(sum(counts), 1) for x in counts]),
        "drops the charge of the last token: it pays for its KL, too.": _last_free,
        "forgets the score.": lambda r, *case: right([0.0] * len(r), *case)})


def _charged(kl: Callable) -> Callable:
    def told(r: Any, logp: Any, ref: Any, *case: Any) -> list:
        ratio = [over(lambda p, q: kl(p - q), list)(*rows)
                 for rows in zip(*lists(logp, ref))]
        none = [[0.0] * len(row) for row in ratio]
        return oracles.token_rewards(r, ratio, none, *case)
    return told


def _paid(share: Callable) -> Callable:
    def told(r: Any, *case: Any) -> list:
        each = zip(oracles.token_rewards([0.0] * len(r), *case), *lists(r, case[2]))
        return [[x + score * part for x, part in zip(row, share(counts))]
                for row, score, counts in each]
    return told


def _last_free(r: Any, logp: Any, ref: Any, mask: Any, beta: float) -> list:
    logp, ref, mask = lists(logp, ref, mask)
    logp = [[p if later else q for p, q, later in zip(*row, _goes_on(counts))]
            for *row, counts in zip(logp, ref, mask)]
    return oracles.token_rewards(r, logp, ref, mask, beta)


def _goes_on(mask_T: list[bool]) -> list[bool]:
    """Where another counted token follows."""
    return [*mask_T[1:], False]


def check_gae(student: Callable) -> None:
    """Advantages without discount."""
    hold(student, oracles.gae, [
        ("In between, later errors count lam, lam^2, ...; a response ends at its own "
         "last counted token, and padding gets 0.", (REWARD, VALUE, MASK, 0.5)),
        ("lam = 0: one-step errors reward_t + V_{t+1} - V_t, "
         "and no value after the last token.", (REWARD[2:], VALUE[2:], MASK[2:], 0.0)),
        ("lam = 1: all later rewards minus V_t.",
         (REWARD[2:], VALUE[2:], MASK[2:], 1.0))], {
        "has a discount: in the paper there is none.": _changed(
            lambda x, v, after: x - 0.01 * (after or 0), lam=lambda lam: 0.99 * lam),
        "reads a value after the last token: the response is over, and it is 0.":
            _changed(lambda x, v, after: x + (v if after is None else 0)),
        "looks one token ahead only: later errors count lam, lam^2, ...":
            _changed(lam=lambda lam: 0.0),
        "ignores lam: this is return minus value, whatever lam is.":
            _changed(lam=lambda lam: 1.0),
        "weighs by 1 - lam: lam = 1 is the one that looks to the end.":
            _changed(lam=lambda lam: 1 - lam),
        "runs from the first token on: a token is credited with what comes later.":
            _forwards,
        "has the value's sign turned round: reward + V_{t+1} - V_t.":
            _changed(value=lambda v: -v),
        "does not subtract V_t: what was expected anyway is no merit.":
            _changed(lambda x, v, after: x + v),
        "leaves out V_{t+1}: the error is reward + V_{t+1} - V_t.":
            _changed(lambda x, v, after: x - (after or 0)),
        "gives returns, not advantages: V_t is added again.": _returns,
        "sums the rewards alone: where are the values?": _changed(value=lambda v: 0.0)})


def _changed(reward: Callable = lambda x, v, after: x, value: Callable = float,
             lam: Callable = float) -> Callable:
    def told(x_BT: Any, v_BT: Any, mask: Any, weight: float) -> list:
        x_BT, v_BT, mask = lists(x_BT, v_BT, mask)
        after = [[v if later else None for v, later in zip(
            [*row[1:], NAN], _goes_on(counts))] for row, counts in zip(v_BT, mask)]
        x_BT = [over(reward, list)(*rows) for rows in zip(x_BT, v_BT, after)]
        v_BT = [[*map(value, row)] for row in v_BT]
        return oracles.gae(x_BT, v_BT, mask, lam(weight))
    return told


def _forwards(reward: Any, v: Any, mask: Any, lam: float) -> list:
    turned = [row[::-1] for row in oracles.gae(reward, v, mask, 0.0)]
    none, mask = [[0.0] * len(row) for row in turned], lists(mask)[0]
    sums = oracles.gae(turned, none, [row[::-1] for row in mask], lam)
    return [row[::-1] for row in sums]


def _returns(reward: Any, v: Any, mask: Any, lam: float) -> list:
    each = zip(oracles.gae(reward, v, mask, lam), *lists(v, mask))
    return [[a + (x if counts else 0) for a, x, counts in zip(*rows)]
            for rows in each]


def check_clip_slopes(student: Callable) -> None:
    """Slope of one token's loss in its log-probability, from ratio, advantage, clip."""
    def slope(flat: Callable) -> Callable:
        return lambda ratio, a, clip: 0.0 if flat(ratio, a, clip) else -ratio * a

    def beyond(ratio: float, a: float, clip: float) -> bool:
        return ratio > 1 + clip if a > 0 else ratio < 1 - clip

    right = slope(beyond)
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
        "back.": slope(lambda ratio, a, clip: beyond(ratio, -a, clip)),
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
            by(lambda x, others, row: (x - fmean(row)) / (stdev(row) or NAN)),
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
