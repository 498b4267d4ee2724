"""Assignment 6: the pretraining gradient, its tax, and a gamma that one can defend."""

from collections.abc import Callable, Sequence
from math import log, nan, sqrt
from statistics import fmean, median, median_low, stdev

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.a3_sft import FAR, FAR_LOGITS
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import Mistakes, hold, tensor


def check_text_loss(student: Callable, seed: int | str = 0) -> None:
    """-log-likelihood of text, the mean over tokens, from logits_BSV and token_BS."""
    def of(mean: Callable, ahead: int = 1, sign: int = -1) -> Callable:
        def loss(logits: Tensor, token: Tensor) -> float:
            S = token.size(1)
            rows = oracles.token_logp(logits[:, :S - ahead], token[:, ahead:])
            return sign * mean(rows)
        return loss

    def plain(rows: list) -> float:
        return fmean(sum(rows, []))

    draw = Draw(seed)
    token = draw.tokens(2, 4, words=5)
    token[0, 1], token[1, 2] = 0, 2
    hold(student, of(plain), [
        ("Logits at s predict token s + 1; the mean over all that are predicted.",
         (draw.tensor(2, 4, 5), token), (draw.tensor(2, 4, 5), token.flip(1)))], {
        **_other_texts(),
        "negative: eq. (2) is maximised, a loss is its minus.": of(plain, sign=1),
        "not shifted: logits at s predict token s + 1.": of(plain, ahead=0),
        "shifted by two.": of(plain, ahead=2),
        "a sum: gamma would then grow with the length of the text.":
            of(lambda rows: sum(sum(rows, []))),
        "summed over a text: the mean over tokens is wanted.":
            of(lambda rows: fmean(map(sum, rows))),
        "divides by all tokens: the first is not predicted.":
            of(lambda rows: sum(sum(rows, [])) / 8),
        "the last token of each text is missing.":
            of(lambda rows: plain([row[:-1] for row in rows])),
        "the first prediction of each text is missing.":
            of(lambda rows: plain([row[1:] for row in rows])),
        "logits need log_softmax: a logit is no log-probability.":
            lambda logits, token: -logits[:, :-1].gather(
                2, token[:, 1:, None]).mean(),
        "that is the mean probability: its logarithm is wanted.":
            lambda logits, token: -logits[:, :-1].softmax(dim=-1).gather(
                2, token[:, 1:, None]).mean(),
        "logits at s predict the token after it, not the one before.":
            lambda logits, token: -logits[:, 1:].log_softmax(dim=-1).gather(
                2, token[:, :-1, None]).mean()}, gradient_in=0)
    hold(student, of(plain), [
        (FAR, (FAR_LOGITS, torch.tensor([[0, 1]] * 3)))], gradient_in=0)


def _other_texts() -> Mistakes:
    """More mistakes of `check_text_loss`."""
    def of(logp: Callable, token: Callable = lambda ids: ids[:, 1:],
           found: Callable = lambda loss, ids: loss.mean()) -> Callable:
        def loss(logits: Tensor, ids: Tensor) -> Tensor:
            wanted = token(ids)
            x = logp(logits)[:, :wanted.size(1)]
            return found(-x.gather(2, wanted[..., None])[..., 0], wanted)
        return loss

    def usual(x: Tensor) -> Tensor:
        return x.log_softmax(dim=-1)

    return {
        "the last place predicts nothing: yours predicts the first token with it.":
            of(usual, lambda ids: ids.roll(-1, dims=1)),
        "the end of a text does not predict the start of the next.":
            lambda logits, ids: of(usual)(logits.flatten(0, 1)[None], ids.view(1, -1)),
        "softmax is taken twice: cross_entropy wants logits.":
            of(lambda x: x.softmax(dim=-1).log_softmax(dim=-1)),
        "softmax goes over words, the last axis.":
            (of(lambda x: x.log_softmax(dim=1)),
             of(lambda x: torch.cat([x[:, :-1].log_softmax(dim=1), x[:, -1:]], dim=1))),
        "0 is a token like any other: all are predicted.":
            of(usual, found=lambda loss, ids: loss[ids != 0].mean()),
        "in bits: nats need no log 2.": of(lambda x: usual(x) / log(2)),
        "that is the perplexity: leave exp out.":
            lambda *case: of(usual)(*case).exp()}


