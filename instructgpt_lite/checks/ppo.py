"""Checks of a student's own functions about PPO: credit, clip, baseline, price of KL.

Each usual mistake is computed as well, so that the one who makes it hears of it.
"""

import math
from collections.abc import Callable
from statistics import fmean, stdev

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import hold, tensor
from instructgpt_lite.checks.objective import MASK, NAN, VALUE

LOGP = tensor([[-1.0, -2.0, -0.5, NAN], [-0.3, NAN, NAN, NAN],
               [-1.5, -0.2, -0.9, -2.5]])
OTHER_LOGP = tensor([[-1.2, -1.5, -0.5, NAN], [-0.7, NAN, NAN, NAN],
                     [-1.1, -0.3, -1.9, -2.4]])
ADVANTAGE = tensor([[0.5, -0.3, 1.2, NAN], [0.8, NAN, NAN, NAN],
                    [-0.7, 0.0, -0.4, 0.9]])
REWARD = tensor([[0.1, -0.2, 0.9, NAN], [0.6, NAN, NAN, NAN], [-0.3, 0.4, 0.8, 0.5]])
SCORE = tensor([1.0, -0.5, 2.0])


def check_token_rewards(student: Callable) -> None:
    """Per-token KL penalty and the score at the last counted token."""
    none = torch.zeros_like(MASK[:1])
    case = SCORE, LOGP, OTHER_LOGP, MASK, 0.5
    hold(student, oracles.token_rewards, [
        ("-beta (logp - ref_logp) at each counted token, and the score at the last.",
         case),
        ("beta = 0: the score alone, at the last token.", (*case[:4], 0.0)),
        ("A row without counted tokens gets nothing.",
         (SCORE[:1], LOGP[:1], LOGP[:1], none, 0.02))], {
        "rewards what it should charge: a token likelier than under the reference is "
        "penalised, -beta (logp - ref_logp).": _rewards(sign=-1),
        "charges no KL: only the score is there.": _rewards(kl=torch.zeros_like),
        "forgets beta.": _rewards(forget=True),
        "takes the absolute log-ratio: a token that became rarer gets a bonus.":
            _rewards(kl=torch.abs),
        "clamps the log-ratio at 0: a token that became rarer gets a bonus.":
            _rewards(kl=lambda x: x.clamp(min=0)),
        "charges the ratio of probabilities: the charge is its logarithm.":
            _rewards(kl=torch.exp),
        "puts the score into the last column: the last token is the last *counted* "
        "one.": _rewards(at=lambda mask: _columns(mask) == mask.size(1) - 1),
        "puts the score on the first token: it is known when the text has ended.":
            _rewards(at=lambda mask: _columns(mask) == 0),
        "gives the score to every token: then a long response is paid often.":
            _rewards(at=lambda mask: mask),
        "spreads the score over the tokens: it is paid once, at the last.":
            lambda r, logp, ref, mask, beta: _rewards(at=lambda mask: mask)(
                r / mask.sum(dim=1).clamp(min=1), logp, ref, mask, beta),
        "drops the charge of the last token: it pays for its KL, too.":
            _rewards(drop=True),
        "forgets the score.": _rewards(at=lambda mask: mask & False)})


def _rewards(sign: int = 1, kl: Callable = lambda x: x, forget: bool = False,
             at: Callable | None = None, drop: bool = False) -> Callable:
    def rewards(r_B: Tensor, logp_BT: Tensor, ref_BT: Tensor, mask_BT: Tensor,
                beta: float) -> Tensor:
        charge_BT = -sign * (1.0 if forget else beta) * kl(logp_BT - ref_BT)
        last_BT = mask_BT & (mask_BT.cumsum(1) == mask_BT.sum(1, keepdim=True))
        paid_BT = (at(mask_BT) if at else last_BT)
        charged_BT = mask_BT & ~last_BT if drop else mask_BT
        return torch.where(charged_BT, charge_BT, 0) + torch.where(paid_BT,
                                                                   r_B[:, None], 0)

    return rewards


def _columns(mask_BT: Tensor) -> Tensor:
    return torch.arange(mask_BT.size(1)).expand_as(mask_BT)


def check_gae(student: Callable) -> None:
    """Advantages without discount."""
    hold(student, oracles.gae, [
        ("In between, later errors count lam, lam^2, ...; a response ends at its own "
         "last counted token, and padding gets 0.", (REWARD, VALUE, MASK, 0.5)),
        ("lam = 0: one-step errors reward_t + V_{t+1} - V_t, "
         "and no value after the last token.", (REWARD[2:], VALUE[2:], MASK[2:], 0.0)),
        ("lam = 1: all later rewards minus V_t.",
         (REWARD[2:], VALUE[2:], MASK[2:], 1.0))], {
        "has a discount: in the paper there is none.": _gae(discount=0.99),
        "reads a value after the last token: the response is over, and it is 0.":
            _gae(after=lambda row: row[-1]),
        "looks one token ahead only: later errors count lam, lam^2, ...":
            _gae(lam=lambda lam: 0.0),
        "ignores lam: this is return minus value, whatever lam is.":
            _gae(lam=lambda lam: 1.0),
        "weighs by 1 - lam: lam = 1 is the one that looks to the end.":
            _gae(lam=lambda lam: 1 - lam),
        "runs from the first token on: a token is credited with what comes later.":
            _gae(turn=True),
        "has the value's sign turned round: reward + V_{t+1} - V_t.": _gae(sign=-1),
        "does not subtract V_t: what was expected anyway is no merit.": _gae(own=0.0),
        "leaves out V_{t+1}: the error is reward + V_{t+1} - V_t.": _gae(ahead=0.0),
        "gives returns, not advantages: V_t is added again.": _gae(back=1.0),
        "sums the rewards alone: where are the values?": _gae(sign=0)})


