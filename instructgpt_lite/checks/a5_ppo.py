"""Assignment 5: the reward of a token, its credit, the clip, and KL by enumeration."""

from collections.abc import Callable
from itertools import product
from math import exp, log, nan

import torch
from torch import Tensor
from torch.nn.functional import pad

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import Mistakes, hold, tensor


def _goes_on(mask: Tensor) -> Tensor:
    """Where another counted token follows."""
    return pad(mask[:, 1:], (0, 1))


def _unknown(mask: Tensor, *case: object) -> tuple:
    """The case with nan where the mask is False."""
    def hidden(x: object) -> object:
        numbers = torch.is_tensor(x) and x.is_floating_point() and x.shape == mask.shape
        return x.masked_fill(~mask, nan) if numbers else x

    return tuple(map(hidden, case))


PADDING = "Padding may be nan: take it out before the sums, times 0 it stays nan."


def _reward(charge: Callable = lambda p, q: p - q, at: Callable | None = None,
            score: Callable = torch.where, beta_to: Callable = lambda b: b,
            paid_at: Callable = lambda mask: mask) -> Callable:
    """The charge where paid_at(mask), and the score where at(mask)."""
    def of(r, p, q, mask, beta, missing, ended):
        last = mask & ~_goes_on(mask) if at is None else at(mask)
        paid = score(ended, r, tensor(missing))[:, None] * last
        return paid - torch.where(paid_at(mask), beta_to(beta) * charge(p, q), 0) + 0.0
    return of


def check_charged_rewards(student: Callable, seed: int | str = 0) -> None:
    """reward_BT from r_B, logp_BT, ref_BT, mask_BT, beta, `missing`, ended_B.

    -beta (logp - ref) at counted tokens, the score at the last; where a response did
    not end, `missing` stands in for the score. Padding gets 0.
    """
    draw = Draw(seed)
    cases = []
    for rows in (3, 4):
        mask = draw.mask(rows, 4)
        ended = torch.tensor([True, False] + [bool(x) for x in draw.integers(
            rows - 2, 0, 1)])
        cases.append((draw.tensor(rows), draw.tensor(rows, 4, low=-3, high=0),
                      draw.tensor(rows, 4, low=-3, high=0), mask,
                      draw.number(0.1, 0.6), draw.number(-4, -2.5), ended))
    hold(student, _reward(), [
        ("-beta (logp - ref) at each counted token; the score, or `missing`, at the "
         "last.", *cases)], _other_charges() | _other_scores())
    hold(student, _reward(), [
        (PADDING, *[_unknown(case[3], *case) for case in cases]),
        ("`missing` stands in for any score, a lower one, too.",
         (tensor([-1.0]), draw.tensor(1, 3), draw.tensor(1, 3),
          torch.tensor([[True, True, False]]), 0.5, 0.0, torch.tensor([False]))),
        ("Large or small, all is taken as it is: no clamp, and no sign turned.",
         (tensor([-30.0, 30.0, 1.0]), 30 * draw.tensor(3, 2), draw.tensor(3, 2),
          torch.ones(3, 2).bool(), 0.5, 2.5, torch.tensor([True, True, False]))),
        ("There may be one token, and a score may be 0.",
         *[(tensor([r]), draw.tensor(1, 1), draw.tensor(1, 1), torch.ones(1, 1).bool(),
            0.5, -1.0, torch.tensor([True])) for r in (2.0, 0.0)])])


