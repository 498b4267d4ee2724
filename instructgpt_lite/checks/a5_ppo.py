"""Assignment 5: the reward of a token, its credit, the clip, and KL by enumeration."""

from collections.abc import Callable
from itertools import product
from math import exp

import torch
from torch import Tensor
from torch.nn.functional import pad

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import hold, tensor


def _goes_on(mask: Tensor) -> Tensor:
    """Where another counted token follows."""
    return pad(mask[:, 1:], (0, 1))


def _masked(draw: Draw, mask: Tensor, low: float = -2, high: float = 2) -> Tensor:
    """Numbers where the mask is True, nan elsewhere."""
    return draw.tensor(*mask.shape, low=low, high=high).masked_fill(~mask, torch.nan)


def check_charged_rewards(student: Callable, seed: int | str = 0) -> None:
    """reward_BT from r_B, logp_BT, ref_BT, mask_BT, beta, `missing`, ended_B.

    -beta (logp - ref) at counted tokens, the score at the last; where a response did
    not end, `missing` stands in for the score. Padding gets 0.
    """
    def of(charge: Callable = lambda p, q: p - q, at: Callable | None = None,
           score: Callable = torch.where, beta_to: Callable = lambda b: b) -> Callable:
        def reward(r, p, q, mask, beta, missing, ended):
            last = mask & ~_goes_on(mask) if at is None else at(mask)
            paid = score(ended, r, tensor(missing))[:, None] * last
            return paid - torch.where(mask, beta_to(beta) * charge(p, q), 0)
        return reward

    draw = Draw(seed)
    cases = []
    for rows in (3, 4):
        mask = draw.mask(rows, 4)
        ended = torch.tensor([True, False] + [bool(x) for x in draw.integers(
            rows - 2, 0, 1)])
        cases.append((draw.tensor(rows), _masked(draw, mask, -3, 0),
                      _masked(draw, mask, -3, 0), mask, draw.number(0.1, 0.6),
                      draw.number(-4, -2.5), ended))
    hold(student, of(), [
        ("-beta (logp - ref) at each counted token; the score, or `missing`, at the "
         "last.", *cases)], {
        "rewards what it should charge: -beta (logp - ref).":
            of(lambda p, q: q - p),
        "charges no KL: only the score is there.": of(lambda p, q: 0 * p),
        "forgets beta.": of(beta_to=lambda b: 1.0),
        "takes the absolute log-ratio: a rarer token gets a bonus.":
            of(lambda p, q: (p - q).abs()),
        "clamps the log-ratio at 0: a rarer token gets a bonus.":
            of(lambda p, q: (p - q).clamp(min=0)),
        "puts the score into the last column: the last *counted* token.":
            of(at=lambda mask: torch.arange(4).expand_as(mask) == 3),
        "puts the score on the first token: it is known at the end.":
            of(at=lambda mask: torch.arange(4).expand_as(mask) == 0),
        "gives the score to every token: it is paid once.": of(at=lambda mask: mask),
        "a response that did not end gets `missing`, not its score.":
            of(score=lambda ended, r, missing: r),
        "`missing` stands in for the score, it is not added to it.":
            of(score=lambda ended, r, missing: r + (~ended) * missing),
        "`missing` is for those that did not end: turned round.":
            of(score=lambda ended, r, missing: torch.where(ended, missing, r)),
        "charges the ratio of probabilities: its logarithm is the charge.":
            of(lambda p, q: (p - q).exp())})