def check_mixed_step(student: Callable, seed: int | str = 0) -> None:
    """Parameters after a step of plain gradient descent on eq. (2), from param_N,
    ppo_grad_N, ptx_grad_N (gradients of both losses), gamma and lr."""
    draw = Draw(seed)
    hold(student, lambda x, ppo, ptx, gamma, lr: x - lr * (ppo + gamma * ptx), [
        ("Both losses fall, and gamma weighs one of them.",
         *[(draw.tensor(3), draw.tensor(3), draw.tensor(3), draw.number(2, 30),
            draw.number(0.05, 0.5)) for _ in range(2)])], {
        "uphill: these are gradients of losses.":
            lambda x, ppo, ptx, gamma, lr: x + lr * (ppo + gamma * ptx),
        "gamma multiplies the text's gradient, not PPO's.":
            lambda x, ppo, ptx, gamma, lr: x - lr * (gamma * ppo + ptx),
        "a mix of shares: eq. (2) adds gamma times the text's.":
            lambda x, ppo, ptx, gamma, lr:
                x - lr * (ppo + gamma * ptx) / (1 + gamma),
        "a convex mix, (1 - gamma) ppo + gamma ptx: PPO keeps its whole weight.":
            lambda x, ppo, ptx, gamma, lr:
                x - lr * ((1 - gamma) * ppo + gamma * ptx),
        "the text is forgotten: its gradient is in eq. (2).":
            lambda x, ppo, ptx, gamma, lr: x - lr * ppo,
        "PPO is forgotten.": lambda x, ppo, ptx, gamma, lr: x - lr * gamma * ptx,
        "gamma multiplies the text's gradient alone: it is on both.":
            lambda x, ppo, ptx, gamma, lr: x - lr * gamma * (ppo + ptx),
        "plain descent: the gradient's size is not changed.":
            tuple(_resized(size) for size in (
                torch.abs, torch.norm, lambda g: g.norm().clamp(min=1))),
        "gamma is forgotten, or cut off at 1.":
            lambda x, ppo, ptx, gamma, lr: x - lr * (ppo + ptx),
        "lr is forgotten.": lambda x, ppo, ptx, gamma, lr: x - (ppo + gamma * ptx),
        "lr multiplies both gradients: it is on one alone.":
            lambda x, ppo, ptx, gamma, lr: x - lr * ppo - gamma * ptx,
        "the text's gradient comes off: its loss shall fall as well.":
            lambda x, ppo, ptx, gamma, lr: x - lr * (ppo - gamma * ptx),
        "that is the step: take it off the parameters.":
            (lambda x, ppo, ptx, gamma, lr: lr * (ppo + gamma * ptx),
             lambda x, ppo, ptx, gamma, lr: -lr * (ppo + gamma * ptx)),
        "gamma divides in yours: it multiplies.":
            lambda x, ppo, ptx, gamma, lr: x - lr * (ppo + ptx / gamma)})
    hold(student, lambda x, ppo, ptx, gamma, lr: x - lr * (ppo + gamma * ptx), [
        ("gamma may be small, and 0.",
         *[(*(draw.tensor(1) for _ in range(3)), gamma, 0.1) for gamma in (0.3, 0.0)])])


def _resized(size: Callable) -> Callable:
    """A step along the gradient divided by its size: of signs, or of a norm."""
    def step(x: Tensor, ppo: Tensor, ptx: Tensor, gamma: float, lr: float) -> Tensor:
        slope = ppo + gamma * ptx
        return x - lr * slope / size(slope)
    return step


def _paired(rise: list, a: list, b: list) -> float:
    return stdev(rise) / sqrt(len(rise))


def _taxed(mean: Callable = fmean, error: Callable = _paired,
           rise: Callable = lambda a, b: a - b) -> Callable:
    """(mean(rise), error(rise, after, before)) of the two losses of each run."""
    def both(before: Tensor, after: Tensor) -> tuple:
        a, b = after.tolist(), before.tolist()
        rises = [*map(rise, a, b)]
        return mean(rises), error(rises, a, b)
    return both


def check_tax(student: Callable, seed: int | str = 0) -> None:
    """(tax, standard error) over S seeds, from the text loss before_S and after_S.

    The tax is the mean of after - before, its standard error that of paired runs.
    """
    draw = Draw(seed)
    cases = []
    for seeds in (5, 4):
        before = draw.tensor(seeds, low=2, high=4)
        rise = draw.tensor(seeds, low=0.1, high=0.5)
        rise[1] *= -0.3
        cases.append((before, before + rise))
    hold(student, _taxed(), [
        ("Each run against its own start; the error is that of their mean.",
         *cases)], _other_taxes() | _other_errors())
    hold(student, _taxed(), [
        ("The loss may fall: a tax below 0.",
         (tensor([2.0, 2.1]), tensor([1.9, 2.05]))),
        ("Where all rise alike the error is 0: no nan from a difference of squares, "
         "and no floor.", (before, before + 0.1))])