def _other_charges() -> Mistakes:
    """Mistakes of `check_charged_rewards` in what KL costs."""
    def at_once(*case: object) -> Tensor:
        score, both = _reward(lambda p, q: 0 * p)(*case), _reward()(*case)
        mask = case[3]
        return score + (both - score).sum(1, keepdim=True) * (mask & ~_goes_on(mask))

    return {
        "rewards what it should charge: -beta (logp - ref).":
            _reward(lambda p, q: q - p),
        "charges no KL: only the score is there.": _reward(lambda p, q: 0 * p),
        "forgets beta.": _reward(beta_to=lambda b: 1.0),
        "beta is on KL alone, not on the score.":
            lambda *case: _reward(lambda p, q: (p - q) / case[4])(*case) * case[4],
        "takes the absolute log-ratio: a rarer token gets a bonus.":
            _reward(lambda p, q: (p - q).abs()),
        "clamps the log-ratio at 0: a rarer token gets a bonus.":
            _reward(lambda p, q: (p - q).clamp(min=0)),
        "charges k2 or k3: the plain log-ratio is the charge.":
            (_reward(lambda p, q: (q - p).exp() - 1 - (q - p)),
             _reward(lambda p, q: (p - q) ** 2 / 2)),
        "charges the ratio of probabilities: its logarithm is the charge.":
            _reward(lambda p, q: (p - q).exp()),
        "each token has its own charge: yours has all at the last.": at_once,
        "the last token is charged, too: add the score, do not put it in its place.":
            _reward(paid_at=_goes_on),
        "padding is charged: it gets 0.":
            _reward(paid_at=lambda mask: torch.ones_like(mask))}


def _other_scores() -> Mistakes:
    """Mistakes of `check_charged_rewards` in the score, and where it is paid."""
    def column(place: int) -> Callable:
        return lambda mask: (torch.arange(4) == place).expand_as(mask)

    def behind(mask: Tensor) -> Tensor:
        return torch.arange(4) == mask.sum(1, keepdim=True)

    def before(mask: Tensor) -> Tensor:
        return torch.arange(4) == mask.sum(1, keepdim=True) - 2

    def early(mask: Tensor) -> Tensor:
        return torch.arange(4) == (mask.sum(1, keepdim=True) - 2) % 4

    def clamped(mask: Tensor) -> Tensor:
        return torch.arange(4) == mask.sum(1, keepdim=True).clamp(max=3)

    return {
        "puts the score into the last column: the last *counted* token.":
            _reward(at=column(3)),
        "puts the score on the first token: it is known at the end.":
            _reward(at=column(0)),
        "puts the score behind the last token: one place too late.":
            (_reward(at=behind), _reward(at=clamped)),
        "puts the score before the last token: one place too early.":
            (_reward(at=early), _reward(at=before)),
        "gives the score to every token: it is paid once.":
            _reward(at=lambda mask: mask),
        "a response that did not end pays for its last token, too.":
            lambda *case: torch.where(
                case[3] & ~_goes_on(case[3]) & ~case[6][:, None], tensor(case[5]),
                _reward()(*case)),
        "a response that did not end gets `missing`, not its score.":
            _reward(score=lambda ended, r, missing: r),
        "a response that did not end gets `missing`, not 0.":
            _reward(score=lambda ended, r, missing: r * ended),
        "`missing` stands in for the score, it is not added to it.":
            _reward(score=lambda ended, r, missing: r + (~ended) * missing),
        "`missing` is for those that did not end: turned round.":
            _reward(score=lambda ended, r, missing: torch.where(ended, missing, r))}


def _advantage_and(advantage: Callable, value: Callable = lambda v: v) -> Callable:
    """advantage(reward, value, mask, lam), and it + value(value)."""
    def pair(reward, v, mask, lam):
        a = tensor(advantage(reward, v, mask, lam))
        return torch.stack([a, a + torch.where(mask, value(v), 0)])
    return lambda *case: tuple(pair(*case).tolist())


def check_advantage_and_return(student: Callable, seed: int | str = 0) -> None:
    """(advantage_BT, return_BT) from reward_BT, value_BT, mask_BT, lam; no discount.

    The return is advantage + value; padding gets 0 in both.
    """
    draw = Draw(seed)
    cases = []
    for lam in (0.5, 0.9):
        cases.append((draw.tensor(3, 5), draw.tensor(3, 5), draw.mask(3, 5), lam))
    full = torch.ones(2, 4, dtype=torch.bool)
    cases.append((draw.tensor(2, 4), draw.tensor(2, 4), full, 0.0))
    right = _advantage_and(oracles.gae)
    hold(student, right, [
        ("Later errors count lam, lam^2, ...; a response ends at its last counted "
         "token.", *cases)], _other_advantages() | _other_returns())
    hold(student, right, [
        (PADDING, *[_unknown(case[2], *case) for case in cases]),
        ("There may be one token, and lam may be 1.",
         *[(draw.tensor(n, n), draw.tensor(n, n), torch.ones(n, n).bool(), 1.0)
           for n in (1, 3)])])