def check_advantage_and_return(student: Callable, seed: int | str = 0) -> None:
    """(advantage_BT, return_BT) from reward_BT, value_BT, mask_BT, lam; no discount.

    The return is advantage + value; padding gets 0 in both.
    """
    right = oracles.gae

    def both(advantage: Callable, value: Callable = lambda v: v) -> Callable:
        def pair(reward, v, mask, lam):
            a = tensor(advantage(reward, v, mask, lam))
            return torch.stack([a, a + torch.where(mask, value(v), 0)])
        return lambda *case: tuple(pair(*case).tolist())

    def ahead(v: Tensor, mask: Tensor, end: Tensor | float = 0.0) -> Tensor:
        return torch.where(_goes_on(mask), v.roll(-1, dims=1), end)

    draw = Draw(seed)
    cases = []
    for lam in (0.5, 0.9):
        mask = draw.mask(3, 5)
        cases.append((_masked(draw, mask), _masked(draw, mask), mask, lam))
    full = torch.ones(2, 4, dtype=torch.bool)
    cases.append((draw.tensor(2, 4), draw.tensor(2, 4), full, 0.0))
    hold(student, both(right), [
        ("Later errors count lam, lam^2, ...; a response ends at its last counted "
         "token.", *cases)], {
        "has a discount: here there is none.": both(lambda reward, v, mask, lam: right(
            reward - 0.01 * ahead(v, mask), v, mask, 0.99 * lam)),
        "reads a value after the last token: it is 0 there.":
            both(lambda reward, v, mask, lam: right(
                reward + ahead(0 * v, mask, v), v, mask, lam)),
        "looks one token ahead only: later errors count lam, lam^2, ...":
            both(lambda *case: right(*case[:3], 0.0)),
        "ignores lam: this is return minus value, whatever lam is.":
            both(lambda *case: right(*case[:3], 1.0)),
        "weighs by 1 - lam: lam = 1 looks to the end.":
            both(lambda *case: right(*case[:3], 1 - case[3])),
        "runs from the first token on: credit goes back, not forth.":
            both(lambda reward, v, mask, lam: tensor(right(tensor(right(
                reward, v, mask, 0.0)).flip(1), 0 * reward.flip(1), mask.flip(1),
                lam)).flip(1)),
        "leaves out V_{t+1}: the error is reward + V_{t+1} - V_t.":
            both(lambda reward, v, mask, lam: right(
                reward - ahead(v, mask), v, mask, lam)),
        "does not subtract V_t: what was expected anyway is no merit.":
            both(lambda reward, v, *case: right(reward + v, v, *case)),
        "the return is advantage + value: yours leaves the value out.":
            both(right, lambda v: 0 * v),
        "the return is advantage + value: yours subtracts it.":
            both(right, lambda v: -v),
        "advantage first, then the return.":
            lambda *case: both(right)(*case)[::-1],
        "the return here is what GAE aims at, not the sum of rewards.":
            lambda *case: (both(right)(*case)[0], right(
                case[0], 0 * case[1], case[2], 1.0))})


def check_clipped_loss(student: Callable, seed: int | str = 0) -> None:
    """Mean over counted tokens of -min(ratio A, clip(ratio) A), and its gradient, from
    logp_BT, old_BT, advantage_BT, mask_BT, clip."""
    def of(gain: Callable, mean: bool = True) -> Callable:
        def loss(logp, old, a, mask, clip):
            ratio = (logp - old)[mask].exp()
            each = -gain(ratio, a[mask], clip)
            return each.mean() if mean else each.sum()
        return loss

    def clipped(ratio: Tensor, a: Tensor, clip: float) -> Tensor:
        return torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)

    draw = Draw(seed)
    cases = []
    for clip in (0.2, 0.1):
        mask = draw.mask(3, 4)
        mask[:, 0], mask[0] = True, True
        old = _masked(draw, mask, -3, -1)
        step = draw.tensor(3, 4, low=-0.05, high=0.05)
        step[0] = tensor([0.5, -0.5, 0.4, -0.4])        # one of each kind is clipped
        a = _masked(draw, mask, 0.3, 2)
        a[0] *= tensor([1.0, 1.0, -1.0, -1.0])
        cases.append((old + step, old, a, mask, clip))
    hold(student, oracles.policy_loss, [
        ("A good token's ratio counts up to 1 + clip, a bad one's down to 1 - clip.",
         *cases)], {
        "the sign: a loss falls as good tokens become likelier.":
            of(lambda *x: -clipped(*x)),
        "not clipped.": of(lambda ratio, a, clip: ratio * a),
        "clips without the minimum: a mistake could not be taken back.":
            of(lambda ratio, a, clip: ratio.clamp(1 - clip, 1 + clip) * a),
        "the larger of the two: take the smaller gain.":
            of(lambda ratio, a, clip: torch.maximum(
                ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)),
        "a mean over counted tokens, not a sum.": of(clipped, mean=False),
        "divides by all places: padding does not count.":
            lambda *case: of(clipped, mean=False)(*case) / case[3].numel(),
        "divides by rows: tokens count.":
            lambda *case: of(clipped, mean=False)(*case) / len(case[3]),
        "a mean of rows' means: each token counts the same.":
            lambda *case: torch.stack([of(clipped)(*[x[b] for x in case[:4]], case[4])
                                       for b in range(3)]).mean(),
        "the ratio is exp(logp - old): yours is its inverse.":
            lambda logp, old, *case: of(clipped)(old, logp, *case),
        "that is the log-ratio: the ratio is its exp.":
            of(lambda ratio, a, clip: torch.minimum(
                ratio.log() * a, ratio.log().clamp(-clip, clip) * a)),
        "clips above only: a bad token's ratio counts down to 1 - clip.":
            of(lambda ratio, a, clip: torch.minimum(
                ratio * a, ratio.clamp(max=1 + clip) * a)),
        "the ratio itself is missing: that is the mean of log-probabilities times A.":
            lambda logp, old, a, mask, clip: -(logp * a)[mask].mean()}, gradient_in=0)