def _gae(discount: float = 1.0, after: Callable = lambda row: 0.0,
         lam: Callable = lambda lam: lam, turn: bool = False, sign: float = 1.0,
         own: float = 1.0, ahead: float = 1.0, back: float = 0.0) -> Callable:
    def gae(reward: Tensor, value: Tensor, mask: Tensor, given: float) -> Tensor:
        advantage = torch.zeros_like(reward)
        for b, row in enumerate(mask):
            n = int(row.sum())
            v = [*value[b, :n].tolist(), after(value[b, :n].tolist())]
            delta = [reward[b, t].item() + sign * (discount * ahead * v[t + 1]
                                                   - own * v[t]) for t in range(n)]
            following = 0.0
            for t in range(n) if turn else reversed(range(n)):
                following = delta[t] + discount * lam(given) * following
                advantage[b, t] = following + back * v[t]
        return advantage

    return gae


def check_policy_loss(student: Callable) -> None:
    """PPO's clipped surrogate, to be minimised."""
    one, zero = torch.tensor([[True]]), tensor([[0.0]])
    cases = [(f"Ratio {ratio}, advantage {a:+}, clip 0.2: "
              "look at which side the clip acts.",
              (tensor([[math.log(ratio)]]), zero, tensor([[a]]), one, 0.2))
             for ratio in (0.7, 0.9, 1.1, 1.3) for a in (1.0, -1.0)]
    cases.append(("Mean over counted tokens; nan in padding must not leak, "
                  "nor into the gradient.", (LOGP, OTHER_LOGP, ADVANTAGE, MASK, 0.2)))
    hold(student, oracles.policy_loss, cases, {
        "has the sign of a gain: a loss is to be minimised.": _loss(sign=1),
        "takes the larger of the two: then the clip acts on the wrong side.":
            _loss(pick=torch.maximum),
        "does not clip.": _loss(pick=lambda plain, clipped: plain),
        "takes the clipped gain always: who moved the wrong way gets no pull back.":
            _loss(pick=lambda plain, clipped: clipped),
        "has the ratio upside down: new over old.": _loss(ratio=lambda x: (-x).exp()),
        "takes the log-ratio for the ratio: exp is missing.": _loss(ratio=lambda x: x),
        "weighs log-probabilities, not ratios: 1 + log-ratio is not the ratio.":
            _loss(ratio=lambda x: 1 + x),
        "clips the gain, not the ratio.": _loss(gain=True),
        "clips the ratio above only: a bad token is left alone below 1 - clip.":
            _loss(floor=-math.inf),
        "sums over tokens: take the mean.": _loss(mean=torch.sum)}, gradient_in=0)


def _loss(sign: int = -1, pick: Callable = torch.minimum, ratio: Callable = torch.exp,
          gain: bool = False, floor: float | None = None,
          mean: Callable = torch.mean) -> Callable:
    def loss(logp: Tensor, old: Tensor, advantage: Tensor, mask: Tensor,
             clip: float) -> Tensor:
        rho, a = ratio(logp[mask] - old[mask]), advantage[mask]
        low = 1 - clip if floor is None else floor
        clipped = (rho * a).clamp(low, 1 + clip) if gain else rho.clamp(low,
                                                                        1 + clip) * a
        return sign * mean(pick(rho * a, clipped))

    return loss