def _ahead(v: Tensor, mask: Tensor, end: Tensor | float = 0.0) -> Tensor:
    """The value of the next counted token, `end` behind the last."""
    return torch.where(_goes_on(mask), v.roll(-1, dims=1), end)


def _other_advantages() -> Mistakes:
    """Mistakes of `check_advantage_and_return` in the advantage."""
    right, of = oracles.gae, _advantage_and

    def forth(reward: Tensor, v: Tensor, mask: Tensor, lam: float) -> Tensor:
        delta = tensor(right(reward, v, mask, 0.0)).flip(1)
        return tensor(right(delta, 0 * delta, mask.flip(1), lam)).flip(1)

    return {
        "has a discount: here there is none.": of(lambda reward, v, mask, lam: right(
            reward - 0.01 * _ahead(v, mask), v, mask, 0.99 * lam)),
        "lam is no discount: it weighs later errors, not the next value.":
            of(lambda reward, v, mask, lam: right(
                reward - (1 - lam) * _ahead(v, mask), v, mask, lam)),
        "reads a value after the last token: it is 0 there.":
            (of(lambda reward, v, mask, lam: right(
                reward + _ahead(0 * v, mask, v), v, mask, lam)),
             of(lambda reward, v, mask, lam: right(reward + _ahead(
                 0 * v, mask, pad(v[:, 1:], (0, 1))), v, mask, lam))),
        "looks one token ahead only: later errors count lam, lam^2, ...":
            of(lambda *case: right(*case[:3], 0.0)),
        "ignores lam: this is return minus value, whatever lam is.":
            of(lambda *case: right(*case[:3], 1.0)),
        "weighs by 1 - lam: lam = 1 looks to the end.":
            of(lambda *case: right(*case[:3], 1 - case[3])),
        "runs from the first token on: credit goes back, not forth.": of(forth),
        "leaves out V_{t+1}: the error is reward + V_{t+1} - V_t.":
            of(lambda reward, v, mask, lam: right(
                reward - _ahead(v, mask), v, mask, lam)),
        "does not subtract V_t: what was expected anyway is no merit.":
            of(lambda reward, v, *case: right(reward + v, v, *case)),
        "the sign is turned: an error is reward + V_{t+1} - V_t.":
            of(lambda *case: -tensor(right(*case)))}