def _other_taxes() -> Mistakes:
    """Mistakes of `check_tax` in the mean."""
    def share(a: float, b: float) -> float:
        return (a - b) / b

    return {
        "before minus after: a tax is what the loss has risen by.":
            _taxed(rise=lambda a, b: b - a),
        "sums over seeds: take the mean.": _taxed(mean=sum),
        "a tax in per cent of the loss before: nats are wanted.":
            (_taxed(rise=share),
             lambda *case: (_taxed(rise=share)(*case)[0], _taxed()(*case)[1])),
        "that is the loss after: take the loss before off.": _loss_after,
        "the largest is not the mean.": _taxed(mean=max),
        "the median is not the mean.": (_taxed(mean=median), _taxed(mean=median_low)),
        "the tax comes first, its standard error second.":
            lambda *case: _taxed()(*case)[::-1],
        "a run may have become better: no absolute values.":
            (_taxed(mean=lambda rise: fmean(map(abs, rise))),
             _taxed(rise=lambda a, b: abs(a - b)))}


def _other_errors() -> Mistakes:
    """Mistakes of `check_tax` in the standard error."""
    def of(error: Callable) -> Callable:
        return _taxed(error=error)

    def scaled(factor: Callable) -> Callable:
        return of(lambda rise, a, b: _paired(rise, a, b) * factor(len(rise)))

    def alone(x: list) -> float:
        return stdev(x) / sqrt(len(x))

    return {
        "runs are paired: the spread is that of the differences.":
            (of(lambda rise, a, b: sqrt(alone(a) ** 2 + alone(b) ** 2)),
             of(lambda rise, a, b: alone(a) + alone(b)),
             of(lambda rise, a, b: abs(alone(a) - alone(b))),
             of(lambda rise, a, b: alone(a)), of(lambda rise, a, b: alone(b))),
        "that is the spread of one run: the mean's is smaller by sqrt(S).":
            of(lambda rise, a, b: stdev(rise)),
        "divides by S: the standard error falls with sqrt(S).":
            of(lambda rise, a, b: stdev(rise) / len(rise)),
        "that is a variance: take its root.":
            (of(lambda rise, a, b: stdev(rise) ** 2 / len(rise)),
             of(lambda rise, a, b: stdev(rise) ** 2)),
        "S - 1 inside the root: the mean was estimated from the same runs.":
            scaled(lambda n: sqrt((n - 1) / n)),
        "S - 1 stands in stdev already: divide that by sqrt(S).":
            scaled(lambda n: sqrt(n / (n - 1))),
        "an interval is wider: one standard error is wanted.":
            (scaled(lambda n: 2), scaled(lambda n: 1.96))}


def _loss_after(before: Tensor, after: Tensor) -> tuple:
    """Mean and standard error of the loss after training."""
    a = after.tolist()
    return fmean(a), stdev(a) / sqrt(len(a))


# Of each gamma: mean reward, mean tax, deviations of tax and of reward over 3 seeds.
# With a budget of .3 each line but RIGHT is what one usual mistake would choose.
RUNS = [(1.5, 0.60, 0.020, 0.05), (1.3, 0.33, 0.052, 0.05), (1.2, 0.28, 0.040, 0.05),
        (1.15, 0.27, 0.035, 0.05), (1.12, 0.27, 0.031, 0.05), (1.1, 0.268, 0.03, 0.05),
        (1.0, 0.20, 0.080, 0.30), (0.95, 0.03, 0.002, 0.40), (0.8, 0.10, 0.010, 0.60),
        (0.75, 0.12, 0.010, 0.02), (0.5, 0.02, 0.005, 0.05), (0.4, 0.05, 0.005, 0.05)]
RIGHT = 6


def _upper(tax: list) -> float:
    return fmean(tax) + 2 * stdev(tax) / sqrt(len(tax))