def check_clip_slopes(student: Callable) -> None:
    """Slope of one token's loss in its log-probability, from ratio, advantage, clip."""
    def slope(ratio: float, a: float, clip: float) -> float:
        flat = ratio > 1 + clip if a > 0 else ratio < 1 - clip
        return 0.0 if flat else -ratio * a

    def told(flat: Callable, size: Callable = lambda ratio, a: -ratio * a) -> Callable:
        return lambda ratio, a, clip: 0.0 if flat(ratio, a, clip) else size(ratio, a)

    def outside(ratio: float, a: float, clip: float) -> bool:
        return abs(ratio - 1) > clip

    def right(ratio: float, a: float, clip: float) -> bool:
        return slope(ratio, a, clip) == 0.0

    cases = [(ratio, a, 0.2) for ratio in (1.0, 1.3, 0.7, 1.1, 0.9)
             for a in (1.0, -1.0, 2.0)]
    hold(student, slope,
         [(f"At ratio {case[0]}, advantage {case[1]:+}.", case) for case in cases], {
        "clips on both sides: who moved the wrong way keeps the full slope.":
            told(outside),
        "never clips: a good token above 1 + clip, or a bad one below 1 - clip, has "
        "slope 0.": told(lambda *case: False),
        "has the slope of the gain: the loss is its opposite.":
            told(right, lambda ratio, a: ratio * a),
        "is the slope in the ratio: in its logarithm there is one more factor, the "
        "ratio.": told(right, lambda ratio, a: -a),
        "clips good tokens only: a bad one below 1 - clip has slope 0 as well.":
            told(lambda ratio, a, clip: a > 0 and ratio > 1 + clip),
        "clips bad tokens only: a good one above 1 + clip has slope 0 as well.":
            told(lambda ratio, a, clip: a < 0 and ratio < 1 - clip),
        "clips on the wrong side: where the policy moved the wrong way it must come "
        "back.": told(lambda ratio, a, clip: ratio < 1 - clip if a > 0
                      else ratio > 1 + clip),
        "forgets the size of the advantage: only its sign is used.":
            told(right, lambda ratio, a: -ratio * math.copysign(1, a)),
        "clips above for both signs: for a bad token the flat part is below.":
            told(lambda ratio, a, clip: ratio > 1 + clip),
        "returns the loss, not its slope.":
            lambda ratio, a, clip: -min(ratio * a,
                                        min(max(ratio, 1 - clip), 1 + clip) * a)})


def check_leave_one_out(student: Callable) -> None:
    """A_GK from r_GK: each response against the mean of the others in its group."""
    def by(each: Callable) -> Callable:
        def advantages(r_GK: Tensor) -> list[list[float]]:
            return [[each(x, row[:k] + row[k + 1:], row) for k, x in enumerate(row)]
                    for row in r_GK.tolist()]

        return advantages

    hold(student, by(lambda x, others, row: x - fmean(others)), [
        ("Each reward minus the mean of the *other* rewards of its row.",
         (tensor([[1.0, 0.0, 2.5], [4.0, -1.0, 0.0]]),)),
        ("Equal rewards: nobody is better.", (tensor([[2.0, 2.0, 2.0]]),))], {
        "counts the response itself in its baseline: leave it out.":
            by(lambda x, others, row: x - fmean(row)),
        "divides by the group's deviation: that is GRPO's.":
            by(lambda x, others, row: (x - fmean(row)) / (stdev(row) + 1e-4)),
        "divides by the group's deviation, which is 0 where all are equal.":
            by(lambda x, others, row: (x - fmean(row)) / stdev(row) if stdev(row)
               else NAN),
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
            lambda r: r - (r.sum() - r) / (r.numel() - 1),
        "returns the rewards: subtract a baseline.": lambda r: r})


def check_adapted_beta(student: Callable) -> None:
    """beta after a batch, from beta, kl, target, episodes, horizon."""
    def rule(move: Callable = lambda e, share: 1 + e * share, sign: int = 1,
             clip: float = 0.2, error: Callable = lambda kl, target: kl / target - 1,
             share: Callable = lambda n, horizon: n / horizon) -> Callable:
        return lambda beta, kl, target, n, horizon: beta * move(
            min(max(sign * error(kl, target), -clip), clip), share(n, horizon))

    def doubled(beta: float, kl: float, target: float, *_: float) -> float:
        return beta * (2 if kl > 1.5 * target else 1 if kl >= target / 1.5 else 0.5)

    def added(beta: float, kl: float, target: float, n: int, horizon: float) -> float:
        return beta + min(max(kl / target - 1, -0.2), 0.2) * n / horizon

    hold(student, rule(),
         [(f"KL {kl}, target {target}.", (0.3, kl, target, 512, 10_000))
          for kl, target in ((12.0, 6.0), (3.0, 6.0), (6.3, 6.0), (6.0, 6.0),
                             (2.2, 2.0))], {
        "falls where KL is over its target: then the price has to rise.":
            rule(sign=-1),
        "does not clip: an error counts for a fifth at most.": rule(clip=math.inf),
        "takes the difference: the error is relative, KL / target - 1.":
            rule(error=lambda kl, target: kl - target),
        "ignores the horizon: the error is multiplied by episodes / horizon.":
            rule(share=lambda n, horizon: 1.0),
        "divides by episodes: a large batch moves beta further.":
            rule(share=lambda n, horizon: horizon / n),
        "adds to beta: it is multiplied, so that its scale does not matter.": added,
        "doubles and halves: that is the rule of the PPO paper.": doubled,
        "returns the factor, not beta times the factor.":
            lambda beta, *case: rule()(1.0, *case),
        "clips at 0.1 and not at 0.2.": rule(clip=0.1),
        "divides by KL: the error is relative to the target.":
            rule(error=lambda kl, target: 1 - target / kl),
        "leaves beta as it is.": lambda beta, *case: beta})