def _other_returns() -> Mistakes:
    """Mistakes of `check_advantage_and_return` in the return, or in both."""
    right, of = oracles.gae, _advantage_and

    def centred(first: bool) -> Callable:
        def both(reward: Tensor, v: Tensor, mask: Tensor, lam: float) -> tuple:
            a = tensor(right(reward, v, mask, lam))
            mean = torch.where(mask, a - a[mask].mean(), 0)
            return mean, (mean if first else a) + torch.where(mask, v, 0)
        return lambda *case: tuple(x.tolist() for x in both(*case))

    def whitened(correction: int, first: bool) -> Callable:
        def both(reward: Tensor, v: Tensor, mask: Tensor, lam: float) -> tuple:
            a = tensor(right(reward, v, mask, lam))
            x = a[mask]
            white = torch.where(mask, (a - x.mean()) / x.std(correction=correction), 0)
            return white, (white if first else a) + torch.where(mask, v, 0)
        return lambda *case: tuple(x.tolist() for x in both(*case))

    return {
        "the return is advantage + value: yours leaves the value out.":
            of(right, lambda v: 0 * v),
        "the return is advantage + value: yours subtracts it.": of(right, lambda v: -v),
        "the return adds the token's own value, not that of the next.":
            lambda *case: (of(right)(*case)[0], (tensor(right(*case)) + _ahead(
                case[1], case[2]) * case[2]).tolist()),
        "not centred here: an advantage keeps its mean.":
            tuple(centred(first) for first in (False, True)),
        "padding counts in yours: use the mask.": (
            lambda *case: of(right)(*case[:2], case[2] | True, case[3]),
            lambda *case: tuple((tensor(x) * case[2]).tolist() for x in of(right)(
                *case[:2], case[2] | True, case[3]))),
        "padding gets 0 in the return, too.":
            lambda *case: (of(right)(*case)[0], (
                tensor(right(*case)) + case[1]).tolist()),
        "advantage first, then the return.": lambda *case: of(right)(*case)[::-1],
        "the return here is what GAE aims at, not the sum of rewards.":
            lambda *case: (of(right)(*case)[0], right(
                case[0], 0 * case[1], case[2], 1.0)),
        "not whitened here: an advantage is in units of the reward.":
            tuple(whitened(n, first) for n in (0, 1) for first in (False, True))}


def _gained(gain: Callable, mean: Callable = torch.mean,
            ratio_of: Callable = lambda logp, old: (logp - old).exp()) -> Callable:
    """-mean of gain(ratio, A, clip) over counted tokens."""
    def loss(logp, old, a, mask, clip):
        return mean(-gain(ratio_of(logp[mask], old[mask]), a[mask], clip))
    return loss


def _clipped(ratio: Tensor, a: Tensor, clip: float) -> Tensor:
    return torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)


def check_clipped_loss(student: Callable, seed: int | str = 0) -> None:
    """Mean over counted tokens of -min(ratio A, clip(ratio) A), and its gradient, from
    logp_BT, old_BT, advantage_BT, mask_BT, clip."""
    draw = Draw(seed)
    cases = []
    for clip in (0.2, 0.1):
        mask = draw.mask(3, 4)
        mask[:, 0], mask[0] = True, True
        old = draw.tensor(3, 4, low=-3, high=-1)
        step = draw.tensor(3, 4, low=-0.05, high=0.05)
        step[0] = tensor([0.5, -0.5, 0.4, -0.4])        # one of each kind is clipped
        a = draw.tensor(3, 4, low=0.3, high=2)
        a[0] *= tensor([1.0, 1.0, -1.0, -1.0])
        cases.append((old + step, old, a, mask, clip))
    hold(student, oracles.policy_loss, [
        ("A good token's ratio counts up to 1 + clip, a bad one's down to 1 - clip.",
         *cases)], _other_gains() | _other_ratios(), gradient_in=0)
    far = tensor([[-0.5, -1.5]]), tensor([[-8.0, -1.0]])     # exp(7.5) times as likely
    hold(student, oracles.policy_loss, [
        ("Padding may be nan: take it out before exp. Times 0 it stays nan, and "
         "torch.where after exp leaves it in the gradient.",
         *[_unknown(case[3], *case) for case in cases]),
        ("A bad token that became likelier costs its whole ratio; A may be 0.",
         (*far, tensor([[-1.0, 0.0]]), torch.ones(1, 2).bool(), 0.2))], gradient_in=0)