def _choice(price: Callable = _upper, best: Callable = max,
            none: Callable = lambda rows: None, worth: Callable = fmean,
            fits: Callable = lambda tax, budget: tax <= budget) -> Callable:
    """The gamma of best worth among those whose price fits."""
    def of(gamma: Tensor, reward: Tensor, tax: Tensor, budget: float) -> object:
        rows = [*zip(gamma.tolist(), map(worth, reward.tolist()),
                     map(price, tax.tolist()))]
        within = [row for row in rows if fits(row[2], budget)]
        return best(within, key=lambda row: row[1])[0] if within else none(rows)
    return of


def check_choose_gamma(student: Callable, seed: int | str = 0) -> None:
    """The gamma_G to use, from reward_GS, tax_GS (over S seeds) and the budget.

    Of those whose mean tax + 2 standard errors is within the budget, the one of largest
    mean reward; None where there is none.
    """
    cases, ladder = [], [*range(len(RUNS))]
    draw = Draw(seed)
    for order, noise in ((ladder, (-1, 0, 1)),
                         ([11, 10, 7, 9, RIGHT, 0, 8, 5, 4, 3, 2, 1], (1, -1, 0)),
                         ([RIGHT, 2, 11, 9, 1, 10, 5, 8, 3, 4, 7, 0], (0, 1, -1))):
        unit, lift, scale = draw.number(0.5, 2), draw.number(0, 1), draw.number(1, 3)
        lift -= 20 * (noise[0] == 0)                 # rewards below 0
        rows = tensor([RUNS[n] for n in order])
        rows[:, 0] += 3 * (rows[:, 0] == 1.0) * (order[0] == RIGHT)  # the best fits
        luck = tensor(noise)
        cases.append((scale * 2.0 ** torch.arange(len(order)).double(),
                      lift + rows[:, :1] + rows[:, 3:] * luck.flip(0),
                      unit * (rows[:, 1:2] + rows[:, 2:3] * luck), unit * 0.3))
    cases.append((*cases[1][:2], cases[1][2] + 5, 0.3))
    hold(student, _choice(), [
        ("Among those whose tax + 2 standard errors is within the budget, the largest "
         "reward; None where nothing is.", *cases)], _other_prices() | _other_choices())
    hold(student, _choice(), [
        ("Means, not medians: one bad seed counts.", _second([0.0, 0, 0.3], 0.25),
         _second([0.0] * 3, 0.25, reward=[1.0, 1, -8])),
        ("The bound is mean + 2 stdev / sqrt(S), of any number S of seeds.",
         _second([0, 0.2] * 2, 0.22), _second([0.26, 0.3], 0.3199),
         _second([0.26, 0.3], 0.3201)),
        ("The mean reward alone decides: nothing is added to it, nothing comes off.",
         _second([0.0] * 2, 0.25, reward=[3.0, -1]),
         _second([0.0] * 2, 0.25, reward=[3.0, -3.2])),
        ("gamma = 0 may be the choice.", _second([0.0] * 2, 0.25, gamma=0.0)),
        ("A bound equal to the budget is within it; a tax may be below 0.",
         _second([0.25] * 3, 0.25), _second([-2.0] * 3, 0.25),
         _second([-0.3, 0, 0.3, 0.3], 0.34)),
        ("There may be one gamma, and any reward is the best of one.",
         (tensor([1.0]), tensor([[-5000.0] * 3]), tensor([[0.0] * 3]), 0.25))])


def _second(tax: list, budget: float, reward: Sequence[float] = (),
            gamma: float = 1.0) -> tuple:
    """A case of two gammas, the first with rewards and taxes of 0."""
    both = tensor([[0.0] * len(tax), reward or [1.0] * len(tax)])
    return tensor([2.0, gamma]), both, tensor([[0.0] * len(tax), tax]), budget