def check_sequence_kl(student: Callable, seed: int | str = 0) -> None:
    """KL(pi || ref) of whole responses of T tokens, from logp_TVV and ref_TVV.

    logp_TVV[t, v, w] is log pi(y_t = w | y_{t-1} = v); before the first token v is 0.
    """
    def of(value: Callable, weight: Callable = lambda p, q: exp(p)) -> Callable:
        def total(p: Tensor, q: Tensor) -> float:
            out, tables = 0.0, (p.tolist(), q.tolist())
            for y in product(range(p.size(-1)), repeat=len(p)):
                steps = [*enumerate(zip((0, *y), y))]
                a, b = ([x[t][v][w] for t, (v, w) in steps] for x in tables)
                out += weight(sum(a), sum(b)) * value(a, b)
            return out
        return total

    def token_kl(p: Tensor, q: Tensor) -> Tensor:
        return (p.exp() * (p - q)).sum(dim=-1)

    draw = Draw(seed)
    hold(student, of(lambda a, b: sum(a) - sum(b)), [
        ("Sum over all responses of pi(y) (log pi(y) - log ref(y)).",
         (draw.logp(3, 3, 3), draw.logp(3, 3, 3)),
         (draw.logp(4, 2, 2), draw.logp(4, 2, 2)))], {
        "the sign: log pi comes first.": of(lambda a, b: sum(b) - sum(a)),
        "weighs by the reference: responses come from pi.":
            of(lambda a, b: sum(a) - sum(b), lambda p, q: exp(q)),
        "that is KL(ref || pi).":
            of(lambda a, b: sum(b) - sum(a), lambda p, q: exp(q)),
        "a mean over tokens: KL of a response is the sum.":
            of(lambda a, b: (sum(a) - sum(b)) / len(a)),
        "counts all responses alike: weigh each by pi.":
            of(lambda a, b: sum(a) - sum(b), lambda p, q: 1.0),
        "only the first token: the later ones follow it.": of(
            lambda a, b: a[0] - b[0]),
        "only the last token: those before it count, too.":
            of(lambda a, b: a[-1] - b[-1]),
        "sums the KL of every row, likely or not: weigh each by how often pi is there.":
            lambda p, q: token_kl(p, q).sum(),
        "every row as likely as the others: weigh each by how often pi is there.":
            lambda p, q: token_kl(p, q).mean(dim=-1).sum(),
        "always from token 0: what was drawn before decides the row.":
            lambda p, q: token_kl(p, q)[:, 0].sum(),
        "takes absolute values: a response may be negative.":
            of(lambda a, b: abs(sum(a) - sum(b))),
        "is the cross-entropy: log pi is missing.": of(lambda a, b: -sum(b)),
        "how often pi is there follows from pi, not from the reference.":
            _visited_by_reference})


def _visited_by_reference(p: Tensor, q: Tensor) -> Tensor:
    """The KL of each row, weighed by how often the reference comes there."""
    at = torch.zeros(p.size(-1)).to(p)
    at[0], total = 1.0, torch.zeros(()).to(p)
    for now, ref in zip(p, q):
        total = total + at @ (now.exp() * (now - ref)).sum(dim=-1)
        at = at @ ref.exp()
    return total