def _other_gains() -> Mistakes:
    """Mistakes of `check_clipped_loss` in the gain, and in the mean."""
    def rows(*case: object) -> Tensor:
        return torch.stack([_gained(_clipped)(*[x[b] for x in case[:4]], case[4])
                            for b in range(3)]).mean()

    summed = _gained(_clipped, torch.sum)
    return {
        "the sign: a loss falls as good tokens become likelier.":
            _gained(lambda *x: -_clipped(*x)),
        "not clipped.": _gained(lambda ratio, a, clip: ratio * a),
        "multiply by A first: the minimum is of two gains, not of two ratios.":
            _gained(lambda ratio, a, clip:
                    torch.minimum(ratio, ratio.clamp(1 - clip, 1 + clip)) * a),
        "clips below only: a good token's ratio counts up to 1 + clip.":
            _gained(lambda ratio, a, clip: torch.minimum(
                ratio * a, ratio.clamp(min=1 - clip) * a)),
        "clips without the minimum of each token: mistakes could not be taken back.":
            _gained(lambda ratio, a, clip: ratio.clamp(1 - clip, 1 + clip) * a),
        "the larger of the two: take the smaller gain.":
            _gained(lambda ratio, a, clip: torch.maximum(
                ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)),
        "a bad token's ratio counts down to 1 - clip: no such bound in yours.":
            _gained(lambda ratio, a, clip: torch.minimum(
                ratio * a, ratio.clamp(max=1 + clip) * a)),
        "whitens: the advantages are taken as they are.":
            tuple(_gained(lambda ratio, a, clip, n=n: _clipped(
                ratio, (a - a.mean()) / a.std(correction=n), clip)) for n in (0, 1)),
        "a mean over counted tokens, not a sum.": summed,
        "padding counts in yours: use the mask.":
            (lambda *case: _gained(_clipped)(*case[:3], case[3] | True, case[4]),
             lambda *case: summed(*case[:3], case[3] | True, case[4])
             / case[3].sum()),
        "divides by all places: padding does not count.":
            lambda *case: summed(*case) / case[3].numel(),
        "divides by rows: tokens count.": lambda *case: summed(*case) / len(case[3]),
        "a mean of rows' means: each token counts the same.": rows}


def _other_ratios() -> Mistakes:
    """Mistakes of `check_clipped_loss` in the ratio, and where it is clipped."""
    def log_ratio(logp: Tensor, old: Tensor) -> Tensor:
        return logp - old

    def clipped_log(x: Tensor, a: Tensor, clip: float) -> Tensor:
        return torch.minimum(x * a, x.clamp(-clip, clip) * a)

    def exp_of_clipped(x: Tensor, a: Tensor, clip: float) -> Tensor:
        return torch.minimum(x.exp() * a, x.clamp(-clip, clip).exp() * a)

    return {
        "the ratio is exp(logp - old): yours is its inverse.":
            lambda logp, old, *case: _gained(_clipped)(old, logp, *case),
        "that is the log-ratio: the ratio is its exp.":
            (_gained(clipped_log, ratio_of=log_ratio),
             _gained(_clipped, ratio_of=log_ratio)),
        "that divides log-probabilities: subtract them, then take exp.":
            _gained(_clipped, ratio_of=lambda logp, old: logp / old),
        "clips the log-ratio: the ratio itself is clipped.":
            _gained(exp_of_clipped, ratio_of=log_ratio),
        "clips to -clip and clip: the bounds are 1 - clip and 1 + clip.":
            _gained(clipped_log),
        "the ratio itself is missing: that is the mean of log-probabilities times A.":
            lambda logp, old, a, mask, clip: -(logp * a)[mask].mean()}


def _enumerated(value: Callable, weight: Callable = lambda p, q: exp(p)) -> Callable:
    """Sum over responses of weight(log pi, log ref) value(both of each token)."""
    def total(p: Tensor, q: Tensor) -> float:
        out, tables = 0.0, (p.tolist(), q.tolist())
        for y in product(range(p.size(-1)), repeat=len(p)):
            steps = [*enumerate(zip((0, *y), y))]
            a, b = ([x[t][v][w] for t, (v, w) in steps] for x in tables)
            out += weight(sum(a), sum(b)) * value(a, b)
        return out
    return total


def _gap(a: list, b: list) -> float:
    return sum(a) - sum(b)


def check_sequence_kl(student: Callable, seed: int | str = 0) -> None:
    """KL(pi || ref) of whole responses of T tokens, from logp_TVV and ref_TVV.

    logp_TVV[t, v, w] is log pi(y_t = w | y_{t-1} = v); before the first token v is 0.
    """
    draw = Draw(seed)
    hold(student, _enumerated(_gap), [
        ("An expectation over whole responses, drawn from pi.",
         (draw.logp(3, 3, 3), draw.logp(3, 3, 3)),
         (draw.logp(4, 2, 2), draw.logp(4, 2, 2)))],
         _other_sums() | _other_visits())