def _other_prices() -> Mistakes:
    """Mistakes of `check_choose_gamma` in what is within the budget."""
    def errors(n: float) -> Callable:
        return lambda tax: fmean(tax) + n * stdev(tax) / sqrt(len(tax))

    def one_spread(*case: Tensor) -> object:
        return _choice(lambda tax: fmean(tax) + 2 * case[2].std().item())(*case)

    return {
        "your bound is too low: a mean may be luck, mean + 2 standard errors is none.":
            _choice(errors(0)),
        "your bound is low: 2 standard errors, each stdev / sqrt(S), of S seeds.":
            _choice(errors(1)),
        "your bound is a little low: 2 standard errors, and S - 1 inside stdev.":
            _choice(errors(2 * sqrt(2 / 3))),
        "your bound is high: 2 standard errors of each gamma's mean, not deviations.":
            (_choice(lambda tax: fmean(tax) + 2 * stdev(tax)), one_spread),
        "one lucky seed, or 2 standard errors off: the doubt is on the other side.":
            _choice(errors(-2)),
        "the bound is mean + 2 standard errors: not the worst seed, and not less.":
            _choice(max),
        "one seed is not enough: the mean over seeds.": _choice(lambda tax: tax[0]),
        "the budget is forgotten: the largest reward of all.":
            _choice(fits=lambda tax, budget: True),
        "over the budget in yours: tax <= budget.":
            _choice(fits=lambda tax, budget: tax > budget),
        "where nothing is within the budget: None, not the cheapest.":
            _choice(none=lambda rows: min(rows, key=lambda row: row[2])[0]),
        "where nothing is within the budget: None, not the best.":
            _choice(none=lambda rows: max(rows, key=lambda row: row[1])[0]),
        "where nothing is within the budget: None, not the first.":
            _choice(none=lambda rows: rows[0][0]),
        "where nothing is within the budget: None, not 0 or nan.":
            (_choice(none=lambda rows: 0.0), _choice(none=lambda rows: nan))}


def _other_choices() -> Mistakes:
    """Mistakes of `check_choose_gamma` in what is best."""
    def doubtful(reward: list) -> float:
        return 2 * fmean(reward) - _upper(reward)

    def net(gamma: Tensor, reward: Tensor, tax: Tensor, budget: float) -> object:
        return _choice()(gamma, reward - tax.mean(dim=1, keepdim=True), tax, budget)

    def among_fit(gamma: Tensor, reward: Tensor, tax: Tensor, budget: float) -> object:
        fits = torch.tensor([_upper(row) <= budget for row in tax.tolist()])
        if not fits.any():
            return None
        return gamma[reward.mean(dim=1)[fits].argmax()].item()

    def positive(rows: list, key: Callable) -> tuple:
        return max([row for row in rows if key(row) > 0], key=key, default=(None,))

    def times_fit(gamma: Tensor, reward: Tensor, tax: Tensor, budget: float) -> object:
        fits = tensor([_upper(row) <= budget for row in tax.tolist()])
        return gamma[(reward.mean(dim=1) * fits).argmax()].item()

    return {
        "the smallest tax is not what was asked: the largest reward within the budget.":
            lambda gamma, reward, tax, budget: gamma[tax.mean(dim=1).argmin()].item(),
        "the largest reward, not the smallest.": _choice(best=min),
        "the largest gamma within the budget is not the largest reward.":
            _end_of_gamma(max),
        "the smallest gamma within the budget is not the largest reward.":
            _end_of_gamma(min),
        "the luckiest seed's reward is no measure: the mean.": _choice(worth=max),
        "the mean reward decides: no errors off it, and not the worst seed.":
            _choice(worth=doubtful),
        "the mean reward alone decides: the tax has been judged, errors add nothing.":
            net,
        "a place among those within the budget is another place in gamma_G.":
            among_fit,
        "a reward may be negative: no 0 to begin with, and none for the others.":
            (_choice(best=positive), times_fit,
             lambda *case: _choice()(*case) and times_fit(*case)),
        **_other_answers()}


def _other_answers() -> Mistakes:
    """Mistakes of `check_choose_gamma` in what is returned of the best."""
    def place(gamma: Tensor, *case: object) -> int | None:
        chosen = _choice()(gamma, *case)
        return None if chosen is None else gamma.tolist().index(chosen)

    def reward_there(gamma: Tensor, reward: Tensor, *case: object) -> float | None:
        at = place(gamma, reward, *case)
        return None if at is None else reward[at].mean().item()

    def best_or_none(gamma: Tensor, reward: Tensor, tax: Tensor,
                     budget: float) -> float | None:
        best = reward.mean(dim=1).argmax().item()
        return gamma[best].item() if _upper(tax[best].tolist()) <= budget else None

    return {
        "that is its place: give gamma itself.": place,
        "that is its reward: give gamma itself.": reward_there,
        "first what fits, then the best of it: yours tries only the best of all.":
            best_or_none}


def _end_of_gamma(end: Callable) -> Callable:
    """The largest or smallest gamma within the budget."""
    def chosen(gamma: Tensor, reward: Tensor, tax: Tensor, budget: float) -> object:
        error = 2 * tax.std(dim=1) / sqrt(tax.size(1))
        within = gamma[tax.mean(dim=1) + error <= budget].tolist()
        return end(within) if within else None
    return chosen
