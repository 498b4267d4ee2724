"""Assignment 6: the pretraining gradient, its tax, and a gamma that one can defend."""

from collections.abc import Callable
from math import sqrt
from statistics import fmean, stdev

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import hold, tensor


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
    token = draw.tokens(2, 4, words=3)
    token[0, 1], token[1, 2] = 0, 2
    hold(student, of(plain), [
        ("Logits at s predict token s + 1; the mean over all that are predicted.",
         (draw.tensor(2, 4, 3), token), (draw.tensor(2, 4, 3), token.flip(1)))], {
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


def check_mixed_step(student: Callable, seed: int | str = 0) -> None:
    """Parameters after a step of plain gradient descent on eq. (2), from param_N,
    ppo_grad_N, ptx_grad_N (gradients of both losses), gamma and lr."""
    draw = Draw(seed)
    hold(student, lambda x, ppo, ptx, gamma, lr: x - lr * (ppo + gamma * ptx), [
        ("Both losses fall: x - lr (ppo + gamma ptx).",
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
        "gamma is forgotten.": lambda x, ppo, ptx, gamma, lr: x - lr * (ppo + ptx),
        "lr is forgotten.": lambda x, ppo, ptx, gamma, lr: x - (ppo + gamma * ptx),
        "lr multiplies both gradients: it is on one alone.":
            lambda x, ppo, ptx, gamma, lr: x - lr * ppo - gamma * ptx,
        "the text's gradient comes off: its loss shall fall as well.":
            lambda x, ppo, ptx, gamma, lr: x - lr * (ppo - gamma * ptx),
        "that is the step: take it off the parameters.":
            lambda x, ppo, ptx, gamma, lr: lr * (ppo + gamma * ptx),
        "gamma divides in yours: it multiplies.":
            lambda x, ppo, ptx, gamma, lr: x - lr * (ppo + ptx / gamma)})


def check_tax(student: Callable, seed: int | str = 0) -> None:
    """(tax, standard error) over S seeds, from the text loss before_S and after_S.

    The tax is the mean of after - before, its standard error that of paired runs.
    """
    def of(mean: Callable = fmean, error: Callable | None = None) -> Callable:
        def both(before: Tensor, after: Tensor) -> tuple:
            a, b = after.tolist(), before.tolist()
            rise = [x - y for x, y in zip(a, b)]
            return mean(rise), (error or paired)(rise, a, b)
        return both

    def paired(rise: list, a: list, b: list) -> float:
        return stdev(rise) / sqrt(len(rise))

    draw = Draw(seed)
    cases = []
    for seeds in (5, 4):
        before = draw.tensor(seeds, low=2, high=4)
        rise = draw.tensor(seeds, low=0.1, high=0.5)
        rise[1] *= -0.3
        cases.append((before, before + rise))
    hold(student, of(), [
        ("Each run against its own start; stdev / sqrt(S), with S - 1 inside.",
         *cases)], {
        "before minus after: a tax is what the loss has risen by.":
            lambda before, after: of()(after, before),
        "runs are paired: the spread is that of the differences.":
            of(error=lambda rise, a, b: sqrt(
                (stdev(a) ** 2 + stdev(b) ** 2) / len(rise))),
        "that is the spread of one run: the mean's is smaller by sqrt(S).":
            of(error=lambda rise, a, b: stdev(rise)),
        "divides by S: the standard error falls with sqrt(S).":
            of(error=lambda rise, a, b: stdev(rise) / len(rise)),
        "that is the variance of the mean: take its root.":
            of(error=lambda rise, a, b: stdev(rise) ** 2 / len(rise)),
        "S - 1 inside the root: the mean was estimated from the same runs.":
            of(error=lambda rise, a, b: paired(rise, a, b)
               * sqrt((len(rise) - 1) / len(rise))),
        "sums over seeds: take the mean.": of(mean=sum),
        "a tax in per cent of the loss before: nats are wanted.":
            lambda before, after: (fmean(((after - before) / before).tolist()),
                                   of()(before, after)[1]),
        "two standard errors: one is wanted.":
            of(error=lambda rise, a, b: 2 * paired(rise, a, b)),
        "that is the loss after: take the loss before off.":
            _loss_after,
        "the largest is not the mean.": of(mean=max),
        "a run may have become better: no absolute values.":
            of(mean=lambda rise: fmean(map(abs, rise)))})


def _loss_after(before: Tensor, after: Tensor) -> tuple:
    """Mean and standard error of the loss after training."""
    a = after.tolist()
    return fmean(a), stdev(a) / sqrt(len(a))


# Of each gamma: mean reward, mean tax, deviations of tax and of reward over seeds. With a
# budget of .3 each line but the fourth is what one usual mistake would choose.
RUNS = [(1.5, 0.60, 0.020, 0.05), (1.3, 0.33, 0.052, 0.05), (1.2, 0.28, 0.035, 0.05),
        (1.0, 0.20, 0.080, 0.05), (0.8, 0.10, 0.010, 0.60), (0.5, 0.02, 0.005, 0.05),
        (0.4, 0.05, 0.005, 0.05)]


def check_choose_gamma(student: Callable, seed: int | str = 0) -> None:
    """The gamma_G to use, from reward_GS, tax_GS (over S seeds) and the budget.

    Of those whose mean tax + 2 standard errors is within the budget, the one of largest
    mean reward; None where there is none.
    """
    def of(price: Callable | None = None, best: Callable = max,
           none: Callable = lambda rows: None, worth: Callable = fmean,
           fits: Callable = lambda tax, budget: tax <= budget) -> Callable:
        def choice(gamma: Tensor, reward: Tensor, tax: Tensor, budget: float) -> object:
            rows = [*zip(gamma.tolist(), map(worth, reward.tolist()),
                         map(price or upper, tax.tolist()))]
            within = [row for row in rows if fits(row[2], budget)]
            return best(within, key=lambda row: row[1])[0] if within else none(rows)
        return choice

    def upper(tax: list) -> float:
        return fmean(tax) + 2 * stdev(tax) / sqrt(len(tax))

    cases, ladder = [], [*range(len(RUNS))]
    draw = Draw(seed)
    for order, noise in ((ladder, (-1, 0, 1)), ([6, 5, 3, 0, 4, 2, 1], (1, -1, 0)),
                         ([3, 2, 6, 1, 5, 4, 0], (0, 1, -1))):
        unit, lift, scale = draw.number(0.5, 2), draw.number(0, 1), draw.number(1, 3)
        rows = tensor([RUNS[n] for n in order])
        rows[:, 0] += 3 * (rows[:, 0] == 1.0) * (order[0] == 3)  # the best fits
        luck = tensor(noise)
        cases.append((scale * 2.0 ** torch.arange(len(order)).double(),
                      lift + rows[:, :1] + rows[:, 3:] * luck.flip(0),
                      unit * (rows[:, 1:2] + rows[:, 2:3] * luck), unit * 0.3))
    cases.append((*cases[0][:2], cases[0][2] + 5, 0.3))
    hold(student, of(), [
        ("Among those whose tax + 2 standard errors is within the budget, the largest "
         "reward; None where nothing is.", *cases)], {
        "a mean tax within the budget may be luck: add 2 standard errors.":
            of(price=fmean),
        "2 standard errors of the mean, not 2 deviations of a run.":
            of(price=lambda tax: fmean(tax) + 2 * stdev(tax)),
        "that takes 2 standard errors off: the doubt is on the other side.":
            of(price=lambda tax: 2 * fmean(tax) - upper(tax)),
        "the budget is forgotten: the largest reward of all.":
            of(fits=lambda tax, budget: True),
        "the smallest tax is not what was asked: the largest reward within the budget.":
            lambda gamma, reward, tax, budget: gamma[tax.mean(dim=1).argmin()].item(),
        "where nothing is within the budget: None, not the cheapest.":
            of(none=lambda rows: min(rows, key=lambda row: row[2])[0]),
        "where nothing is within the budget: None, not the best.":
            of(none=lambda rows: max(rows, key=lambda row: row[1])[0]),
        "the largest reward, not the smallest.": of(best=min),
        "over the budget in yours: tax <= budget.":
            of(fits=lambda tax, budget: tax > budget),
        "the largest gamma within the budget is not the largest reward.":
            _largest_gamma,
        "one seed is not enough: the mean over seeds.": of(price=lambda tax: tax[0]),
        "the luckiest seed's reward is no measure: the mean.": of(worth=max),
        "that is its place: give gamma itself.": _place_of(of())})


def _largest_gamma(gamma: Tensor, reward: Tensor, tax: Tensor, budget: float) -> object:
    error = 2 * tax.std(dim=1) / sqrt(tax.size(1))
    within = gamma[tax.mean(dim=1) + error <= budget]
    return within.max().item() if len(within) else None


def _place_of(choice: Callable) -> Callable:
    def place(gamma: Tensor, *case: object) -> object:
        chosen = choice(gamma, *case)
        return None if chosen is None else gamma.tolist().index(chosen)
    return place