def _other_sums() -> Mistakes:
    """Mistakes of `check_sequence_kl` in what is summed over responses."""
    def unweighed(p: Tensor, q: Tensor) -> float:
        return _enumerated(_gap, lambda p, q: 1.0)(p, q)

    return {
        "the sign: log pi comes first.": _enumerated(lambda a, b: _gap(b, a)),
        "weighs by the reference: responses come from pi.":
            _enumerated(_gap, lambda p, q: exp(q)),
        "that is KL(ref || pi).":
            _enumerated(lambda a, b: _gap(b, a), lambda p, q: exp(q)),
        "a mean over tokens: KL of a response is the sum.":
            _enumerated(lambda a, b: _gap(a, b) / len(a)),
        "counts all responses alike: weigh each by pi.":
            (unweighed, lambda p, q: unweighed(p, q) / p.size(-1) ** len(p)),
        "only the first token: the later ones follow it.":
            _enumerated(lambda a, b: a[0] - b[0]),
        "only the last token: those before it count, too.":
            _enumerated(lambda a, b: a[-1] - b[-1]),
        "the first token is missing: it costs KL, too.":
            _enumerated(lambda a, b: _gap(a[1:], b[1:])),
        "takes absolute values: a response may be negative.":
            _enumerated(lambda a, b: abs(_gap(a, b))),
        "is the cross-entropy: log pi is missing.": _enumerated(lambda a, b: -sum(b)),
        "in bits: nats need no log 2.": _enumerated(lambda a, b: _gap(a, b) / log(2))}


def _visited(go: Callable = lambda at, p, q: at @ p.exp(),
             start: Callable = lambda at: torch.eye(len(at))[0].to(at)) -> Callable:
    """The KL of each row, weighed by how often one comes there."""
    def total(p: Tensor, q: Tensor) -> Tensor:
        at, out = start(p[0, 0]), 0.0
        for now, ref in zip(p, q):
            out = out + at @ (now.exp() * (now - ref)).sum(dim=-1)
            at = go(at, now, ref)
        return out
    return total


def _other_visits() -> Mistakes:
    """Mistakes of `check_sequence_kl` in how often each row is used."""
    def alike(at: Tensor, *tables: Tensor) -> Tensor:
        return torch.ones_like(at) / len(at)

    def marginal(p: Tensor, q: Tensor) -> float:
        total, here, there = 0.0, *(torch.eye(p.size(-1))[0].to(x) for x in (p, q))
        for now, ref in zip(p.exp(), q.exp()):
            here, there = here @ now, there @ ref
            total += (here * (here / there).log()).sum().item()
        return total

    def likeliest(at: Tensor, p: Tensor, q: Tensor) -> Tensor:
        return torch.eye(len(at))[(at @ p).argmax()].to(at)

    return {
        "sums the KL of every row, likely or not: weigh each by how often pi is there.":
            _visited(lambda at, p, q: at, torch.ones_like),
        "every row as likely as the others: weigh each by how often pi is there.":
            (_visited(alike, alike), _visited(alike)),
        "always from token 0: what was drawn before decides the row.":
            _visited(lambda at, p, q: at),
        "before the first token v is 0: yours starts from any.": _visited(start=alike),
        "only along the likeliest response: all of them count.": _visited(likeliest),
        "from row v to column w: yours goes the other way.":
            (_visited(lambda at, p, q: p.exp() @ at),
             lambda p, q: _enumerated(_gap)(p.transpose(1, 2), q.transpose(1, 2))),
        "the chances of each place alone forget what was drawn before.": marginal,
        "how often pi is there follows from pi, not from the reference.":
            _visited(lambda at, p, q: at @ q.exp())}
