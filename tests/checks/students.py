"""What a class hands in: right answers of every form, and wrong ones with what each should hear.

Each is a student's own code, from the docstring of the exercise alone. A wrong answer has a name for what it does,
and a piece of the sentence that its author is to read.
"""

import math
from collections import defaultdict, namedtuple
from functools import partial
from itertools import combinations, groupby, permutations, product, takewhile
from statistics import mean, stdev

import numpy as np
import scipy.optimize
import scipy.special
import torch
import torch.nn.functional as F

RIGHT = defaultdict(list)   # of each exercise, the answers
WRONG = defaultdict(list)   # of each exercise: (what it does, the answer, what it hears)


def right(exercise):
    """A decorator for a right answer."""
    def keep(answer):
        RIGHT[exercise].append(answer)
        return answer
    return keep


def wrong(exercise, does, hears):
    """A decorator for a wrong answer."""
    def keep(answer):
        WRONG[exercise].append((does, answer, hears))
        return answer
    return keep


# Assignment 1: chances

@right("chances")
def by_broadcasting(strength_N):
    return torch.sigmoid(strength_N[:, None] - strength_N[None, :])


@right("chances")
def by_loops_over_floats(strength):
    def logistic(x):
        return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))

    s = strength.tolist()
    return torch.tensor([[logistic(a - b) for b in s] for a in s], dtype=torch.float64)


@right("chances")
def in_numpy(strength):
    s = strength.numpy()
    return scipy.special.expit(s[:, np.newaxis] - s)


@right("chances")
def by_a_softmax_over_each_pair(s, dim=-1):
    first, second = torch.broadcast_tensors(s[:, None], s[None, :])
    return torch.stack([first, second], dim=dim).softmax(dim)[..., 0]


@right("chances")
def into_zeros_of_default_type(strength_N):
    n = len(strength_N)
    p = torch.zeros(n, n)
    for i in range(n):
        for j in range(n):
            p[i, j] = torch.sigmoid(strength_N[i] - strength_N[j])
    return p


class HyperbolicTangent:
    def __init__(self, half=0.5):
        self.half = half

    def __call__(self, strength):
        return self.half + self.half * torch.tanh(self.half * torch.subtract(strength[:, None], strength))


right("chances")(HyperbolicTangent())
right("chances")(partial(lambda scale, s: torch.exp(F.logsigmoid(scale * (s.unsqueeze(1) - s.unsqueeze(0)))), 1.0))


@wrong("chances", "the matrix transposed", "row i is the chance of i: yours is the chance of j")
def chances_transposed(strength_N):
    return torch.sigmoid(strength_N[None, :] - strength_N[:, None])


@wrong("chances", "a ratio of exponentials that overflow", "Far apart, exp overflows or vanishes: use sigmoid")
def chances_of_exponentials(strength_N):
    e = torch.exp(strength_N)
    return e[:, None] / (e[:, None] + e[None, :])


@wrong("chances", "0 on the diagonal", "against itself there is a chance, too: one half")
def chances_without_diagonal(strength_N):
    p = torch.sigmoid(strength_N[:, None] - strength_N)
    p.fill_diagonal_(0)
    return p


@wrong("chances", "1 on the diagonal", "against itself the chance is one half, not 1")
def chances_of_oneself(strength_N):
    return torch.sigmoid(strength_N[:, None] - strength_N).fill_diagonal_(1)


@wrong("chances", "the scale of Elo", "that is the scale of Elo, 400 and powers of 10")
def chances_of_elo(strength_N):
    return 1 / (1 + 10 ** ((strength_N[None, :] - strength_N[:, None]) / 400))


@wrong("chances", "strengths as odds, without exp", "strengths are logarithms")
def chances_of_odds(strength_N):
    return strength_N[:, None] / (strength_N[:, None] + strength_N[None, :])


@wrong("chances", "the logarithm of P", "that is the logarithm of the chance: leave log out")
def chances_in_logarithms(strength_N):
    return F.logsigmoid(strength_N[:, None] - strength_N)


@wrong("chances", "differences, no sigmoid", "that is the difference")
def chances_without_sigmoid(strength_N):
    return strength_N[:, None] - strength_N


@wrong("chances", "a softmax over all", "(3, 3) is wanted. Row i, column j")
def chances_of_being_the_best(strength_N):
    return strength_N.softmax(0)


@wrong("chances", "a softmax over each row of differences", "a chance of all against all: of each pair alone")
def chances_that_sum_to_one_in_a_row(strength_N):
    return (strength_N[:, None] - strength_N).softmax(dim=1)


@wrong("chances", "the normal distribution, as Thurstone has it", "that is the normal distribution, Thurstone's")
def chances_of_thurstone(strength_N):
    return torch.special.ndtr(strength_N[:, None] - strength_N)


@wrong("chances", "the stronger wins for certain", "that is who is stronger: a choice is a matter of chance")
def chances_of_the_stronger(strength_N):
    d = strength_N[:, None] - strength_N
    return (d.sign() + 1) / 2


@wrong("chances", "only the upper triangle filled", "only one side of the diagonal is filled")
def chances_above_the_diagonal(strength_N):
    n = len(strength_N)
    p = torch.full((n, n), 0.5).double()
    for i in range(n):
        for j in range(i + 1, n):
            p[i, j] = torch.sigmoid(strength_N[i] - strength_N[j])
    return p


@wrong("chances", "only the pairs, as a vector", "(3, 3) is wanted. Row i, column j")
def chances_of_pairs(strength_N):
    i, j = torch.triu_indices(len(strength_N), len(strength_N), 1)
    return torch.sigmoid(strength_N[i] - strength_N[j])


# mean_surprise

@right("mean_surprise")
def surprise_in_one_line(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum()


@right("mean_surprise")
def surprise_by_loops(strength, wins):
    total, count = 0, 0
    for i, row in enumerate(wins.tolist()):
        for j, times in enumerate(row):
            if i != j:
                total = total + times * F.softplus(strength[j] - strength[i])
                count += times
    return total / count


@right("mean_surprise")
def surprise_by_cross_entropy(strength, wins, reduction="mean"):
    games = [(i, j) for i in range(len(wins)) for j in range(len(wins)) for _ in range(int(wins[i, j]))]
    logits = torch.stack([torch.stack([strength[i], strength[j]]) for i, j in games])
    return F.cross_entropy(logits, torch.zeros(len(games), dtype=torch.long), reduction=reduction)


@right("mean_surprise")
def surprise_by_binary_cross_entropy(s, w):
    i, j = torch.triu_indices(len(s), len(s), 1)
    games = w[i, j] + w[j, i]
    share = torch.where(games > 0, w[i, j] / games.clamp(min=1), 0.5)
    return F.binary_cross_entropy_with_logits(s[i] - s[j], share, weight=games, reduction="sum") / games.sum()


@right("mean_surprise")
def surprise_by_einsum(strength_N, wins_NN):
    both = torch.logaddexp(strength_N[:, None], strength_N[None, :])
    surprise = both - strength_N[:, None]
    return torch.einsum("ij,ij->", wins_NN, surprise) / torch.einsum("ij->", wins_NN)


@right("mean_surprise")
def surprise_where_there_were_games(strength, wins, *, base=math.e):
    i, j = torch.nonzero(wins, as_tuple=True)
    weight = wins[i, j] / wins[i, j].sum()
    return F.softplus(strength[j] - strength[i]).dot(weight) / math.log(base)


class Surprise(torch.nn.Module):
    def forward(self, strength, wins):
        count = torch.from_numpy(wins.numpy().astype("float64"))
        return F.softplus(strength - strength.view(-1, 1)).mul(count).sum().div(count.sum())


right("mean_surprise")(Surprise())


@wrong("mean_surprise", "the sum", "that is the sum: divide by the number of comparisons")
def surprise_summed(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum()


@wrong("mean_surprise", "the mean over the cells of the matrix",
       "divide by the number of comparisons, not by that of cells")
def surprise_over_cells(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).mean()


@wrong("mean_surprise", "the mean over the cells off the diagonal",
       "divide by the number of comparisons, not by that of pairs")
def surprise_over_ordered_pairs(strength_N, wins_NN):
    n = len(strength_N)
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / (n * (n - 1))


@wrong("mean_surprise", "the mean over pairs of items", "divide by the number of comparisons, not by that of pairs")
def surprise_over_pairs(strength_N, wins_NN):
    n = len(strength_N)
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / (n * (n - 1) / 2)


@wrong("mean_surprise", "divided by N", "divide by the number of comparisons, not by that of items")
def surprise_for_each_item(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / len(strength_N)


@wrong("mean_surprise", "log of a sigmoid that underflows",
       "Far apart, log(sigmoid) is -inf, and a clamp or 1e-8")
def surprise_that_overflows(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N)
    return -(wins_NN * torch.log(p)).sum() / wins_NN.sum()


@wrong("mean_surprise", "a small number added inside the log",
       "Far apart, log(sigmoid) is -inf, and a clamp or 1e-8")
def surprise_with_a_small_number(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N)
    return -(wins_NN * torch.log(p + 1e-8)).sum() / wins_NN.sum()


@wrong("mean_surprise", "P clamped before the log", "Far apart, log(sigmoid) is -inf, and a clamp or 1e-8")
def surprise_clamped(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N).clamp(1e-12, 1)
    return -(wins_NN * torch.log(p)).sum() / wins_NN.sum()


@wrong("mean_surprise", "wins read as losses", "the winner's strength comes first")
def surprise_of_losses(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N - strength_N[:, None])).sum() / wins_NN.sum()


@wrong("mean_surprise", "without the minus", "negative: a surprise is minus the logarithm")
def surprise_without_minus(strength_N, wins_NN):
    return (wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum()


@wrong("mean_surprise", "item() on the way", "lost its gradient: a detach, item, tolist or torch.tensor of it?")
def surprise_as_a_number(strength_N, wins_NN):
    p = F.logsigmoid(strength_N[:, None] - strength_N)
    return torch.tensor(sum(-wins_NN[i, j].item() * p[i, j].item() for i in range(len(p)) for j in range(len(p)))
                        / wins_NN.sum().item())


@wrong("mean_surprise", "a detached P", "lost its gradient: a detach, item, tolist or torch.tensor of it?")
def surprise_detached(strength_N, wins_NN):
    logp = F.logsigmoid(strength_N[:, None] - strength_N).detach()
    return -(wins_NN * logp).sum() / wins_NN.sum()


@wrong("mean_surprise", "a Python float", "a tensor is wanted")
def surprise_as_a_float(strength_N, wins_NN):
    return (-(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum()).item()


@wrong("mean_surprise", "every ordered pair weighs alike",
       "count how often: a pair that was compared 5 times counts 5 times")
def surprise_of_cells_that_are_not_empty(strength_N, wins_NN):
    logp = F.logsigmoid(strength_N[:, None] - strength_N)
    return -logp[wins_NN > 0].mean()


@wrong("mean_surprise", "every pair weighs alike, by its share of wins",
       "count how often: a pair that was compared 5 times counts 5 times")
def surprise_of_shares(strength_N, wins_NN):
    losses = []
    for i, j in combinations(range(len(strength_N)), 2):
        share = wins_NN[i, j] / (wins_NN[i, j] + wins_NN[j, i])
        d = strength_N[i] - strength_N[j]
        losses.append(-share * F.logsigmoid(d) - (1 - share) * F.logsigmoid(-d))
    return torch.stack(losses).mean()


@wrong("mean_surprise", "in bits", "in bits: nats need no log 2")
def surprise_in_bits(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum() / math.log(2)


@wrong("mean_surprise", "only the upper triangle", "only wins on one side of the diagonal are in yours")
def surprise_above_the_diagonal(strength_N, wins_NN):
    upper = torch.triu(wins_NN, diagonal=1)
    return -(upper * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / upper.sum()


@wrong("mean_surprise", "the upper triangle, divided by all", "only wins on one side of the diagonal are in yours")
def surprise_above_the_diagonal_over_all(strength_N, wins_NN):
    upper = torch.triu(wins_NN, diagonal=1)
    return -(upper * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum()


@wrong("mean_surprise", "1 - P instead of -log P", "that is a mean chance")
def surprise_without_log(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N)
    return (wins_NN * (1 - p)).sum() / wins_NN.sum()


@wrong("mean_surprise", "squared errors", "that is a squared error: the loss is -log P")
def surprise_squared(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N)
    return (wins_NN * (1 - p) ** 2).sum() / wins_NN.sum()


@wrong("mean_surprise", "the margin only, no sigmoid", "that is the margin: the loss is -log sigmoid of it")
def surprise_as_a_margin(strength_N, wins_NN):
    return -(wins_NN * (strength_N[:, None] - strength_N)).sum() / wins_NN.sum()


@wrong("mean_surprise", "every comparison counted twice in the mean", "every comparison is counted twice")
def surprise_halved(strength_N, wins_NN):
    games = wins_NN + wins_NN.T
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / games.sum()


# fit

def summed_surprise(s, wins):
    return (wins * F.softplus(s - s[:, None])).sum()


def by_gradient_descent(loss, start, lr, steps):
    s = start.clone().requires_grad_()
    for _ in range(steps):
        slope, = torch.autograd.grad(loss(s), s)
        with torch.no_grad():
            s -= lr * slope
    return s.detach()


@right("fit")
def by_plain_gradient_descent(wins_NN, prior):
    return by_gradient_descent(lambda s: summed_surprise(s, wins_NN) + prior / 2 * s.pow(2).sum(),
                               torch.zeros(len(wins_NN)).double(), 0.05, 400)


@right("fit")
def by_lbfgs(wins, prior, max_iter=100):
    s = torch.zeros(len(wins), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([s], max_iter=max_iter, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = summed_surprise(s, wins) + prior / 2 * (s @ s)
        loss.backward()
        return loss

    optimizer.step(closure)
    return s


@right("fit")
def by_newton_in_numpy(wins, prior):
    w, n = wins.numpy(), len(wins)
    s = np.zeros(n)
    for _ in range(20):
        p = scipy.special.expit(s[:, None] - s)
        games = (w + w.T) * p * (1 - p)
        slope = prior * s - (w * (1 - p)).sum(axis=1) + (w * (1 - p)).sum(axis=0)
        s = s - np.linalg.solve(np.diag(games.sum(axis=1) + prior) - games, slope)
    return s


@right("fit")
def by_newton_and_autograd(wins_NN, prior):
    def loss(s):
        return summed_surprise(s, wins_NN) + 0.5 * prior * s.square().sum()

    s = wins_NN.new_zeros(len(wins_NN))
    for _ in range(15):
        s = s - torch.linalg.solve(torch.func.hessian(loss)(s), torch.func.grad(loss)(s))
    return s


@right("fit")
def by_scipy(wins, prior, method="BFGS"):
    w = wins.numpy()

    def loss(s):
        return (w * np.logaddexp(0, s - s[:, None])).sum() + prior / 2 * np.sum(s ** 2)

    return torch.from_numpy(scipy.optimize.minimize(loss, np.zeros(len(w)), method=method, tol=1e-9).x)


@right("fit")
def by_bisection_of_one_strength_after_another(wins, prior):
    w, n = wins.tolist(), len(wins)
    s = [0.0] * n

    def slope(i, x):
        return prior * x + sum(
            w[j][i] / (1 + math.exp(s[j] - x)) - w[i][j] / (1 + math.exp(x - s[j])) for j in range(n) if j != i)

    def root(i, low=-20.0, high=20.0):
        middle = (low + high) / 2
        if high - low < 1e-7:
            return middle
        return root(i, low, middle) if slope(i, middle) > 0 else root(i, middle, high)

    for _ in range(60):
        for i in range(n):
            s[i] = root(i)
    return torch.tensor(s)


def newtons(loss, n, steps=10):
    s = torch.zeros(n, dtype=torch.float64)
    for _ in range(steps):
        s = s - torch.linalg.solve(torch.func.hessian(loss)(s), torch.func.grad(loss)(s))
    return s


@wrong("fit", "no prior", "the prior does nothing in yours")
def fit_without_prior(wins_NN, prior):
    s = by_gradient_descent(lambda s: summed_surprise(s, wins_NN), torch.zeros(len(wins_NN)).double(), 0.05, 400)
    return s - s.mean()


@wrong("fit", "the prior without its half", "halve the prior")
def fit_with_a_whole_prior(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) + prior * (s ** 2).sum(), len(wins_NN))


@wrong("fit", "the mean surprise + prior", "the surprise is summed, not averaged")
def fit_of_the_mean(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) / wins_NN.sum() + prior / 2 * (s ** 2).sum(), len(wins_NN))


@wrong("fit", "the mean of the squares as prior", "the prior sums s^2 over items: yours takes the mean")
def fit_with_a_mean_prior(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).mean(), len(wins_NN))


@wrong("fit", "wins read as losses", "the winner has the larger strength")
def fit_of_losses(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN.T) + prior / 2 * (s ** 2).sum(), len(wins_NN))


@wrong("fit", "50 steps of a small learning rate", "There the slope of surprise and prior is 0")
def fit_stopped_early(wins_NN, prior):
    return by_gradient_descent(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(),
                               torch.zeros(len(wins_NN)).double(), 1e-3, 50)


@wrong("fit", "Adam, 100 steps of its default learning rate", "There the slope of surprise and prior is 0")
def fit_by_adam_stopped_early(wins_NN, prior):
    s = torch.zeros(len(wins_NN), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([s])
    for _ in range(100):
        optimizer.zero_grad()
        (summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum()).backward()
        optimizer.step()
    return s.detach()


@wrong("fit", "one step of Newton", "one step is not the minimum: go on until the slope is 0")
def fit_by_one_step(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(), len(wins_NN), steps=1)


@wrong("fit", "logits of each one's share of wins", "those are log odds of winning at all")
def fit_by_logits_of_shares(wins_NN, prior):
    return torch.logit(wins_NN.sum(1) / (wins_NN.sum(0) + wins_NN.sum(1)))


@wrong("fit", "shares of wins", "that is a share of wins, not a strength")
def fit_by_shares(wins_NN, prior):
    return wins_NN.sum(1) / (wins_NN.sum(0) + wins_NN.sum(1))


@wrong("fit", "exp of the strengths", "those are exp(s): strengths are their logarithms")
def fit_as_odds(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(), len(wins_NN)).exp()


@wrong("fit", "a softmax of the strengths", "those are exp(s): strengths are their logarithms")
def fit_as_shares(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(), len(wins_NN)).softmax(0)


@wrong("fit", "the first strength at 0", "the first is no zero point: the prior sets the mean to 0")
def fit_with_the_first_at_zero(wins_NN, prior):
    s = newtons(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(), len(wins_NN))
    return s - s[0]


@wrong("fit", "the weakest at 0", "the weakest is no zero point")
def fit_with_the_weakest_at_zero(wins_NN, prior):
    s = newtons(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(), len(wins_NN))
    return s - s.min()


@wrong("fit", "standardised strengths", "strengths keep their spread: do not divide by it")
def fit_standardised(wins_NN, prior):
    s = newtons(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(), len(wins_NN))
    return (s - s.mean()) / s.std()


@wrong("fit", "the prior as a variance", "the prior multiplies s^2 / 2")
def fit_with_a_variance(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) + (s ** 2).sum() / (2 * prior), len(wins_NN))


@wrong("fit", "the prior as a standard deviation", "the prior multiplies s^2 / 2")
def fit_with_a_deviation(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN) + (s ** 2).sum() / (2 * prior ** 2), len(wins_NN))


@wrong("fit", "each pair's winner only", "only who won more often counts in yours")
def fit_of_majorities(wins_NN, prior):
    won = (wins_NN > wins_NN.T).double()
    return newtons(lambda s: summed_surprise(s, won) + prior / 2 * (s ** 2).sum(), len(wins_NN))


@wrong("fit", "every comparison counted twice", "beside the surprise your prior has half its weight")
def fit_counting_twice(wins_NN, prior):
    return newtons(lambda s: 2 * summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(), len(wins_NN))


@wrong("fit", "the prior added to every count", "the prior is no number of games: it multiplies s^2 / 2")
def fit_with_smoothed_counts(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN + prior) + 1e-9 * (s ** 2).sum(), len(wins_NN))


@wrong("fit", "only the upper triangle", "only wins on one side of the diagonal are in yours")
def fit_above_the_diagonal(wins_NN, prior):
    return newtons(lambda s: summed_surprise(s, wins_NN.triu(1)) + prior / 2 * (s ** 2).sum(), len(wins_NN))


# ranking_loss

@right("ranking_loss")
def ranking_by_loops(r, rank, mask):
    losses = []
    for r_K, rank_K, mask_K in zip(r, rank.tolist(), mask.tolist()):
        pairs = [(i, j) for i, j in permutations(range(len(rank_K)), 2)
                 if mask_K[i] and mask_K[j] and rank_K[i] < rank_K[j]]
        losses.append(sum(-F.logsigmoid(r_K[i] - r_K[j]) for i, j in pairs) / len(pairs))
    return sum(losses) / len(losses)


@right("ranking_loss")
def ranking_vectorised(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0.0)
    pair_BKK = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss_BKK = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss_BKK * pair_BKK).sum((1, 2)) / pair_BKK.sum((1, 2))).mean()


@right("ranking_loss")
def ranking_by_boolean_indexing(r, rank, mask):
    def of_one(r, rank):
        better, worse = torch.nonzero(rank[:, None] < rank, as_tuple=True)
        return F.softplus(r[worse] - r[better]).mean()

    return torch.stack([of_one(r[b][mask[b]], rank[b][mask[b]]) for b in range(len(r))]).mean()


@right("ranking_loss")
def ranking_by_cross_entropy(rewards, ranks, mask, *, ignore=-100):
    b, i, j = torch.nonzero(ranks[:, :, None] < ranks[:, None, :], as_tuple=True)
    keep = mask[b, i] & mask[b, j]
    b, i, j = b[keep], i[keep], j[keep]
    logits = torch.stack([rewards[b, i], rewards[b, j]], dim=1)
    loss = F.cross_entropy(logits, torch.zeros_like(b), reduction="none", ignore_index=ignore)
    return (loss / torch.bincount(b)[b]).sum() / len(rewards)


@right("ranking_loss")
def ranking_by_einsum(r, rank, mask):
    r = torch.masked_fill(r, ~mask, 0).double()
    rank = rank.masked_fill(~mask, 10 ** 6)
    pair = (torch.einsum("bi,bj->bij", mask.double(), mask.double())
            * (rank.unsqueeze(-1) < rank.unsqueeze(-2)))
    surprise = torch.logaddexp(torch.zeros(()).double(), r.unsqueeze(-2) - r.unsqueeze(-1))
    return torch.einsum("bij,bij,b->", surprise, pair, 1 / pair.sum((-1, -2))) / r.size(0)


@right("ranking_loss")
def ranking_after_sorting(r_BK, rank_BK, mask_BK):
    total = 0
    for r, rank, mask in zip(r_BK, rank_BK, mask_BK):
        best_first = sorted((k for k in range(len(r)) if mask[k]), key=lambda k: rank[k])
        losses = [F.binary_cross_entropy_with_logits(r[i] - r[j], torch.ones(()).double())
                  for i, j in combinations(best_first, 2) if rank[i] != rank[j]]
        total += torch.stack(losses).mean()
    return total / len(r_BK)


@wrong("ranking_loss", "the mean over all pairs of the batch", "every prompt has one vote")
def ranking_over_all_pairs(r_BK, rank_BK, mask_BK):
    losses = []
    for r, rank, mask in zip(r_BK, rank_BK, mask_BK):
        for i, j in permutations(range(len(r)), 2):
            if mask[i] and mask[j] and rank[i] < rank[j]:
                losses.append(-F.logsigmoid(r[i] - r[j]))
    return torch.stack(losses).mean()


@wrong("ranking_loss", "the mask forgotten", "responses that are not there count")
def ranking_without_mask(r_BK, rank_BK, mask_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    loss = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "the mask on the better one only", "responses that are not there count")
def ranking_with_half_a_mask(r_BK, rank_BK, mask_BK):
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None]
    loss = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "the mask on the worse one only", "responses that are not there count")
def ranking_with_the_other_half_of_a_mask(r_BK, rank_BK, mask_BK):
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, None, :]
    loss = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "multiplied with the mask, so nan stays", "What is masked may be nan")
def ranking_times_mask(r_BK, rank_BK, mask_BK):
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "torch.where around the loss, so the gradient is nan", "What is masked may be nan")
def ranking_where(r_BK, rank_BK, mask_BK):
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    d = (r_BK[:, :, None] * mask_BK[:, :, None]) - (r_BK[:, None, :] * mask_BK[:, None, :])
    loss = torch.where(pair, -torch.sigmoid(d).log(), 0)
    return (loss.sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "log of a sigmoid that underflows", "Far apart, log(sigmoid) is -inf, and a clamp or 1e-8")
def ranking_that_overflows(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    d = torch.where(pair, r_BK[:, :, None] - r_BK[:, None, :], 0)
    loss = -torch.sigmoid(d).log() * pair
    return (loss.sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "a large rank taken for the better", "rank 1 is the best: yours raises the worst")
def ranking_upside_down(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] > rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "ties as pairs", "ties are no pairs: they count in yours")
def ranking_with_ties(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    k = r_BK.size(1)
    pair = (rank_BK[:, :, None] <= rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    pair &= ~torch.eye(k, dtype=torch.bool)
    loss = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "ties and the diagonal as pairs", "ties are no pairs: they count in yours")
def ranking_with_oneself(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] <= rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = F.softplus(r_BK[:, None, :] - r_BK[:, :, None])
    return ((loss * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "a tie as a pair in the order of the list", "ties are no pairs: they count in yours")
def ranking_with_a_tie_in_order(r_BK, rank_BK, mask_BK):
    total = 0
    for r, rank, mask in zip(r_BK, rank_BK, mask_BK):
        r = r[mask][torch.argsort(rank[mask], stable=True)]
        losses = [-F.logsigmoid(r[i] - r[j]) for i, j in combinations(range(len(r)), 2)]
        total = total + sum(losses) / len(losses)
    return total / len(r_BK)


@wrong("ranking_loss", "rank read as the order of response numbers",
       "rank_BK[b, k] is the rank of response k, no index of a response")
def ranking_by_rank_as_index(r_BK, rank_BK, mask_BK):
    total = 0
    for r, rank, mask in zip(r_BK, rank_BK, mask_BK):
        r = torch.nan_to_num(r)[rank - 1][mask]
        losses = [-F.logsigmoid(r[i] - r[j]) for i, j in combinations(range(len(r)), 2)]
        total = total + sum(losses) / len(losses)
    return total / len(r_BK)


@wrong("ranking_loss", "the responses taken as already sorted", "responses come in any order")
def ranking_of_sorted_responses(r_BK, rank_BK, mask_BK):
    total = 0
    for r, mask in zip(r_BK, mask_BK):
        r = r[mask]
        losses = [-F.logsigmoid(r[i] - r[j]) for i, j in combinations(range(len(r)), 2)]
        total = total + sum(losses) / len(losses)
    return total / len(r_BK)


@wrong("ranking_loss", "the sum over pairs", "sums the pairs of a prompt: take their mean")
def ranking_summed(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    return (F.softplus(r_BK[:, None, :] - r_BK[:, :, None]) * pair).sum((1, 2)).mean()


@wrong("ranking_loss", "the sum over prompts", "sums over prompts: take their mean")
def ranking_summed_over_prompts(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = (F.softplus(r_BK[:, None, :] - r_BK[:, :, None]) * pair).sum((1, 2))
    return (loss / pair.sum((1, 2))).sum()


@wrong("ranking_loss", "divided by K (K - 1) / 2 of the full K", "divides by the pairs that K responses would make")
def ranking_over_full_k(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    k = r_BK.size(1)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = (F.softplus(r_BK[:, None, :] - r_BK[:, :, None]) * pair).sum((1, 2))
    return (loss / (k * (k - 1) / 2)).mean()


@wrong("ranking_loss", "divided by the pairs with the tied ones", "divides by the pairs that K responses would make")
def ranking_over_pairs_with_ties(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    k = mask_BK.sum(1)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = (F.softplus(r_BK[:, None, :] - r_BK[:, :, None]) * pair).sum((1, 2))
    return (loss / (k * (k - 1) / 2)).mean()


@wrong("ranking_loss", "divided by K squared, as mean() does", "divides by all K x K places: only pairs count")
def ranking_by_mean(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    return (F.softplus(r_BK[:, None, :] - r_BK[:, :, None]) * pair).mean()


@wrong("ranking_loss", "without the minus", "negative: a surprise is minus the logarithm")
def ranking_without_minus(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = F.logsigmoid(r_BK[:, :, None] - r_BK[:, None, :]) * pair
    return (loss.sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "only the best against the worst", "only the best against the worst: all pairs count")
def ranking_of_best_and_worst(r_BK, rank_BK, mask_BK):
    losses = []
    for r, rank, mask in zip(r_BK, rank_BK, mask_BK):
        r, rank = r[mask], rank[mask]
        losses.append(-F.logsigmoid(r[rank.argmin()] - r[rank.argmax()]))
    return torch.stack(losses).mean()


@wrong("ranking_loss", "only neighbours in the ranking", "only neighbours in the ranking: all pairs count")
def ranking_of_neighbours(r_BK, rank_BK, mask_BK):
    losses = []
    for r, rank, mask in zip(r_BK, rank_BK, mask_BK):
        r, rank = r[mask], rank[mask]
        order = rank.argsort(stable=True)
        pairs = [(i, j) for i, j in zip(order[:-1], order[1:]) if rank[i] < rank[j]]
        losses.append(torch.stack([F.softplus(r[j] - r[i]) for i, j in pairs]).mean())
    return torch.stack(losses).mean()


@wrong("ranking_loss", "only the best against each other one",
       "only the best against each other one: all pairs count")
def ranking_of_the_best(r_BK, rank_BK, mask_BK):
    losses = []
    for r, rank, mask in zip(r_BK, rank_BK, mask_BK):
        r, rank = r[mask], rank[mask]
        best = rank.argmin()
        losses.append(F.softplus(r[rank > rank[best]] - r[best]).mean())
    return torch.stack(losses).mean()


@wrong("ranking_loss", "a detached reward of the worse one", "has the gradient")
def ranking_half_detached(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = F.softplus(r_BK.detach()[:, None, :] - r_BK[:, :, None]) * pair
    return (loss.sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("ranking_loss", "a hinge instead of the log-sigmoid",
       "that is a hinge: the loss is -log sigmoid of the margin")
def ranking_by_hinge(r_BK, rank_BK, mask_BK):
    r_BK = torch.where(mask_BK, r_BK, 0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & mask_BK[:, :, None] & mask_BK[:, None, :]
    loss = F.relu(1 - r_BK[:, :, None] + r_BK[:, None, :]) * pair
    return (loss.sum((1, 2)) / pair.sum((1, 2))).mean()


# Assignment 2: kl_rows

@right("kl_rows")
def kl_with_where(logp_BV, logq_BV):
    gap = torch.where(logp_BV > -math.inf, logp_BV - logq_BV, 0.0)
    return (logp_BV.exp() * gap).sum(dim=1)


@right("kl_rows")
def kl_by_loops(logp, logq):
    return torch.tensor([sum(math.exp(a) * (a - b) for a, b in zip(ps, qs) if math.exp(a) > 0)
                         for ps, qs in zip(logp.tolist(), logq.tolist())], dtype=torch.float64)


@right("kl_rows")
def kl_in_scipy(logp, logq):
    return scipy.special.rel_entr(np.exp(logp), np.exp(logq)).sum(axis=-1)


@right("kl_rows")
def kl_of_categoricals(logp, logq):
    p, q = (torch.distributions.Categorical(logits=x) for x in (logp, logq))
    return torch.distributions.kl_divergence(p, q)


@right("kl_rows")
def kl_by_boolean_indexing(logp_BV, logq_BV, *, base=None):
    rows = []
    for logp, logq in zip(logp_BV, logq_BV):
        there = ~torch.isneginf(logp)
        rows.append(torch.dot(logp[there].exp(), logp[there] - logq[there]))
    return torch.stack(rows) / (math.log(base) if base else 1)


@right("kl_rows")
def kl_from_entropies(logp, logq):
    p = logp.exp()
    cross = -torch.where(p == 0, p, p * logq)
    return (cross - torch.special.entr(p)).sum(1)


@wrong("kl_rows", "p and q exchanged", "has the arguments exchanged: that is KL(q || p)")
def kl_reversed(logp_BV, logq_BV):
    return (logq_BV.exp() * (logq_BV - logp_BV)).sum(1)


@wrong("kl_rows", "kl_div with its arguments in the order of the formula",
       "has the arguments exchanged: that is KL(q || p)")
def kl_div_in_the_order_of_the_formula(logp_BV, logq_BV):
    return F.kl_div(logp_BV, logq_BV, log_target=True, reduction="none").sum(-1)


@wrong("kl_rows", "kl_div with reduction batchmean", "averages over rows: give one number a row")
def kl_batchmean(logp_BV, logq_BV):
    return F.kl_div(logq_BV, logp_BV.exp(), reduction="batchmean")


@wrong("kl_rows", "the sum over all rows", "sums over rows, too: give one number a row")
def kl_of_all_rows(logp_BV, logq_BV):
    return (logp_BV.exp() * (logp_BV - logq_BV)).sum()


@wrong("kl_rows", "the mean over the alphabet", "takes the mean over words: p weighs them already")
def kl_averaged(logp_BV, logq_BV):
    return (logp_BV.exp() * (logp_BV - logq_BV)).mean(1)


@wrong("kl_rows", "the sum over the wrong axis", "sums over the wrong axis: words are the last one")
def kl_of_columns(logp_BV, logq_BV):
    return (logp_BV.exp() * (logp_BV - logq_BV)).sum(0)


@wrong("kl_rows", "0 log 0 as nan", "What p excludes costs nothing: 0 log 0 is 0")
def kl_without_care(logp_BV, logq_BV):
    return (logp_BV.exp() * (logp_BV - logq_BV)).sum(1)


@wrong("kl_rows", "kl_div, which is nan where both are 0", "What both exclude costs nothing either")
def kl_by_kl_div(logp, logq):
    return F.kl_div(logq, logp.exp(), reduction="none").sum(-1)


@wrong("kl_rows", "not weighed by p", "counts all words alike: weigh each by p")
def kl_without_weights(logp_BV, logq_BV):
    return (logp_BV - logq_BV).sum(1)


@wrong("kl_rows", "weighed by q", "weighs by q: the expectation is under p")
def kl_weighed_by_q(logp_BV, logq_BV):
    return (logq_BV.exp() * (logp_BV - logq_BV)).sum(1)


@wrong("kl_rows", "the cross-entropy", "is the cross-entropy: the surprise under p comes off")
def kl_as_cross_entropy(logp_BV, logq_BV):
    return -(logp_BV.exp() * logq_BV).sum(1)


@wrong("kl_rows", "in bits", "counts in bits: nats need no log 2")
def kl_in_bits(logp_BV, logq_BV):
    return (logp_BV.exp() * (logp_BV - logq_BV)).sum(1) / math.log(2)


@wrong("kl_rows", "small numbers inside the logs", "What p allows and q excludes costs infinity")
def kl_with_small_numbers(logp_BV, logq_BV):
    p, q = logp_BV.exp(), logq_BV.exp()
    return (p * torch.log((p + 1e-12) / (q + 1e-12))).sum(1)


@wrong("kl_rows", "nan_to_num, which takes infinity, too", "What p allows and q excludes costs infinity")
def kl_with_nan_to_num(logp_BV, logq_BV):
    return torch.nan_to_num(logp_BV.exp() * (logp_BV - logq_BV)).sum(1)


@wrong("kl_rows", "only where both are positive", "What p allows and q excludes costs infinity")
def kl_where_both_are(logp_BV, logq_BV):
    both = logp_BV.isfinite() & logq_BV.isfinite()
    return torch.where(both, logp_BV.exp() * (logp_BV - logq_BV), 0).sum(1)


@wrong("kl_rows", "the minus in front", "has the wrong sign: log p comes first")
def kl_negative(logp_BV, logq_BV):
    return -(logp_BV.exp() * (logp_BV - logq_BV)).sum(1)


@wrong("kl_rows", "half of both directions", "takes both directions: KL(p || q) is one of them")
def kl_symmetric(logp_BV, logq_BV):
    return ((logp_BV.exp() - logq_BV.exp()) * (logp_BV - logq_BV)).sum(1) / 2


@wrong("kl_rows", "absolute differences", "takes absolute values: a word that q likes more comes off")
def kl_of_absolute_differences(logp_BV, logq_BV):
    return (logp_BV.exp() * (logp_BV - logq_BV).abs()).sum(1)


@wrong("kl_rows", "the entropy of p", "is the entropy of p: q is not in it")
def kl_as_entropy(logp_BV, logq_BV):
    return -(logp_BV.exp() * logp_BV).sum(1)


# estimates

@right("estimates")
def estimates_in_tensors(logp_N, logq_N):
    log_ratio = logq_N - logp_N
    return (-log_ratio).mean(), (log_ratio ** 2 / 2).mean(), (log_ratio.exp() - 1 - log_ratio).mean()


@right("estimates")
def estimates_of_floats(logp, logq):
    gaps = [a - b for a, b in zip(logp.tolist(), logq.tolist())]
    return mean(gaps), mean(g * g for g in gaps) / 2, mean(math.exp(-g) - 1 + g for g in gaps)


@right("estimates")
def estimates_in_numpy(logp, logq):
    k1 = (logp - logq).numpy()
    return np.mean(k1), np.mean(0.5 * np.square(k1)), np.mean(np.expm1(-k1) + k1)


@right("estimates")
def estimates_as_an_array(logp, logq):
    k1 = np.asarray(logp) - np.asarray(logq)
    return np.stack([k1, k1 ** 2 / 2, np.exp(-k1) - 1 + k1]).mean(axis=1)


@right("estimates")
def estimates_stacked(logp, logq, n=None):
    d = logp - logq
    return torch.stack([d, d.square().div(2), torch.expm1(-d).add(d)]).sum(dim=1) / (n or d.numel())


@right("estimates")
def estimates_by_einsum(logp, logq):
    d = logp.double() - logq.double()
    weight = torch.full_like(d, 1 / len(d))
    return [torch.einsum("n,n", weight, k).item() for k in (d, d * d / 2, torch.exp(-d) - 1 + d)]


@wrong("estimates", "k1 with the other sign", "k1 is log p - log q: yours has the sign of log q - log p")
def estimates_with_k1_negative(logp_N, logq_N):
    d = logp_N - logq_N
    return -d.mean(), (d ** 2).mean() / 2, ((-d).exp() - 1 + d).mean()


@wrong("estimates", "k2 without the half", "k2 has one half")
def estimates_without_half(logp_N, logq_N):
    d = logp_N - logq_N
    return d.mean(), (d ** 2).mean(), ((-d).exp() - 1 + d).mean()


@wrong("estimates", "k3 with the ratio p / q", "the ratio in k3 is q / p: samples come from p")
def estimates_with_the_ratio_upside_down(logp_N, logq_N):
    d = logp_N - logq_N
    return d.mean(), (d ** 2).mean() / 2, (d.exp() - 1 - d).mean()


@wrong("estimates", "all with log q - log p", "p and q are exchanged in k1 and k3: samples come from p")
def estimates_of_the_other_direction(logp_N, logq_N):
    d = logq_N - logp_N
    return d.mean(), (d ** 2).mean() / 2, ((-d).exp() - 1 + d).mean()


@wrong("estimates", "k3 with the wrong sign of the log", "k3 adds the logarithm in yours: it comes off")
def estimates_with_a_sign_in_k3(logp_N, logq_N):
    d = logp_N - logq_N
    return d.mean(), (d ** 2).mean() / 2, ((-d).exp() - 1 - d).mean()


@wrong("estimates", "k3 without the 1", "k3 has - 1: it is 0 where p = q")
def estimates_without_the_one(logp_N, logq_N):
    d = logp_N - logq_N
    return d.mean(), (d ** 2).mean() / 2, ((-d).exp() + d).mean()


@wrong("estimates", "k3 as q / p - 1 alone", "k3 is q/p - 1 - log(q/p)")
def estimates_with_k3_of_the_ratio_alone(logp_N, logq_N):
    d = logp_N - logq_N
    return d.mean(), (d ** 2).mean() / 2, ((-d).exp() - 1).mean()


@wrong("estimates", "sums", "these are sums: take the means over samples")
def estimates_summed(logp_N, logq_N):
    d = logp_N - logq_N
    return d.sum(), (d ** 2).sum() / 2, ((-d).exp() - 1 + d).sum()


@wrong("estimates", "one number for each sample", "one number a sample: take the means over samples")
def estimates_of_each_sample(logp_N, logq_N):
    d = logp_N - logq_N
    return d, d ** 2 / 2, (-d).exp() - 1 + d


@wrong("estimates", "weighed by p once more", "samples came from p already: do not weigh them by p again")
def estimates_weighed_again(logp_N, logq_N):
    p, d = logp_N.exp(), logp_N - logq_N
    return (p * d).sum(), (p * d ** 2).sum() / 2, (p * ((-d).exp() - 1 + d)).sum()


@wrong("estimates", "the mean of p times each", "samples came from p already: do not weigh them by p again")
def estimates_times_p(logp_N, logq_N):
    p, d = logp_N.exp(), logp_N - logq_N
    return (p * d).mean(), (p * d ** 2).mean() / 2, (p * ((-d).exp() - 1 + d)).mean()


@wrong("estimates", "k2 as the square of the mean", "k2 squares each sample, then takes the mean")
def estimates_with_the_square_of_the_mean(logp_N, logq_N):
    d = logp_N - logq_N
    return d.mean(), d.mean() ** 2 / 2, ((-d).exp() - 1 + d).mean()


@wrong("estimates", "k3 of the mean", "k3 is the mean of each sample's k3")
def estimates_with_k3_of_the_mean(logp_N, logq_N):
    d = logp_N - logq_N
    k1 = d.mean()
    return k1, (d ** 2).mean() / 2, (-k1).exp() - 1 + k1


@wrong("estimates", "k1 in absolute values", "k1 may be negative on a sample: no absolute value")
def estimates_with_absolute_k1(logp_N, logq_N):
    d = logp_N - logq_N
    return d.abs().mean(), (d ** 2).mean() / 2, ((-d).exp() - 1 + d).mean()


@wrong("estimates", "k2 and k3 exchanged", "the order is k1, k2, k3")
def estimates_in_another_order(logp_N, logq_N):
    d = logp_N - logq_N
    return d.mean(), ((-d).exp() - 1 + d).mean(), (d ** 2).mean() / 2


@wrong("estimates", "k2 of the ratio, not of its log", "k2 squares the logarithm of the ratio, not the ratio")
def estimates_with_k2_of_the_ratio(logp_N, logq_N):
    d = logp_N - logq_N
    r = (-d).exp()
    return d.mean(), ((r - 1) ** 2).mean() / 2, (r - 1 + d).mean()


# kl_slope

@right("kl_slope")
def slope_in_closed_form(z_V, logq_V):
    logp = z_V.log_softmax(0)
    gap = logp - logq_V
    return logp.exp() * (gap - (logp.exp() * gap).sum())


@right("kl_slope")
def slope_by_autograd(z, logq):
    z = z.clone().requires_grad_()
    p = torch.softmax(z, -1)
    (p * (p.log() - logq)).sum().backward()
    return z.grad


@right("kl_slope")
def slope_by_func_grad(z_V, logq_V):
    return torch.func.grad(lambda z: F.kl_div(logq_V, z.log_softmax(-1), log_target=True, reduction="sum"))(z_V)


@right("kl_slope")
def slope_by_the_jacobian_of_softmax(z, logq):
    p = z.softmax(0)
    jacobian = torch.diag(p) - torch.outer(p, p)
    return torch.einsum("ij,j->i", jacobian, p.log() - logq + 1)


@right("kl_slope")
def slope_in_numpy(z, logq):
    p = scipy.special.softmax(z.numpy())
    gap = np.log(p) - logq.numpy()
    return p * (gap - p @ gap)


@right("kl_slope")
def slope_by_differences(z, logq, *, step=1e-5):
    def kl(x):
        logp = x.log_softmax(0)
        return logp.exp().dot(logp - logq)

    return torch.stack([(kl(z + e) - kl(z - e)) / (2 * step) for e in step * torch.eye(len(z)).double()])


@right("kl_slope")
def slope_of_floats(z, logq):
    z, logq = z.tolist(), logq.tolist()
    total = math.log(math.fsum(map(math.exp, z)))
    kl = sum(math.exp(x - total) * (x - total - y) for x, y in zip(z, logq))
    return torch.DoubleTensor([math.exp(x - total) * (x - total - y - kl) for x, y in zip(z, logq)])


@wrong("kl_slope", "KL not subtracted", "KL is missing in the bracket: the slopes must sum to 0")
def slope_without_baseline(z_V, logq_V):
    logp = z_V.log_softmax(0)
    return logp.exp() * (logp - logq_V)


@wrong("kl_slope", "KL not subtracted, and 1 added", "that is p (log p/q + 1): a softmax's slopes sum to 0")
def slope_with_the_one(z_V, logq_V):
    logp = z_V.log_softmax(0)
    return logp.exp() * (logp - logq_V + 1)


@wrong("kl_slope", "the derivative in p", "that is the slope in p, log p/q + 1: go on to the logits")
def slope_in_probabilities(z_V, logq_V):
    return z_V.log_softmax(0) - logq_V + 1


@wrong("kl_slope", "log p - log q", "that is log p/q alone")
def slope_as_log_ratio(z_V, logq_V):
    return z_V.log_softmax(0) - logq_V


@wrong("kl_slope", "not weighed by p", "p is missing: it weighs the slope of each word")
def slope_without_p(z_V, logq_V):
    gap = z_V.log_softmax(0) - logq_V
    return gap - (z_V.softmax(0) * gap).sum()


@wrong("kl_slope", "the plain mean subtracted", "the mean of the log-ratio is under p, not plain")
def slope_with_the_plain_mean(z_V, logq_V):
    gap = z_V.log_softmax(0) - logq_V
    return z_V.softmax(0) * (gap - gap.mean())


@wrong("kl_slope", "p - q, the slope of the reverse KL", "that is the slope of KL(q || p), p - q")
def slope_of_the_reverse(z_V, logq_V):
    return z_V.softmax(0) - logq_V.exp()


@wrong("kl_slope", "the other sign", "the sign is turned: that is the way downhill")
def slope_downhill(z_V, logq_V):
    gap = z_V.log_softmax(0) - logq_V
    p = z_V.softmax(0)
    return p * ((p * gap).sum() - gap)


@wrong("kl_slope", "logits as if they were log-probabilities", "z are logits, not log-probabilities: normalise first")
def slope_of_logits_unnormalised(z_V, logq_V):
    p = z_V.exp()
    gap = z_V - logq_V
    return p * (gap - (p * gap).sum())


@wrong("kl_slope", "z - log q in the bracket without the normaliser",
       "z are logits, not log-probabilities: normalise first")
def slope_with_half_a_normaliser(z_V, logq_V):
    p = z_V.softmax(0)
    return p * (z_V - logq_V)


@wrong("kl_slope", "p detached", "that is 0: a detached p leaves nothing to differentiate")
def slope_detached(z_V, logq_V):
    z = z_V.clone().requires_grad_()
    logp = z.log_softmax(0)
    (logp.detach().exp() * (logp - logq_V)).sum().backward()
    return z.grad


@wrong("kl_slope", "only the diagonal of the softmax's Jacobian", "a logit moves every chance, not only its own")
def slope_of_the_diagonal(z_V, logq_V):
    p = z_V.softmax(0)
    return p * (1 - p) * (p.log() - logq_V)


@wrong("kl_slope", "only the cross-entropy's slope", "that is the slope of the cross-entropy")
def slope_of_the_cross_entropy(z_V, logq_V):
    z = z_V.clone().requires_grad_()
    return torch.autograd.grad(-(z.softmax(0) * logq_V).sum(), z)[0]


@wrong("kl_slope", "only the entropy's slope", "that is the slope of sum p log p: q is missing")
def slope_of_the_entropy(z_V, logq_V):
    z = z_V.clone().requires_grad_()
    return torch.autograd.grad((z.softmax(0) * z.log_softmax(0)).sum(), z)[0]


@wrong("kl_slope", "KL itself", "that is KL itself: one number a logit")
def slope_as_kl(z_V, logq_V):
    return (z_V.softmax(0) * (z_V.log_softmax(0) - logq_V)).sum()


@wrong("kl_slope", "the slope of the mean", "KL is a sum over words: yours is the slope of their mean")
def slope_of_the_mean(z_V, logq_V):
    z = z_V.clone().requires_grad_()
    return torch.autograd.grad((z.softmax(0) * (z.log_softmax(0) - logq_V)).mean(), z)[0]


@wrong("kl_slope", "weighed by q", "q weighs in yours: the expectation is under p")
def slope_weighed_by_q(z_V, logq_V):
    gap = z_V.log_softmax(0) - logq_V
    return logq_V.exp() * (gap - (logq_V.exp() * gap).sum())


# sample_weights

@right("sample_weights")
def weights_in_tensors(logp_N, logq_N):
    return (logp_N - logq_N) / len(logp_N)


@right("sample_weights")
def weights_by_loops(logp, logq):
    n = logp.shape[0]
    return torch.tensor([(a - b) / n for a, b in zip(logp.tolist(), logq.tolist())], dtype=torch.float64)


@right("sample_weights")
def weights_in_numpy(logp, logq):
    return np.divide(logp.numpy() - logq.numpy(), len(logp))


@right("sample_weights")
def weights_by_autograd_of_k2(log_p, log_q):
    log_p = log_p.detach().clone().requires_grad_()
    return torch.autograd.grad(0.5 * (log_p - log_q).pow(2).mean(), log_p)[0]


@right("sample_weights")
def weights_by_autograd_of_a_surrogate(logp, logq, baseline=0.0):
    x = logp.clone().requires_grad_(True)
    ((x.detach() - logq - baseline) * x).mean().backward()
    return x.grad


right("sample_weights")(partial(lambda logp, logq, weight: torch.einsum("n,->n", logp - logq, weight(logp)),
                                weight=lambda x: torch.tensor(1 / x.numel(), dtype=torch.float64)))


@wrong("sample_weights", "not divided by N", "divide by the number of samples")
def weights_of_one_sample(logp_N, logq_N):
    return logp_N - logq_N


@wrong("sample_weights", "the other sign", "the sign is turned: this would raise KL")
def weights_negative(logp_N, logq_N):
    return (logq_N - logp_N) / len(logp_N)


@wrong("sample_weights", "k1 differentiated", "that is what the gradient of k1 weighs by")
def weights_of_k1(logp_N, logq_N):
    x = logp_N.clone().requires_grad_()
    return torch.autograd.grad((x - logq_N).mean(), x)[0]


@wrong("sample_weights", "k3 differentiated", "that is what the gradient of k3 weighs by")
def weights_of_k3(logp_N, logq_N):
    x = logp_N.clone().requires_grad_()
    return torch.autograd.grad(((logq_N - x).exp() - 1 - (logq_N - x)).mean(), x)[0]


@wrong("sample_weights", "1 added", "the 1 has a mean of 0 and adds only noise: leave it out")
def weights_with_one(logp_N, logq_N):
    return (logp_N - logq_N + 1) / len(logp_N)


@wrong("sample_weights", "the mean subtracted", "without a baseline here: nothing comes off")
def weights_with_baseline(logp_N, logq_N):
    k = logp_N - logq_N
    return (k - k.mean()) / len(k)


@wrong("sample_weights", "the mean of the others subtracted", "without a baseline here: nothing comes off")
def weights_leave_one_out(logp_N, logq_N):
    k = logp_N - logq_N
    others = (k.sum() - k) / (len(k) - 1)
    return (k - others) / len(k)


@wrong("sample_weights", "whitened", "no whitening here: the size of log p/q is what counts")
def weights_whitened(logp_N, logq_N):
    k = logp_N - logq_N
    return (k - k.mean()) / k.std() / len(k)


@wrong("sample_weights", "weighed by p once more", "samples came from p already: do not weigh by p again")
def weights_times_p(logp_N, logq_N):
    return logp_N.exp() * (logp_N - logq_N) / len(logp_N)


@wrong("sample_weights", "weighed by p, not divided by N", "samples came from p already: do not weigh by p again")
def weights_of_an_enumeration(logp_N, logq_N):
    return logp_N.exp() * (logp_N - logq_N)


@wrong("sample_weights", "ratios without log", "that is the ratio p/q: KL is the mean of something else")
def weights_of_ratios(logp_N, logq_N):
    return (logp_N - logq_N).exp() / len(logp_N)


@wrong("sample_weights", "k2 as the reward", "that is k2 itself: its slope in log p is the weight")
def weights_of_squares(logp_N, logq_N):
    return (logp_N - logq_N) ** 2 / 2 / len(logp_N)


@wrong("sample_weights", "k3 as the reward", "that is k3 itself: as a reward its gradient is not that of KL")
def weights_with_k3_as_reward(logp_N, logq_N):
    k = logp_N - logq_N
    return ((-k).exp() - 1 + k) / len(k)


@wrong("sample_weights", "N - 1", "N, not N - 1: no mean was estimated here")
def weights_over_n_minus_one(logp_N, logq_N):
    return (logp_N - logq_N) / (len(logp_N) - 1)


@wrong("sample_weights", "the mean k1 for every sample", "the mean alone forgets which sample was surprising")
def weights_all_alike(logp_N, logq_N):
    return (logp_N - logq_N).mean().expand(len(logp_N)) / len(logp_N)


@wrong("sample_weights", "one number", "(4,) is wanted. The gradient of a mean")
def weights_as_a_number(logp_N, logq_N):
    return (logp_N - logq_N).mean()


@wrong("sample_weights", "log p only", "q is missing: that weighs by log p alone")
def weights_of_the_entropy(logp_N, logq_N):
    return logp_N / len(logp_N)


# Assignment 3: example

@right("example")
def example_by_lists(prompt, response, eos, pad, length):
    answer = list(response) + [eos]
    prompt = list(prompt)[max(0, len(prompt) + len(answer) - length):]
    empty = length - len(prompt) - len(answer)
    return prompt + answer + [pad] * empty, [-100] * len(prompt) + answer + [-100] * empty


@right("example")
def example_by_popping(prompt, response, eos, pad, length):
    tokens = [*prompt, *response, eos]
    labels = [-100 for _ in prompt] + tokens[len(prompt):]
    while len(tokens) > length:
        tokens.pop(0), labels.pop(0)
    while len(tokens) < length:
        tokens.append(pad), labels.append(-100)
    return tokens, labels


@right("example")
def example_in_numpy(question, answer, end, padding, length, ignore=-100):
    row = np.concatenate([question, answer, [end]])[-length:]
    tokens = np.full(length, padding)
    tokens[:len(row)] = row
    labels = np.full(length, ignore)
    first = len(row) - len(answer) - 1
    labels[first:len(row)] = row[first:]
    return tokens, labels


@right("example")
def example_in_torch(prompt, response, eos, pad, length):
    tokens = torch.tensor(prompt + response + [eos])[-length:]
    labels = tokens.clone()
    labels[:len(tokens) - len(response) - 1] = -100
    gap = (0, length - len(tokens))
    return F.pad(tokens, gap, value=pad).tolist(), F.pad(labels, gap, value=-100).tolist()


@right("example")
def example_by_recursion(prompt, response, eos, pad, length):
    if len(prompt) + len(response) + 1 > length:
        return example_by_recursion(prompt[1:], response, eos, pad, length)
    pairs = [(x, -100) for x in prompt] + [(x, x) for x in response] + [(eos, eos)]
    pairs += [(pad, -100)] * (length - len(pairs))
    tokens, labels = zip(*pairs)
    return list(tokens), list(labels)


class Rows:
    ignored = -100

    def __call__(self, prompt, response, eos, pad, length):
        room = length - len(response) - 1
        kept = prompt[max(0, len(prompt) - room):]
        tokens = (kept + response + [eos] + length * [pad])[:length]
        learned = range(len(kept), len(kept) + len(response) + 1)
        return tokens, [x if place in learned else self.ignored for place, x in enumerate(tokens)]


right("example")(Rows())


@wrong("example", "the end not learned", "the end is there, but not learned: label it")
def example_without_learning_to_end(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "no end at all", "the end is missing: this model never stops")
def example_without_end(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response)):]
    tokens = prompt + response
    labels = [-100] * len(prompt) + response
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "the prompt learned", "the prompt is learned, too: -100 there")
def example_with_the_prompt_learned(prompt, response, eos, pad, length):
    tokens = (prompt + response + [eos])[-length:]
    empty = length - len(tokens)
    return tokens + [pad] * empty, tokens + [-100] * empty


@wrong("example", "padding learned", "padding is learned: -100 there")
def example_with_padding_learned(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tail = response + [eos] + [pad] * (length - len(prompt) - len(response) - 1)
    return prompt + tail, [-100] * len(prompt) + tail


@wrong("example", "prompt and padding learned", "prompt and padding are learned: -100 at both")
def example_all_learned(prompt, response, eos, pad, length):
    tokens = (prompt + response + [eos])[-length:]
    tokens += [pad] * (length - len(tokens))
    return tokens, list(tokens)


@wrong("example", "the last tokens of a long prompt lost", "too long a prompt loses its first tokens")
def example_with_the_wrong_end_of_the_prompt(prompt, response, eos, pad, length):
    prompt = prompt[:length - len(response) - 1]
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "the row cut off at its end",
       "Too long: the prompt loses its first tokens, the response and its end none")
def example_cut_off(prompt, response, eos, pad, length):
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    empty = max(0, length - len(tokens))
    return (tokens + [pad] * empty)[:length], (labels + [-100] * empty)[:length]


@wrong("example", "a slice that starts at -0", "No room is left for the prompt")
def example_from_minus_zero(prompt, response, eos, pad, length):
    answer = response + [eos]
    prompt = prompt[-(length - len(answer)):]
    empty = length - len(prompt) - len(answer)
    return prompt + answer + [pad] * empty, [-100] * len(prompt) + answer + [-100] * empty


@wrong("example", "not cut at all", "Too long: the prompt loses its first tokens, the response and its end none")
def example_too_long(prompt, response, eos, pad, length):
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "labels shifted by one", "do not shift: the loss does it")
def example_shifted(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [-100] * (len(prompt) - 1) + response + [eos] + [-100]
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "padded on the left", "padding comes after the end here, not before the prompt")
def example_padded_on_the_left(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    return [pad] * (length - len(tokens)) + tokens, [-100] * (length - len(labels)) + labels


@wrong("example", "0 for what is not learned", "what is not learned is -100, neither 0 nor -1")
def example_with_zeros(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [0] * len(prompt) + response + [eos]
    return tokens + [pad] * (length - len(tokens)), labels + [0] * (length - len(labels))


@wrong("example", "the token for padding for what is not learned",
       "what is not learned has the label -100, not that of padding")
def example_with_pads_as_labels(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [pad] * len(prompt) + response + [eos]
    return tokens + [pad] * (length - len(tokens)), labels + [pad] * (length - len(labels))


@wrong("example", "a mask in place of labels", "that is a mask of what is learned")
def example_with_a_mask(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    mask = [0] * len(prompt) + [1] * (len(response) + 1)
    return tokens + [pad] * (length - len(tokens)), mask + [0] * (length - len(mask))


@wrong("example", "an end after the prompt, too", "one end, after the response: none after the prompt")
def example_with_two_ends(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 2):] + [eos]
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "the end behind the padding", "the end follows the response, padding follows the end")
def example_with_the_end_last(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    empty = length - len(prompt) - len(response) - 1
    return prompt + response + [pad] * empty + [eos], [-100] * len(prompt) + response + [-100] * empty + [eos]


@wrong("example", "padded with the end", "pads with the end: an id of its own is for padding")
def example_padded_with_ends(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    return tokens + [eos] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "not padded", "a row is shorter than `length`: pad it")
def example_without_padding(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    return prompt + response + [eos], [-100] * len(prompt) + response + [eos]


@wrong("example", "what was given is changed", "changed what it was given: work on a copy")
def example_that_extends_the_prompt(prompt, response, eos, pad, length):
    response += [eos]
    prompt = prompt[-(length - len(response)):]
    empty = length - len(prompt) - len(response)
    return prompt + response + [pad] * empty, [-100] * len(prompt) + response + [-100] * empty


@wrong("example", "the first token of the response not learned", "the first token of the response is learned, too")
def example_without_the_first_token(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [-100] * (len(prompt) + 1) + response[1:] + [eos]
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


@wrong("example", "labels and tokens exchanged", "yours has the labels first: (tokens, labels)")
def example_exchanged(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response) - 1):]
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    return labels + [-100] * (length - len(labels)), tokens + [pad] * (length - len(tokens))


@wrong("example", "cut for no end, so one token too much is kept",
       "Too long: the prompt loses its first tokens, the response and its end none")
def example_one_too_long(prompt, response, eos, pad, length):
    prompt = prompt[-(length - len(response)):]
    tokens = prompt + response + [eos]
    labels = [-100] * len(prompt) + response + [eos]
    return tokens + [pad] * (length - len(tokens)), labels + [-100] * (length - len(labels))


# sft_loss

@right("sft_loss")
def sft_by_cross_entropy(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten(), ignore_index=-100)


@right("sft_loss")
def sft_by_gather(logits, labels):
    logp = logits[:, :-1].log_softmax(-1)
    labels = labels[:, 1:]
    learned = labels != -100
    picked = logp.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -torch.where(learned, picked, 0).sum() / learned.sum()


@right("sft_loss")
def sft_by_loops(logits, labels):
    surprises = []
    for row, wanted in zip(logits, labels.tolist()):
        for s in range(1, len(wanted)):
            if wanted[s] >= 0:
                surprises.append(torch.logsumexp(row[s - 1], dim=0) - row[s - 1][wanted[s]])
    return sum(surprises) / len(surprises)


@right("sft_loss")
def sft_by_one_hot(logits_BSV, label_BS, ignore=-100):
    there = (label_BS[:, 1:] != ignore).to(logits_BSV)
    hot = F.one_hot(label_BS[:, 1:].clamp(min=0), logits_BSV.size(-1)).to(logits_BSV)
    return -torch.einsum("bsv,bsv,bs->", logits_BSV[:, :-1].log_softmax(2), hot, there) / there.sum()


@right("sft_loss")
def sft_with_classes_second(logits, labels):
    return torch.nn.CrossEntropyLoss()(logits.permute(0, 2, 1)[..., :-1], labels[..., 1:])


@right("sft_loss")
def sft_by_boolean_indexing(logits, labels):
    b, s = (labels[:, 1:] != -100).nonzero(as_tuple=True)
    chosen = logits[b, s]
    return F.nll_loss(F.log_softmax(chosen, -1), labels[b, s + 1])


@right("sft_loss")
def sft_with_labels_rolled(logits, labels):
    labels = torch.roll(labels, -1, dims=1)
    labels[:, -1] = -100
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="sum") / (labels != -100).sum()


@wrong("sft_loss", "not shifted", "not shifted: logits at s predict the label at s + 1")
def sft_without_shift(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV.flatten(0, 1), label_BS.flatten())


@wrong("sft_loss", "shifted the other way", "shifted the other way")
def sft_shifted_backwards(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, 1:].flatten(0, 1), label_BS[:, :-1].flatten())


@wrong("sft_loss", "shifted twice", "shifted by two: one is enough, and transformers' models do it themselves")
def sft_shifted_twice(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-2].flatten(0, 1), label_BS[:, 2:].flatten())


@wrong("sft_loss", "the mean of each row's mean", "a mean of rows' means")
def sft_of_rows(logits_BSV, label_BS):
    loss = F.cross_entropy(logits_BSV[:, :-1].transpose(1, 2), label_BS[:, 1:], reduction="none")
    count = (label_BS[:, 1:] != -100).sum(1)
    return (loss.sum(1) / count).mean()


@wrong("sft_loss", "divided by all places", "divides by all places but the first: only labels count")
def sft_over_all_places(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-1].transpose(1, 2), label_BS[:, 1:], reduction="none").mean()


@wrong("sft_loss", "-100 read as token 0", "-100 is no token: where it stands nothing is learned")
def sft_with_ignored_labels(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].clamp(min=0).flatten())


@wrong("sft_loss", "-100 read as an index from the end", "-100 is no token: where it stands nothing is learned")
def sft_by_gather_of_remainders(logits_BSV, label_BS):
    logp = logits_BSV[:, :-1].log_softmax(-1)
    return -logp.gather(-1, (label_BS[:, 1:] % logp.size(-1))[..., None]).mean()


@wrong("sft_loss", "the sum", "a sum: divide by the number of labels")
def sft_summed(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten(), reduction="sum")


@wrong("sft_loss", "each row's sum, averaged over rows", "divides by rows, not by labels")
def sft_summed_in_rows(logits_BSV, label_BS):
    total = F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten(), reduction="sum")
    return total / len(label_BS)


@wrong("sft_loss", "softmax before cross_entropy", "softmax is taken twice: cross_entropy wants logits")
def sft_with_two_softmaxes(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV.softmax(-1)[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten())


@wrong("sft_loss", "a softmax over places", "softmax goes over words, the last axis")
def sft_with_a_softmax_over_places(logits_BSV, label_BS):
    logp = logits_BSV.log_softmax(1)[:, :-1]
    return F.nll_loss(logp.flatten(0, 1), label_BS[:, 1:].flatten())


@wrong("sft_loss", "without the minus", "negative: a surprise is minus the logarithm")
def sft_without_minus(logits_BSV, label_BS):
    return -F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten())


@wrong("sft_loss", "no softmax at all", "logits need log_softmax: a logit is no log-probability")
def sft_of_logits(logits_BSV, label_BS):
    return F.nll_loss(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten())


@wrong("sft_loss", "nll_loss of probabilities", "that is the probability: a surprise has a logarithm")
def sft_of_probabilities(logits_BSV, label_BS):
    return F.nll_loss(logits_BSV.softmax(-1)[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten())


@wrong("sft_loss", "detached", "lost its gradient: a detach, item, tolist or torch.tensor of it?")
def sft_detached(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV.detach()[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten())


@wrong("sft_loss", "token 0 ignored with -100", "0 is a label like any other: only -100 is none")
def sft_of_positive_labels(logits_BSV, label_BS):
    label = label_BS[:, 1:]
    logp = logits_BSV[:, :-1].log_softmax(-1)
    b, s = torch.nonzero(label > 0, as_tuple=True)
    return -logp[b, s, label[b, s]].mean()


@wrong("sft_loss", "in bits", "in bits: nats need no log 2")
def sft_in_bits(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten()) / math.log(2)


@wrong("sft_loss", "exp of the loss", "that is the perplexity: leave exp out")
def sft_as_perplexity(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten()).exp()


# response_length

@right("response_length")
def length_by_loops(token_BT, end):
    lengths = []
    for row in token_BT.tolist():
        lengths.append(row.index(end) + 1 if end in row else len(row))
    return torch.tensor(lengths)


@right("response_length")
def length_by_argmax(token_BT, end):
    ends = token_BT == end
    return torch.where(ends.any(1), ends.int().argmax(1) + 1, token_BT.size(1))


@right("response_length")
def length_by_cumsum(tokens, eos):
    ended = (tokens == eos).cumsum(dim=-1)
    before = ended - (tokens == eos).long()
    return (before == 0).sum(-1)


@right("response_length")
def length_in_numpy(tokens, eos):
    t = tokens.numpy()
    places = np.where(t == eos, np.arange(1, t.shape[1] + 1), t.shape[1])
    return places.min(axis=1)


@right("response_length")
def length_by_products(token_BT, end):
    going_on = (token_BT[:, :-1] != end).cumprod(dim=1)
    return 1 + going_on.sum(dim=1, dtype=torch.float64)


@right("response_length")
def length_by_recursion(tokens, end):
    def of(row):
        return 0 if not row else 1 if row[0] == end else 1 + of(row[1:])

    return torch.tensor([of(row) for row in tokens.tolist()], dtype=torch.int32)


@right("response_length")
def length_by_iterators(tokens, end=0):
    width = tokens.shape[1]
    return torch.LongTensor([min(width, 1 + sum(1 for _ in takewhile(lambda x: x != end, row.tolist())))
                             for row in tokens])


@wrong("response_length", "the end does not count", "the end is a token of the answer: count it")
def length_before_the_end(token_BT, end):
    return torch.tensor([row.index(end) if end in row else len(row) for row in token_BT.tolist()])


@wrong("response_length", "argmax, which is 0 where none comes", "no end has length T, not 1")
def length_by_argmax_alone(token_BT, end):
    return (token_BT == end).int().argmax(1) + 1


@wrong("response_length", "argmax without the 1", "argmax counts from 0, and is 0 where no end comes")
def length_by_argmax_without_one(token_BT, end):
    return (token_BT == end).int().argmax(1)


@wrong("response_length", "up to the last end", "up to the first end, not to the last")
def length_to_the_last_end(token_BT, end):
    t = token_BT.size(1)
    back = (token_BT == end).flip(1).int()
    return torch.where(back.any(1), t - back.argmax(1), t)


@wrong("response_length", "all tokens that are not the end", "that is how many tokens are no end")
def length_of_what_is_no_end(token_BT, end):
    return (token_BT != end).sum(1)


@wrong("response_length", "all tokens that are not the end, and 1",
       "tokens that are no end, and one more, only if nothing follows the end")
def length_of_what_is_no_end_and_one(token_BT, end):
    return (token_BT != end).sum(1) + 1


@wrong("response_length", "T + 1 where none comes", "no end has length T, not T + 1")
def length_one_too_long(token_BT, end):
    ended = (token_BT == end).cumsum(1) > 0
    return (~ended).sum(1) + 1


@wrong("response_length", "0 where none comes", "no end has length T, not 0")
def length_zero_without_end(token_BT, end):
    return torch.tensor([row.index(end) + 1 if end in row else 0 for row in token_BT.tolist()])


@wrong("response_length", "T - 1 where none comes", "no end has length T, not T - 1")
def length_short_without_end(token_BT, end):
    return torch.tensor([row.index(end) + 1 if end in row else len(row) - 1 for row in token_BT.tolist()])


@wrong("response_length", "the width of the batch", "yours is T for every row: look for the end")
def length_of_the_batch(token_BT, end):
    return torch.full((len(token_BT),), token_BT.size(1))


@wrong("response_length", "the number of ends", "that is how many ends there are")
def length_as_the_number_of_ends(token_BT, end):
    return (token_BT == end).sum(1)


@wrong("response_length", "along columns", "(4,) is wanted. Up to the first end, the end included")
def length_of_columns(token_BT, end):
    ends = (token_BT == end).int()
    return torch.where(ends.any(0), ends.argmax(0) + 1, len(token_BT))


@wrong("response_length", "a mask in place of lengths", "(4,) is wanted. Up to the first end, the end included")
def length_as_a_mask(token_BT, end):
    ends = token_BT == end
    return (ends.cumsum(1) - ends.int()) == 0


@wrong("response_length", "the end is taken to be 0", "look for the end, whose id is given")
def length_until_zero(token_BT, end):
    return torch.tensor([row.index(0) + 1 if 0 in row else len(row) for row in token_BT.tolist()])


@wrong("response_length", "one length for the batch", "a tensor is wanted")
def length_of_the_first_row(token_BT, end):
    row = token_BT[0].tolist()
    return row.index(end) + 1 if end in row else len(row)


# accumulated

@right("accumulated")
def accumulated_in_tensors(mean_M, count_M):
    return (mean_M * count_M).sum() / count_M.sum()


@right("accumulated")
def accumulated_by_loops(means, counts):
    total, labels = 0.0, 0
    for each, n in zip(means.tolist(), counts.tolist()):
        total += each * n
        labels += n
    return total / labels


@right("accumulated")
def accumulated_in_numpy(means, counts):
    return np.average(means.numpy(), weights=counts.numpy())


@right("accumulated")
def accumulated_by_running_mean(means, counts):
    so_far, seen = 0.0, 0
    for each, n in zip(means, counts):
        if n > 0:
            seen = seen + n
            so_far = so_far + (each - so_far) * n / seen
    return so_far


@right("accumulated")
def accumulated_by_repetition(mean_M, count_M):
    return mean_M.repeat_interleave(count_M).mean().item()


@right("accumulated")
def accumulated_by_dot(means, counts, *, dtype=torch.float64):
    share = counts.to(dtype) / counts.sum(dtype=dtype)
    return torch.einsum("m,m->", means.to(dtype), share)


@right("accumulated")
def accumulated_by_recursion(means, counts):
    def both(m, n):
        if len(m) == 1:
            return m[0] * n[0], n[0]
        total, count = both(m[1:], n[1:])
        return m[0] * n[0] + total, n[0] + count

    total, count = both(means, counts)
    return total / count


@wrong("accumulated", "the mean of means", "a mean of means: a label of a small micro-batch weighs more")
def accumulated_mean_of_means(mean_M, count_M):
    return mean_M.mean()


@wrong("accumulated", "the sum of means", "a sum of means: it grows with the number of micro-batches")
def accumulated_sum_of_means(mean_M, count_M):
    return mean_M.sum()


@wrong("accumulated", "sums not divided", "that is the sum: divide by the labels")
def accumulated_total(mean_M, count_M):
    return (mean_M * count_M).sum()


@wrong("accumulated", "sums divided by the number of micro-batches", "divides by micro-batches, not by labels")
def accumulated_over_micro_batches(mean_M, count_M):
    return (mean_M * count_M).mean()


@wrong("accumulated", "means divided by the number of labels", "means are not weighed: each has its count")
def accumulated_means_over_labels(mean_M, count_M):
    return mean_M.sum() / count_M.sum()


@wrong("accumulated", "the mean of means that have labels",
       "a mean of means: a label of a small micro-batch weighs more")
def accumulated_of_those_with_labels(mean_M, count_M):
    return mean_M[count_M > 0].mean()


@wrong("accumulated", "halfway to each next", "every step halves what came before: the last weighs most")
def accumulated_halfway(mean_M, count_M):
    so_far = mean_M[0]
    for each in mean_M[1:]:
        so_far = (so_far + each) / 2
    return so_far


@wrong("accumulated", "the last micro-batch", "that is the last micro-batch alone")
def accumulated_last(mean_M, count_M):
    return mean_M[-1]


@wrong("accumulated", "the largest micro-batch", "that is the largest micro-batch alone")
def accumulated_largest(mean_M, count_M):
    return mean_M[count_M.argmax()]


@wrong("accumulated", "divided by the largest count", "divides as if all were as large as the largest")
def accumulated_over_the_largest(mean_M, count_M):
    return (mean_M * count_M).sum() / (len(mean_M) * count_M.max())


@wrong("accumulated", "weighed, then averaged again", "divides twice: mean times count is already the sum of one")
def accumulated_averaged_twice(mean_M, count_M):
    return (mean_M * count_M / count_M.sum()).mean()


@wrong("accumulated", "weighed the other way, by what is not in it", "weighs the wrong way round")
def accumulated_by_inverse_counts(mean_M, count_M):
    weight = 1 / count_M.clamp(min=1)
    return (mean_M * weight).sum() / weight.sum()




# Assignment 4: grouped_loss

@right("grouped_loss")
def grouped_by_loops(r, prompt, rank):
    by_prompt = defaultdict(list)
    for i, j in permutations(range(len(r)), 2):
        if prompt[i] == prompt[j] and rank[i] < rank[j]:
            by_prompt[int(prompt[i])].append(F.softplus(r[j] - r[i]))
    return sum(sum(losses) / len(losses) for losses in by_prompt.values()) / len(by_prompt)


@right("grouped_loss")
def grouped_vectorised(r_N, prompt_N, rank_N):
    pair_NN = (prompt_N[:, None] == prompt_N) & (rank_N[:, None] < rank_N)
    count_N = torch.stack([pair_NN[prompt_N == p].sum() for p in prompt_N])
    weight_NN = torch.where(pair_NN, 1 / count_N.clamp(min=1).double()[:, None], 0)
    return -(weight_NN * F.logsigmoid(r_N[:, None] - r_N)).sum() / weight_NN.sum()


@right("grouped_loss")
def grouped_by_index_add(r, prompt, rank):
    i, j = torch.nonzero((prompt[:, None] == prompt) & (rank[:, None] < rank), as_tuple=True)
    _, group = prompt[i].unique(return_inverse=True)
    losses = F.binary_cross_entropy_with_logits(r[i] - r[j], torch.ones_like(r[i]), reduction="none")
    total = torch.zeros(group.max() + 1, dtype=r.dtype).index_add(0, group, losses)
    return (total / group.bincount()).mean()


@right("grouped_loss")
def grouped_with_masks(rewards, prompts, ranks, *, none=None):
    losses = []
    for p in set(prompts.tolist()):
        r, rank = rewards[prompts == p], ranks[prompts == p]
        loss = -F.logsigmoid(r.unsqueeze(1) - r.unsqueeze(0))[rank.unsqueeze(1) < rank.unsqueeze(0)]
        if loss.numel():
            losses.append(loss.mean())
    return torch.stack(losses).mean() if losses else none


@right("grouped_loss")
def grouped_after_sorting(r, prompt, rank):
    order = sorted(range(len(r)), key=lambda n: (int(prompt[n]), int(rank[n])))
    means = []
    for _, group in groupby(order, key=lambda n: int(prompt[n])):
        pairs = [(i, j) for i, j in combinations(list(group), 2) if rank[i] != rank[j]]
        if pairs:
            both = torch.stack([torch.stack([r[i], r[j]]) for i, j in pairs])
            means.append(F.cross_entropy(both, torch.zeros(len(pairs), dtype=torch.long)))
    return sum(means) / len(means)


def grouped(r, prompt, rank, pair=lambda a, b: a < b, loss=lambda d: F.softplus(-d), mean=torch.mean):
    """One number for each prompt that has pairs, as many wrong answers have it."""
    rows = []
    for p in prompt.unique():
        x, k = r[prompt == p], rank[prompt == p]
        each = loss(x[:, None] - x)[pair(k[:, None], k)]
        if len(each):
            rows.append(mean(each))
    return torch.stack(rows)


@wrong("grouped_loss", "pairs across prompts", "responses to different prompts make no pair")
def grouped_across_prompts(r_N, prompt_N, rank_N):
    return F.softplus(r_N - r_N[:, None])[rank_N[:, None] < rank_N].mean()


@wrong("grouped_loss", "the mean over all pairs", "every prompt has one vote")
def grouped_over_all_pairs(r_N, prompt_N, rank_N):
    pair = (prompt_N[:, None] == prompt_N) & (rank_N[:, None] < rank_N)
    return F.softplus(r_N - r_N[:, None])[pair].mean()


@wrong("grouped_loss", "prompts without pairs in the number divided by", "a prompt without pairs has no vote")
def grouped_over_all_prompts(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N).sum() / len(prompt_N.unique())


@wrong("grouped_loss", "divided by the largest prompt's id + 1", "a prompt without pairs has no vote")
def grouped_over_ids(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N).sum() / (prompt_N.max() + 1)


@wrong("grouped_loss", "prompts without pairs as nan", "the mean of no pairs is nan")
def grouped_with_nan(r_N, prompt_N, rank_N):
    rows = []
    for p in prompt_N.unique():
        x, k = r_N[prompt_N == p], rank_N[prompt_N == p]
        rows.append(F.softplus(x - x[:, None])[k[:, None] < k].mean())
    return torch.stack(rows).mean()


@wrong("grouped_loss", "the sum over pairs", "sums the pairs of a prompt: take their mean")
def grouped_summed(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, mean=torch.sum).mean()


@wrong("grouped_loss", "the sum over prompts", "sums over prompts: take their mean")
def grouped_summed_over_prompts(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N).sum()


@wrong("grouped_loss", "all pairs summed", "sums the pairs of a prompt: take their mean")
def grouped_summed_over_all(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, mean=torch.sum).sum()


@wrong("grouped_loss", "a large rank taken for the better", "rank 1 is the best: yours raises the worst")
def grouped_upside_down(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, pair=torch.gt).mean()


@wrong("grouped_loss", "ties as pairs", "ties are no pairs: they count in yours")
def grouped_with_ties(r_N, prompt_N, rank_N):
    losses = defaultdict(list)
    for i, j in permutations(range(len(r_N)), 2):
        if prompt_N[i] == prompt_N[j] and rank_N[i] <= rank_N[j]:
            losses[int(prompt_N[i])].append(F.softplus(r_N[j] - r_N[i]))
    return torch.stack([sum(x) / len(x) for x in losses.values()]).mean()


@wrong("grouped_loss", "ties and each with itself as pairs", "ties are no pairs: they count in yours")
def grouped_with_oneself(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, pair=torch.le).mean()


@wrong("grouped_loss", "only neighbours of the list, as if prompts came together",
       "responses of a prompt may stand apart")
def grouped_by_neighbours_in_the_list(r_N, prompt_N, rank_N):
    rows = []
    for _, group in groupby(range(len(r_N)), key=lambda n: int(prompt_N[n])):
        losses = [F.softplus(r_N[j] - r_N[i]) for i, j in permutations(list(group), 2) if rank_N[i] < rank_N[j]]
        if losses:
            rows.append(sum(losses) / len(losses))
    return sum(rows) / max(len(rows), 1) + 0 * r_N.sum()


@wrong("grouped_loss", "without the minus", "negative: a surprise is minus the logarithm")
def grouped_without_minus(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, loss=F.logsigmoid).mean()


@wrong("grouped_loss", "1 - P instead of -log P", "that is the chance of the wrong order")
def grouped_without_log(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, loss=lambda d: 1 - torch.sigmoid(d)).mean()


@wrong("grouped_loss", "log of a sigmoid that underflows", "Far apart, log(sigmoid) is -inf, and a clamp or 1e-8")
def grouped_that_overflows(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, loss=lambda d: -torch.log(torch.sigmoid(d))).mean()


@wrong("grouped_loss", "only the best against the worst", "only the best against the worst: all pairs count")
def grouped_best_and_worst(r_N, prompt_N, rank_N):
    rows = []
    for p in prompt_N.unique():
        r, rank = r_N[prompt_N == p], rank_N[prompt_N == p]
        if rank.min() < rank.max():
            rows.append(-F.logsigmoid(r[rank.argmin()] - r[rank.argmax()]))
    return torch.stack(rows).mean()


@wrong("grouped_loss", "only the best against each other one",
       "only the best against each other one: all pairs count")
def grouped_best_only(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, pair=lambda a, b: (a == 1) & (b > 1)).mean()


@wrong("grouped_loss", "detached rewards", "lost its gradient: a detach, item, tolist or torch.tensor of it?")
def grouped_detached(r_N, prompt_N, rank_N):
    return grouped(r_N.detach(), prompt_N, rank_N).mean()


# centred_bias

@right("centred_bias")
def bias_in_tensors(weight_D, bias, h_MD):
    return -(h_MD @ weight_D).mean()


@right("centred_bias")
def bias_by_correction(weight, bias, h):
    return bias - (h @ weight + bias).mean().item()


@right("centred_bias")
def bias_by_loops(weight, bias, hidden):
    scores = [sum(a * b for a, b in zip(weight.tolist(), row)) for row in hidden.tolist()]
    return -sum(scores) / len(scores)


@right("centred_bias")
def bias_by_einsum(weight, bias, h, *, target=0.0):
    return target - torch.einsum("md,d->m", h.double(), weight.double()).mean()


@right("centred_bias")
def bias_in_numpy(weight, bias, h):
    return np.negative(h.numpy().mean(axis=0).dot(weight.numpy()))


@right("centred_bias")
def bias_by_linear(weight, bias, h):
    rewards = F.linear(h, weight[None], torch.tensor([bias], dtype=h.dtype))
    return torch.tensor(bias, dtype=h.dtype) - rewards.squeeze(1).mean(dim=0)


@wrong("centred_bias", "the mean reward itself", "that is the mean reward: the new bias takes it off")
def bias_as_mean_reward(weight_D, bias, h_MD):
    return (h_MD @ weight_D + bias).mean()


@wrong("centred_bias", "what is to be added", "that is what to add to the old bias")
def bias_as_correction(weight_D, bias, h_MD):
    return -(h_MD @ weight_D + bias).mean()


@wrong("centred_bias", "the other sign", "the sign: then the mean would be twice as far from 0")
def bias_with_the_other_sign(weight_D, bias, h_MD):
    return (h_MD @ weight_D).mean()


@wrong("centred_bias", "the mean added to the old bias", "moved the wrong way: take the mean off, do not add it")
def bias_moved_the_wrong_way(weight_D, bias, h_MD):
    return bias + (h_MD @ weight_D + bias).mean()


@wrong("centred_bias", "the old bias counted twice", "the old bias is still in yours: the new one replaces it")
def bias_without_the_old_one_in_the_reward(weight_D, bias, h_MD):
    return bias - (h_MD @ weight_D).mean()


@wrong("centred_bias", "the sum over demonstrations", "a mean, not a sum over demonstrations")
def bias_of_the_sum(weight_D, bias, h_MD):
    return -(h_MD @ weight_D).sum()


@wrong("centred_bias", "the mean of products over dimensions, too",
       "a mean over demonstrations, not over their dimensions")
def bias_of_the_mean_over_all(weight_D, bias, h_MD):
    return -(h_MD * weight_D).mean()


@wrong("centred_bias", "states without weights", "the mean of h . weight: weights are missing")
def bias_without_weights(weight_D, bias, h_MD):
    return -h_MD.mean()


@wrong("centred_bias", "the sum of the mean state, without weights", "the mean of h . weight: weights are missing")
def bias_of_the_mean_state(weight_D, bias, h_MD):
    return -h_MD.mean(0).sum()


@wrong("centred_bias", "the first demonstration only", "the mean of all, not one demonstration")
def bias_of_the_first(weight_D, bias, h_MD):
    return -(h_MD[0] @ weight_D)


@wrong("centred_bias", "the last demonstration only", "the mean of all, not one demonstration")
def bias_of_the_last(weight_D, bias, h_MD):
    return -(h_MD[-1] @ weight_D)


@wrong("centred_bias", "one bias for each demonstration",
       "() is wanted. With the new bias the mean of h . weight + bias over demonstrations is 0")
def bias_of_each(weight_D, bias, h_MD):
    return -(h_MD @ weight_D)


@wrong("centred_bias", "rewards divided by their deviation, too", "centred only: do not divide by the spread")
def bias_standardised(weight_D, bias, h_MD):
    r = h_MD @ weight_D
    return -r.mean() / r.std()


@wrong("centred_bias", "the median", "the mean of all, not the middle one")
def bias_of_the_median(weight_D, bias, h_MD):
    return -(h_MD @ weight_D).quantile(0.5)


@wrong("centred_bias", "0", "0 as a bias does not make the mean 0")
def bias_of_zero(weight_D, bias, h_MD):
    return 0.0


# reliability

@right("reliability")
def reliability_by_loops(p_N, won_N, bins):
    rows = []
    for b in range(bins):
        inside = [(p, w) for p, w in zip(p_N.tolist(), won_N.tolist()) if min(int(p * bins), bins - 1) == b]
        if inside:
            rows.append([mean(p for p, _ in inside), mean(float(w) for _, w in inside), len(inside)])
    return torch.tensor(rows)


@right("reliability")
def reliability_as_the_list_that_the_docstring_shows(p, won, bins):
    rows = []
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = (p >= low) & ((p < high) | (b == bins - 1))
        if inside.any():
            rows.append([p[inside].mean().item(), won[inside].float().mean().item(), int(inside.sum())])
    return rows


@right("reliability")
def reliability_by_bincount(p_N, won_N, bins):
    bin_N = (p_N * bins).long().clamp(max=bins - 1)
    count = torch.bincount(bin_N, minlength=bins)
    chance = torch.bincount(bin_N, weights=p_N, minlength=bins) / count
    share = torch.bincount(bin_N, weights=won_N.double(), minlength=bins) / count
    return torch.stack([chance, share, count], dim=1)[count > 0]


@right("reliability")
def reliability_in_numpy(p, won, bins):
    p, won = p.numpy(), won.numpy()
    at = np.minimum(np.digitize(p, np.arange(1, bins) / bins), bins - 1)
    return np.array([(p[at == b].mean(), won[at == b].mean(), (at == b).sum()) for b in np.unique(at)])


@right("reliability")
def reliability_by_bucketize(chances, outcomes, bins, *, dtype=torch.float64):
    edges = torch.arange(1, bins, dtype=dtype) / bins
    place = torch.bucketize(chances, edges, right=True)
    return torch.stack([torch.stack([chances[place == b].mean(), outcomes[place == b].to(dtype).mean(),
                                     (place == b).sum().to(dtype)]) for b in place.unique()])


@right("reliability")
def reliability_by_sorting(p, won, bins):
    pairs = sorted(zip(p.tolist(), won.tolist()))
    groups = [list(g) for _, g in groupby(pairs, key=lambda x: min(math.floor(x[0] * bins), bins - 1))]
    return torch.tensor([[sum(x) / len(g), sum(w) / len(g), len(g)] for g in groups for x, w in [zip(*g)]])


def rows_of_bins(p, won, place, row, bins):
    return torch.stack([torch.stack([torch.as_tensor(x, dtype=torch.float64) for x in row(
        p[place == b], won[place == b].double())]) for b in range(bins) if (place == b).any()])


def usual_bin(p, bins):
    return (p * bins).long().clamp(max=bins - 1)


@wrong("reliability", "p = 1 in a bin of its own", "p = 1 belongs to the last bin")
def reliability_with_a_bin_too_many(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, (p_N * bins).long(), lambda p, w: (p.mean(), w.mean(), len(p)), bins + 1)


@wrong("reliability", "p = 1 lost", "p = 1 belongs to the last bin")
def reliability_without_one(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, (p_N * bins).long(), lambda p, w: (p.mean(), w.mean(), len(p)), bins)


@wrong("reliability", "bins closed on the right", "a bin holds its lower edge, not its upper one")
def reliability_closed_on_the_right(p_N, won_N, bins):
    place = (p_N * bins).ceil().long().sub(1).clamp(min=0)
    return rows_of_bins(p_N, won_N, place, lambda p, w: (p.mean(), w.mean(), len(p)), bins)


@wrong("reliability", "empty bins as 0", "bins that hold nothing are left out")
def reliability_with_empty_bins(p_N, won_N, bins):
    place, table = usual_bin(p_N, bins), torch.zeros(bins, 3).double()
    for b in place.unique():
        here = place == b
        table[b] = torch.stack([p_N[here].mean(), won_N[here].double().mean(), here.sum()])
    return table


@wrong("reliability", "empty bins as nan", "bins that hold nothing are left out")
def reliability_with_nan(p_N, won_N, bins):
    place = usual_bin(p_N, bins)
    return torch.stack([torch.stack([p_N[place == b].mean(), won_N[place == b].double().mean(), (place == b).sum()])
                        for b in range(bins)])


@wrong("reliability", "the middle of the bin", "the first number is the mean chance, not the middle of the bin")
def reliability_of_middles(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins),
                        lambda p, w: ((usual_bin(p, bins)[0] + 0.5) / bins, w.mean(), len(p)), bins)


@wrong("reliability", "the number of the bin", "the first number is the mean chance, not the bin's number")
def reliability_of_numbers(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins),
                        lambda p, w: (usual_bin(p, bins)[0], w.mean(), len(p)), bins)


@wrong("reliability", "the lower edge of the bin", "the first number is the mean chance, not an edge of the bin")
def reliability_of_edges(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins),
                        lambda p, w: (usual_bin(p, bins)[0] / bins, w.mean(), len(p)), bins)


@wrong("reliability", "chance and share exchanged", "won comes second, the chance first")
def reliability_exchanged(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins), lambda p, w: (w.mean(), p.mean(), len(p)), bins)


@wrong("reliability", "the number won, not its share", "won is a share: divide by the count")
def reliability_of_numbers_won(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins), lambda p, w: (p.mean(), w.sum(), len(p)), bins)


@wrong("reliability", "a share of all in place of the count", "the third is a count, not a share of all")
def reliability_of_shares(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins),
                        lambda p, w: (p.mean(), w.mean(), len(p) / len(p_N)), bins)


@wrong("reliability", "bins of equal counts", "bins are equally wide, not equally full")
def reliability_of_quantiles(p_N, won_N, bins):
    order = p_N.argsort()
    return torch.stack([torch.stack([p_N[i].mean(), won_N[i].double().mean(), torch.tensor(len(i)).double()])
                        for i in order.tensor_split(bins)])


@wrong("reliability", "the share of what was lost", "that is the share that was lost")
def reliability_of_losses(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins), lambda p, w: (p.mean(), 1 - w.mean(), len(p)), bins)


@wrong("reliability", "without the count", "3) is wanted. Of each bin that holds anything")
def reliability_without_count(p_N, won_N, bins):
    return rows_of_bins(p_N, won_N, usual_bin(p_N, bins), lambda p, w: (p.mean(), w.mean()), bins)


# pair_accuracy

@right("pair_accuracy")
def accuracy_by_loops(r, rank):
    points = []
    for rewards, ranks in zip(r.tolist(), rank.tolist()):
        for (x, a), (y, b) in combinations(zip(rewards, ranks), 2):
            if a != b:
                points.append(0.5 if x == y else float((x > y) == (a < b)))
    return sum(points) / len(points)


@right("pair_accuracy")
def accuracy_vectorised(r_BK, rank_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    d = r_BK[:, :, None] - r_BK[:, None, :]
    return ((d.sign() + 1) / 2)[pair].mean()


@right("pair_accuracy")
def accuracy_by_heaviside(r_BK, rank_BK):
    b, i, j = (rank_BK.unsqueeze(2) < rank_BK.unsqueeze(1)).nonzero(as_tuple=True)
    return torch.heaviside(r_BK[b, i] - r_BK[b, j], torch.tensor(0.5).double()).sum() / len(b)


@right("pair_accuracy")
def accuracy_in_numpy(r, rank):
    r, rank = np.asarray(r), np.asarray(rank)
    d = r[..., :, None] - r[..., None, :]
    pair = rank[..., :, None] < rank[..., None, :]
    return np.average(np.where(d == 0, 0.5, d > 0), weights=pair)


@right("pair_accuracy")
def accuracy_by_einsum(r, rank, tie=0.5):
    pair = (rank[:, :, None] < rank[:, None, :]).double()
    right_ = (r[:, :, None] > r[:, None, :]).double() + tie * (r[:, :, None] == r[:, None, :]).double()
    return torch.einsum("bij,bij->", pair, right_) / pair.sum()


@right("pair_accuracy")
def accuracy_by_kendalls_signs(r, rank):
    agree = total = 0
    for x, k in zip(r, rank):
        i, j = torch.triu_indices(len(x), len(x), 1)
        order = (k[j] - k[i]).sign()
        agree += (order * (x[i] - x[j]).sign()).sum()
        total += order.abs().sum()
    return (agree / total + 1) / 2


@wrong("pair_accuracy", "equal rewards as wrong", "equal rewards are half right, not wrong")
def accuracy_strict(r_BK, rank_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    return (r_BK[:, :, None] > r_BK[:, None, :])[pair].double().mean()


@wrong("pair_accuracy", "equal rewards as right", "equal rewards are half right, not right")
def accuracy_generous(r_BK, rank_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    return (r_BK[:, :, None] >= r_BK[:, None, :])[pair].double().mean()


@wrong("pair_accuracy", "equal rewards left out", "equal rewards are half right: yours leaves them out")
def accuracy_without_equal_rewards(r_BK, rank_BK):
    d = r_BK[:, :, None] - r_BK[:, None, :]
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]) & (d != 0)
    return (d > 0)[pair].double().mean()


@wrong("pair_accuracy", "a large rank taken for the better",
       "rank 1 is the best: yours counts pairs in the wrong order")
def accuracy_upside_down(r_BK, rank_BK):
    pair = rank_BK[:, :, None] > rank_BK[:, None, :]
    d = r_BK[:, :, None] - r_BK[:, None, :]
    return ((d.sign() + 1) / 2)[pair].mean()


@wrong("pair_accuracy", "equal ranks as pairs", "equal ranks are no pair")
def accuracy_with_ties(r_BK, rank_BK):
    points = []
    for x, k in zip(r_BK.tolist(), rank_BK.tolist()):
        order = sorted(range(len(k)), key=lambda i: k[i])
        points += [(x[i] > x[j]) + (x[i] == x[j]) / 2 for i, j in combinations(order, 2)]
    return sum(points) / len(points)


@wrong("pair_accuracy", "equal ranks and oneself as pairs", "equal ranks are no pair")
def accuracy_with_oneself(r_BK, rank_BK):
    pair = rank_BK[:, :, None] <= rank_BK[:, None, :]
    d = r_BK[:, :, None] - r_BK[:, None, :]
    return ((d.sign() + 1) / 2)[pair].mean()


@wrong("pair_accuracy", "the mean of prompts' means", "every pair counts the same: yours averages prompts")
def accuracy_of_prompts(r_BK, rank_BK):
    pair = (rank_BK[:, :, None] < rank_BK[:, None, :]).double()
    points = (torch.sign(r_BK[:, :, None] - r_BK[:, None, :]) + 1) / 2
    return ((points * pair).sum((1, 2)) / pair.sum((1, 2))).mean()


@wrong("pair_accuracy", "divided by all K x K places", "divides by all places, not by pairs")
def accuracy_over_places(r_BK, rank_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    points = (torch.sign(r_BK[:, :, None] - r_BK[:, None, :]) + 1) / 2
    return (points * pair).mean()


@wrong("pair_accuracy", "divided by K (K - 1) / 2 pairs a prompt", "divides by K (K - 1) / 2 a prompt")
def accuracy_over_full_pairs(r_BK, rank_BK):
    b, k = r_BK.shape
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    points = (torch.sign(r_BK[:, :, None] - r_BK[:, None, :]) + 1) / 2
    return (points * pair).sum() / (b * k * (k - 1) / 2)


@wrong("pair_accuracy", "how many are right", "that is how many: divide by the pairs")
def accuracy_as_a_number(r_BK, rank_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    return (((r_BK[:, :, None] - r_BK[:, None, :]).sign() + 1) / 2)[pair].sum()


@wrong("pair_accuracy", "the best found by argmax", "that is how often the best has the largest reward")
def accuracy_of_the_best(r_BK, rank_BK):
    return (r_BK.argmax(1) == rank_BK.argmin(1)).double().mean()


@wrong("pair_accuracy", "the mean P, not the share of right ones",
       "that is the mean chance: count whose reward is larger")
def accuracy_as_mean_chance(r_BK, rank_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    return torch.sigmoid(r_BK[:, :, None] - r_BK[:, None, :])[pair].mean()


@wrong("pair_accuracy", "Kendall's tau", "that is Kendall's tau, from -1 to 1")
def accuracy_as_tau(r_BK, rank_BK):
    pair = rank_BK[:, :, None] < rank_BK[:, None, :]
    return torch.sign(r_BK[:, :, None] - r_BK[:, None, :])[pair].mean()


@wrong("pair_accuracy", "pairs across prompts", "responses to different prompts make no pair")
def accuracy_across_prompts(r_BK, rank_BK):
    r, rank = r_BK.flatten(), rank_BK.flatten()
    return ((torch.sign(r[:, None] - r) + 1) / 2)[rank[:, None] < rank].mean()


@wrong("pair_accuracy", "only neighbours in the ranking", "only neighbours in the ranking: all pairs count")
def accuracy_of_neighbours(r_BK, rank_BK):
    points = []
    for r, rank in zip(r_BK, rank_BK):
        order = rank.argsort(stable=True)
        points += [((r[i] - r[j]).sign() + 1) / 2 for i, j in zip(order, order[1:]) if rank[i] < rank[j]]
    return torch.stack(points).mean()


# Assignment 5: charged_rewards

@right("charged_rewards")
def charged_by_loops(r, logp, ref, mask, beta, missing, ended):
    out = torch.zeros(mask.shape, dtype=torch.float64)
    for b, row in enumerate(mask.tolist()):
        places = [t for t, counts in enumerate(row) if counts]
        for t in places:
            out[b, t] = -beta * (logp[b, t] - ref[b, t])
        out[b, places[-1]] += r[b] if ended[b] else missing
    return out


@right("charged_rewards")
def charged_with_where(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    cost = torch.where(mask_BT, beta * (ref_BT - logp_BT), 0)
    score = torch.where(ended_B, r_B, missing)
    last = mask_BT.sum(1) - 1
    return cost.scatter_add(1, last[:, None], score[:, None])


@right("charged_rewards")
def charged_by_one_hot(r, logp, ref, mask, beta, missing, ended):
    cost = (logp - ref).mul(-beta).masked_fill(~mask, 0)
    score = ended * r + ~ended * missing
    return cost + F.one_hot(mask.sum(1) - 1, mask.size(1)) * score[:, None]


@right("charged_rewards")
def charged_in_numpy(r, logp, ref, mask, beta, missing, ended):
    r, logp, ref, mask, ended = (x.numpy() for x in (r, logp, ref, mask, ended))
    out = np.where(mask, -beta * (logp - ref), 0.0)
    out[np.arange(len(r)), mask.sum(axis=1) - 1] += np.where(ended, r, missing)
    return out


@right("charged_rewards")
def charged_by_boolean_indexing(score, logp, ref, mask, beta, missing=0.0, ended=None):
    out = torch.zeros_like(logp)
    out[mask] = beta * (ref[mask] - logp[mask])
    last = mask & ~F.pad(mask[:, 1:], (0, 1))
    out[last] += torch.where(ended, score, torch.full_like(score, missing))
    return out


def charge(logp, ref, mask, beta):
    return torch.where(mask, -beta * (logp - ref), 0)


def put_last(out, score, mask):
    out = out.clone()
    out[torch.arange(len(out)), mask.sum(1) - 1] += score
    return out


@wrong("charged_rewards", "the ratio upside down, so that KL is paid",
       "rewards what it should charge: -beta (logp - ref)")
def charged_with_the_other_sign(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(charge(logp_BT, ref_BT, mask_BT, -beta), torch.where(ended_B, r_B, missing), mask_BT)


@wrong("charged_rewards", "the score at the last column", "puts the score into the last column")
def charged_at_the_last_column(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    out = charge(logp_BT, ref_BT, mask_BT, beta)
    out[:, -1] += torch.where(ended_B, r_B, missing)
    return out


@wrong("charged_rewards", "the score at every token", "gives the score to every token: it is paid once")
def charged_with_the_score_everywhere(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return torch.where(mask_BT, -beta * (logp_BT - ref_BT) + torch.where(ended_B, r_B, missing)[:, None], 0)


@wrong("charged_rewards", "the score at the first token", "puts the score on the first token: it is known at the end")
def charged_at_the_first(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    out = charge(logp_BT, ref_BT, mask_BT, beta)
    out[:, 0] += torch.where(ended_B, r_B, missing)
    return out


@wrong("charged_rewards", "the score behind the last token",
       "puts the score behind the last token: one place too late")
def charged_one_too_late(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    out = charge(logp_BT, ref_BT, mask_BT, beta)
    place = mask_BT.sum(1).clamp(max=mask_BT.size(1) - 1)
    out[torch.arange(len(out)), place] += torch.where(ended_B, r_B, missing)
    return out


@wrong("charged_rewards", "no charge at the last token", "the last token is charged, too")
def charged_with_the_score_instead(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    out = charge(logp_BT, ref_BT, mask_BT, beta)
    out[torch.arange(len(out)), mask_BT.sum(1) - 1] = torch.where(ended_B, r_B, missing)
    return out


@wrong("charged_rewards", "`missing` ignored", "a response that did not end gets `missing`, not its score")
def charged_without_missing(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(charge(logp_BT, ref_BT, mask_BT, beta), r_B, mask_BT)


@wrong("charged_rewards", "`missing` added to the score", "`missing` stands in for the score, it is not added to it")
def charged_with_missing_added(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(charge(logp_BT, ref_BT, mask_BT, beta), r_B + ~ended_B * missing, mask_BT)


@wrong("charged_rewards", "`missing` where a response ended", "`missing` is for those that did not end: turned round")
def charged_with_ended_turned_round(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(charge(logp_BT, ref_BT, mask_BT, beta), torch.where(ended_B, missing, r_B), mask_BT)


@wrong("charged_rewards", "0 where a response did not end", "a response that did not end gets `missing`, not 0")
def charged_with_zero(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(charge(logp_BT, ref_BT, mask_BT, beta), r_B * ended_B, mask_BT)


@wrong("charged_rewards", "beta forgotten", "forgets beta")
def charged_without_beta(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(charge(logp_BT, ref_BT, mask_BT, 1.0), torch.where(ended_B, r_B, missing), mask_BT)


@wrong("charged_rewards", "beta on the score, too", "beta is on KL alone, not on the score")
def charged_with_beta_on_all(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(charge(logp_BT, ref_BT, mask_BT, beta), beta * torch.where(ended_B, r_B, missing), mask_BT)


@wrong("charged_rewards", "multiplied with the mask, so nan stays", "Padding may be nan")
def charged_times_mask(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(-beta * (logp_BT - ref_BT) * mask_BT, torch.where(ended_B, r_B, missing), mask_BT)


@wrong("charged_rewards", "padding not masked", "padding is charged: it gets 0")
def charged_without_mask(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return put_last(-beta * (logp_BT - ref_BT), torch.where(ended_B, r_B, missing), mask_BT)


@wrong("charged_rewards", "the whole KL at the last token",
       "each token has its own charge: yours has all at the last")
def charged_at_once(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    total = charge(logp_BT, ref_BT, mask_BT, beta).sum(1)
    return put_last(torch.zeros_like(logp_BT), total + torch.where(ended_B, r_B, missing), mask_BT)


@wrong("charged_rewards", "k3 as the charge", "charges k2 or k3: the plain log-ratio is the charge")
def charged_by_k3(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    d = ref_BT - logp_BT
    out = torch.where(mask_BT, -beta * (d.exp() - 1 - d), 0)
    return put_last(out, torch.where(ended_B, r_B, missing), mask_BT)


# advantage_and_return

@right("advantage_and_return")
def advantage_by_a_loop_backwards(reward, value, mask, lam):
    reward, value = torch.where(mask, reward, 0), torch.where(mask, value, 0)
    advantage, last = torch.zeros_like(reward), torch.zeros(len(reward)).double()
    for t in reversed(range(reward.size(1))):
        after = value[:, t + 1] if t + 1 < reward.size(1) else 0
        last = reward[:, t] + after - value[:, t] + lam * last
        advantage[:, t] = last
    return advantage, advantage + value


@right("advantage_and_return")
def advantage_of_floats(reward, value, mask, lam):
    out = ([], [])
    for r, v, m in zip(reward.tolist(), value.tolist(), mask.tolist()):
        n = sum(m)
        v = v[:n] + [0.0]
        delta = [r[t] + v[t + 1] - v[t] for t in range(n)]
        a = [sum(lam ** (k - t) * delta[k] for k in range(t, n)) for t in range(n)]
        out[0].append(a + [0.0] * (len(m) - n))
        out[1].append([x + y for x, y in zip(a, v)] + [0.0] * (len(m) - n))
    return out


@right("advantage_and_return")
def advantage_by_einsum(reward_BT, value_BT, mask_BT, lam):
    value = value_BT.masked_fill(~mask_BT, 0)
    delta = reward_BT.masked_fill(~mask_BT, 0) + F.pad(value[:, 1:], (0, 1)) - value
    t = torch.arange(value.size(1))
    power = torch.tensor(lam).double() ** (t[:, None] - t).clamp(min=0) * (t[:, None] >= t)
    advantage = torch.einsum("bk,kt->bt", delta, power) * mask_BT
    return advantage, advantage + value


@right("advantage_and_return")
def advantage_in_numpy(reward, value, mask, lam):
    m = mask.numpy()
    r, v = np.where(m, reward, 0), np.where(m, value, 0)
    delta = r + np.concatenate([v[:, 1:], np.zeros((len(v), 1))], axis=1) - v
    a = delta.copy()
    for t in range(m.shape[1] - 2, -1, -1):
        a[:, t] += lam * a[:, t + 1]
    return a * m, (a + v) * m


@right("advantage_and_return")
def advantage_by_recursion(reward, value, mask, lam=0.95, *, discount=1.0):
    def of(r, v):
        if len(r) == 0:
            return []
        rest = of(r[1:], v[1:])
        after, later = (v[1], rest[0]) if rest else (0.0, 0.0)
        return [r[0] + discount * after - v[0] + discount * lam * later, *rest]

    advantage, returns = torch.zeros(mask.shape).double(), torch.zeros(mask.shape).double()
    for b, m in enumerate(mask):
        advantage[b, m] = torch.tensor(of(reward[b, m].tolist(), value[b, m].tolist()), dtype=torch.float64)
        returns[b, m] = advantage[b, m] + value[b, m]
    return torch.stack([advantage, returns])


def advantages(reward, value, mask, lam, after=None, gamma=1.0):
    reward, value = torch.where(mask, reward, 0), torch.where(mask, value, 0)
    after = F.pad(value[:, 1:], (0, 1)) if after is None else after
    delta = torch.where(mask, reward + gamma * after - value, 0)
    columns, last = [], 0
    for t in reversed(range(mask.size(1))):
        last = delta[:, t] + gamma * lam * last
        columns.insert(0, last)
    return torch.stack(columns, 1), value


@wrong("advantage_and_return", "multiplied with the mask, so nan stays", "Padding may be nan")
def advantage_times_mask(reward_BT, value_BT, mask_BT, lam):
    a = torch.zeros_like(reward_BT)
    last = torch.zeros(len(a)).double()
    for t in reversed(range(a.size(1))):
        after = value_BT[:, t + 1] * mask_BT[:, t + 1] if t + 1 < a.size(1) else 0
        last = (reward_BT[:, t] + after - value_BT[:, t]) * mask_BT[:, t] + lam * last
        a[:, t] = last
    return a, a + value_BT * mask_BT


@wrong("advantage_and_return", "the last value as the one after the end",
       "reads a value after the last token: it is 0 there")
def advantage_bootstrapped(reward_BT, value_BT, mask_BT, lam):
    value = torch.where(mask_BT, value_BT, 0)
    ends = mask_BT & ~F.pad(mask_BT[:, 1:], (0, 1))
    a, v = advantages(reward_BT, value_BT, mask_BT, lam, torch.where(ends, value, F.pad(value[:, 1:], (0, 1))))
    return a, a + v


@wrong("advantage_and_return", "a discount of 0.99", "has a discount: here there is none")
def advantage_discounted(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, lam, gamma=0.99)
    return a, a + v


@wrong("advantage_and_return", "lam as a discount", "lam is no discount")
def advantage_with_lam_as_discount(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, 1.0, gamma=lam)
    return a, a + v


@wrong("advantage_and_return", "lam = 1", "ignores lam: this is return minus value, whatever lam is")
def advantage_without_lam(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, 1.0)
    return a, a + v


@wrong("advantage_and_return", "only the error of one step", "looks one token ahead only")
def advantage_of_one_step(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, 0.0)
    return a, a + v


@wrong("advantage_and_return", "the next value forgotten", "leaves out V_{t+1}: the error is reward + V_{t+1} - V_t")
def advantage_without_the_next_value(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, lam, torch.zeros(mask_BT.shape).double())
    return a, a + v


@wrong("advantage_and_return", "forwards", "runs from the first token on: credit goes back, not forth")
def advantage_forwards(reward_BT, value_BT, mask_BT, lam):
    reward, value = torch.where(mask_BT, reward_BT, 0), torch.where(mask_BT, value_BT, 0)
    delta = reward + F.pad(value[:, 1:], (0, 1)) - value
    a, last = torch.zeros_like(delta), 0
    for t in range(delta.size(1)):
        last = delta[:, t] + lam * last
        a[:, t] = last
    a = a * mask_BT
    return a, a + value


@wrong("advantage_and_return", "the advantage with the other sign",
       "the sign is turned: an error is reward + V_{t+1} - V_t")
def advantage_negative(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, lam)
    return -a, v - a


@wrong("advantage_and_return", "the return as advantage - value",
       "the return is advantage + value: yours subtracts it")
def advantage_less_value(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, lam)
    return a, a - v


@wrong("advantage_and_return", "the return as the sum of later rewards",
       "the return here is what GAE aims at, not the sum of rewards")
def advantage_with_rewards_to_go(reward_BT, value_BT, mask_BT, lam):
    a, _ = advantages(reward_BT, value_BT, mask_BT, lam)
    reward = torch.where(mask_BT, reward_BT, 0)
    return a, reward.flip(1).cumsum(1).flip(1)


@wrong("advantage_and_return", "return and advantage exchanged", "advantage first, then the return")
def advantage_exchanged(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, lam)
    return a + v, a


@wrong("advantage_and_return", "whitened advantages", "not whitened here: an advantage is in units of the reward")
def advantage_whitened(reward_BT, value_BT, mask_BT, lam):
    a, v = advantages(reward_BT, value_BT, mask_BT, lam)
    returns = a + v
    x = a[mask_BT]
    return torch.where(mask_BT, (a - x.mean()) / x.std(), 0), returns


@wrong("advantage_and_return", "advantages alone", "(2, 3, 5) is wanted. Later errors count lam, lam^2, ..")
def advantage_alone(reward_BT, value_BT, mask_BT, lam):
    return advantages(reward_BT, value_BT, mask_BT, lam)[0]


@wrong("advantage_and_return", "the value in the padding of the return", "padding gets 0 in the return, too")
def advantage_with_padding_in_the_return(reward_BT, value_BT, mask_BT, lam):
    a, _ = advantages(reward_BT, value_BT, mask_BT, lam)
    return a, a + value_BT


# clipped_loss

@right("clipped_loss")
def clipped_by_min(logp, old, advantage, mask, clip):
    logp, old, advantage = logp[mask], old[mask], advantage[mask]
    ratio = (logp - old).exp()
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


@right("clipped_loss")
def clipped_by_max_of_losses(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    zero = torch.zeros(()).double()
    ratio = torch.exp(torch.where(mask_BT, logp_BT, zero) - torch.where(mask_BT, old_BT, zero))
    a = torch.where(mask_BT, advantage_BT, zero)
    loss = torch.maximum(-a * ratio, -a * torch.clamp(ratio, 1 - clip, 1 + clip))
    return (loss * mask_BT).sum() / mask_BT.sum()


@right("clipped_loss")
def clipped_by_loops(logp, old, advantage, mask, clip):
    losses = []
    for b, t in mask.nonzero().tolist():
        ratio, a = torch.exp(logp[b, t] - old[b, t]), advantage[b, t].item()
        bound = (1 + clip if a > 0 else 1 - clip) * a
        losses.append(-ratio * a if (ratio * a).item() < bound else torch.tensor(-bound).double())
    return torch.stack(losses).mean()


@right("clipped_loss")
def clipped_with_where(logp, old, advantage, mask, eps=0.2):
    ratio = torch.exp(logp[mask] - old[mask])
    a = advantage[mask]
    return -(a * torch.where(a > 0, ratio.clamp(max=1 + eps), ratio.clamp(min=1 - eps))).sum() / mask.sum()


@right("clipped_loss")
def clipped_by_einsum(new, old, advantage, mask, clip):
    new, old, a = (x.masked_fill(~mask, 0.0) for x in (new, old, advantage))
    ratio = torch.expm1(new - old) + 1
    gain = torch.stack([ratio * a, ratio.clip(1 - clip, 1 + clip) * a]).amin(0)
    return torch.einsum("bt,bt->", gain, mask.double()).neg() / mask.double().sum()


@wrong("clipped_loss", "max in place of min", "the larger of the two: take the smaller gain")
def clipped_by_max(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return -torch.max(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "min of the losses", "the larger of the two: take the smaller gain")
def clipped_by_min_of_losses(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return torch.min(-ratio * a, -ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "only the clipped ratio", "clips without the minimum")
def clipped_always(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return -(ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "no clip", "not clipped")
def clipped_never(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return -(ratio * a).mean()


@wrong("clipped_loss", "without the minus", "the sign: a loss falls as good tokens become likelier")
def clipped_without_minus(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "the ratio upside down", "the ratio is exp(logp - old): yours is its inverse")
def clipped_upside_down(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (old_BT - logp_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "the difference of logs as the ratio", "that is the log-ratio: the ratio is its exp")
def clipped_without_exp(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT)[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "the ratio of logs", "that divides log-probabilities")
def clipped_with_a_ratio_of_logs(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT / old_BT)[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "the difference of logs clipped", "clips the log-ratio: the ratio itself is clipped")
def clipped_in_logs(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    d, a = (logp_BT - old_BT)[mask_BT], advantage_BT[mask_BT]
    return -torch.min(d.exp() * a, d.clamp(-clip, clip).exp() * a).mean()


@wrong("clipped_loss", "clipped at clip itself", "clips to -clip and clip")
def clipped_at_clip(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(-clip, clip) * a).mean()


@wrong("clipped_loss", "the sum", "a mean over counted tokens, not a sum")
def clipped_summed(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).sum()


@wrong("clipped_loss", "the mean over all places", "divides by all places: padding does not count")
def clipped_over_all_places(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).sum() / mask_BT.numel()


@wrong("clipped_loss", "the mean of rows' means", "a mean of rows' means: each token counts the same")
def clipped_of_rows(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    rows = []
    for logp, old, a, mask in zip(logp_BT, old_BT, advantage_BT, mask_BT):
        ratio, a = (logp - old).exp()[mask], a[mask]
        rows.append(-torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean())
    return torch.stack(rows).mean()


@wrong("clipped_loss", "multiplied with the mask, so nan stays", "Padding may be nan")
def clipped_times_mask(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio = (logp_BT - old_BT).exp()
    loss = -torch.min(ratio * advantage_BT, ratio.clamp(1 - clip, 1 + clip) * advantage_BT)
    return (loss * mask_BT).sum() / mask_BT.sum()


@wrong("clipped_loss", "masked after exp, so the gradient is nan", "Padding may be nan")
def clipped_masked_late(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = torch.exp(logp_BT - old_BT)[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "the mask forgotten", "padding counts in yours: use the mask")
def clipped_without_mask(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio = (logp_BT - old_BT).exp()
    return -torch.min(ratio * advantage_BT, ratio.clamp(1 - clip, 1 + clip) * advantage_BT).mean()


@wrong("clipped_loss", "a detached ratio", "lost its gradient: a detach, item, tolist or torch.tensor of it?")
def clipped_detached(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).detach().exp()[mask_BT], advantage_BT[mask_BT]
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "whitened advantages", "whitens: the advantages are taken as they are")
def clipped_whitened(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    ratio, a = (logp_BT - old_BT).exp()[mask_BT], advantage_BT[mask_BT]
    a = (a - a.mean()) / (a.std() + 1e-8)
    return -torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean()


@wrong("clipped_loss", "log p times the advantage, without ratio", "the ratio itself is missing")
def clipped_as_policy_gradient(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    return -(logp_BT * advantage_BT)[mask_BT].mean()


# sequence_kl

@right("sequence_kl")
def sequence_by_visits(logp_TVV, ref_TVV):
    at, total = torch.eye(logp_TVV.size(1)).double()[0], 0.0
    for logp, ref in zip(logp_TVV, ref_TVV):
        total = total + at @ (logp.exp() * (logp - ref)).sum(1)
        at = at @ logp.exp()
    return total


@right("sequence_kl")
def sequence_by_enumeration(logp, ref):
    steps, words, _ = logp.shape
    p, q, total = logp.tolist(), ref.tolist(), 0.0
    for y in np.ndindex(*[words] * steps):
        a = sum(p[t][v][w] for t, (v, w) in enumerate(zip((0, *y), y)))
        b = sum(q[t][v][w] for t, (v, w) in enumerate(zip((0, *y), y)))
        total += math.exp(a) * (a - b)
    return total


@right("sequence_kl")
def sequence_by_recursion_backwards(logp, ref):
    def from_here(t, v):
        if t == len(logp):
            return 0
        return sum(logp[t, v, w].exp() * (logp[t, v, w] - ref[t, v, w] + from_here(t + 1, w))
                   for w in range(logp.size(2)))

    return from_here(0, 0)


@right("sequence_kl")
def sequence_of_joint_distributions(logp, ref):
    p, q = logp[0, 0], ref[0, 0]
    for a, b in zip(logp[1:], ref[1:]):
        p, q = p.unsqueeze(-1) + a, q.unsqueeze(-1) + b
    return F.kl_div(q, p, log_target=True, reduction="sum")


@right("sequence_kl")
def sequence_in_numpy(logp, ref, *, start=0):
    logp, ref = np.asarray(logp), np.asarray(ref)
    step = np.einsum("tvw,tvw->tv", np.exp(logp), logp - ref)
    later = np.zeros(logp.shape[1])
    for t in range(len(logp) - 1, -1, -1):
        later = step[t] + np.exp(logp[t]) @ later
    return later[start]


def kl_of_rows(logp, ref):
    return (logp.exp() * (logp - ref)).sum(-1)


@wrong("sequence_kl", "only rows of previous token 0", "always from token 0")
def sequence_of_token_zero(logp_TVV, ref_TVV):
    return kl_of_rows(logp_TVV, ref_TVV)[:, 0].sum()


@wrong("sequence_kl", "all previous tokens alike", "every row as likely as the others")
def sequence_of_all_alike(logp_TVV, ref_TVV):
    return kl_of_rows(logp_TVV, ref_TVV).mean(1).sum()


@wrong("sequence_kl", "all previous tokens alike but at the first step", "every row as likely as the others")
def sequence_of_all_alike_but_the_first(logp_TVV, ref_TVV):
    rows = kl_of_rows(logp_TVV, ref_TVV)
    return rows[0, 0] + rows[1:].mean(1).sum()


@wrong("sequence_kl", "the sum over all rows", "sums the KL of every row, likely or not")
def sequence_of_all_rows(logp_TVV, ref_TVV):
    return kl_of_rows(logp_TVV, ref_TVV).sum()


@wrong("sequence_kl", "visits by the reference", "how often pi is there follows from pi, not from the reference")
def sequence_visited_by_the_reference(logp_TVV, ref_TVV):
    at, total = torch.eye(logp_TVV.size(1)).double()[0], 0.0
    for logp, ref in zip(logp_TVV, ref_TVV):
        total = total + at @ kl_of_rows(logp, ref)
        at = at @ ref.exp()
    return total


@wrong("sequence_kl", "the two exchanged", "that is KL(ref || pi)")
def sequence_reversed(logp_TVV, ref_TVV):
    at, total = torch.eye(logp_TVV.size(1)).double()[0], 0.0
    for logp, ref in zip(logp_TVV, ref_TVV):
        total = total + at @ kl_of_rows(ref, logp)
        at = at @ ref.exp()
    return total


@wrong("sequence_kl", "any first token before the first", "before the first token v is 0: yours starts from any")
def sequence_from_anywhere(logp_TVV, ref_TVV):
    v = logp_TVV.size(1)
    at, total = torch.full((v,), 1 / v).double(), 0.0
    for logp, ref in zip(logp_TVV, ref_TVV):
        total = total + at @ kl_of_rows(logp, ref)
        at = at @ logp.exp()
    return total


@wrong("sequence_kl", "the mean over tokens", "a mean over tokens: KL of a response is the sum")
def sequence_averaged(logp_TVV, ref_TVV):
    return sequence_by_visits(logp_TVV, ref_TVV) / len(logp_TVV)


@wrong("sequence_kl", "the first token only", "only the first token: the later ones follow it")
def sequence_of_the_first(logp_TVV, ref_TVV):
    return kl_of_rows(logp_TVV[0, 0], ref_TVV[0, 0])


@wrong("sequence_kl", "the last token only", "only the last token: those before it count, too")
def sequence_of_the_last(logp_TVV, ref_TVV):
    at = torch.eye(logp_TVV.size(1)).double()[0]
    for logp in logp_TVV[:-1]:
        at = at @ logp.exp()
    return at @ kl_of_rows(logp_TVV[-1], ref_TVV[-1])


@wrong("sequence_kl", "the first token left out", "the first token is missing: it costs KL, too")
def sequence_without_the_first(logp_TVV, ref_TVV):
    at = logp_TVV[0, 0].exp()
    total = 0.0
    for logp, ref in zip(logp_TVV[1:], ref_TVV[1:]):
        total = total + at @ kl_of_rows(logp, ref)
        at = at @ logp.exp()
    return total


@wrong("sequence_kl", "along the likeliest response", "only along the likeliest response: all of them count")
def sequence_along_the_likeliest(logp_TVV, ref_TVV):
    v, total = 0, 0.0
    for logp, ref in zip(logp_TVV, ref_TVV):
        total = total + kl_of_rows(logp[v], ref[v])
        v = logp[v].argmax().item()
    return total


@wrong("sequence_kl", "the rows transposed", "from row v to column w: yours goes the other way")
def sequence_transposed(logp_TVV, ref_TVV):
    at, total = torch.eye(logp_TVV.size(1)).double()[0], 0.0
    for logp, ref in zip(logp_TVV, ref_TVV):
        total = total + at @ kl_of_rows(logp, ref)
        at = logp.exp() @ at
    return total


@wrong("sequence_kl", "log-ratios not weighed by the chance of the response",
       "counts all responses alike: weigh each by pi")
def sequence_of_all_responses_alike(logp_TVV, ref_TVV):
    p, q = logp_TVV[0, 0], ref_TVV[0, 0]
    for a, b in zip(logp_TVV[1:], ref_TVV[1:]):
        p, q = p.unsqueeze(-1) + a, q.unsqueeze(-1) + b
    return (p - q).mean()


@wrong("sequence_kl", "in bits", "in bits: nats need no log 2")
def sequence_in_bits(logp_TVV, ref_TVV):
    return sequence_by_visits(logp_TVV, ref_TVV) / math.log(2)


# Assignment 6: text_loss

@right("text_loss")
def text_by_cross_entropy(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, :-1].transpose(1, 2), token_BS[:, 1:])


@right("text_loss")
def text_by_gather(logits, tokens):
    logp = torch.log_softmax(logits[:, :-1], dim=-1)
    return -torch.gather(logp, 2, tokens[:, 1:, None]).mean()


@right("text_loss")
def text_by_loops(logits, token):
    total, count = 0, 0
    for row, ids in zip(logits, token.tolist()):
        for x, v in zip(row, ids[1:]):
            total, count = total + torch.logsumexp(x, 0) - x[v], count + 1
    return total / count


@right("text_loss")
def text_by_one_hot(logits, token, *, shift=1):
    hot = F.one_hot(token[:, shift:], logits.shape[-1]).double()
    return -torch.einsum("bsv,bsv->bs", logits[:, :-shift].log_softmax(-1), hot).mean()


@right("text_loss")
def text_by_a_distribution(logits, tokens):
    return -torch.distributions.Categorical(logits=logits[:, :-1]).log_prob(tokens[:, 1:]).mean()


@right("text_loss")
def text_with_the_last_ignored(logits, tokens):
    target = torch.cat([tokens[:, 1:], torch.full((len(tokens), 1), -100)], dim=1)
    return F.cross_entropy(logits.reshape(-1, logits.size(-1)), target.reshape(-1))


@wrong("text_loss", "not shifted", "not shifted: logits at s predict token s + 1")
def text_without_shift(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV.flatten(0, 1), token_BS.flatten())


@wrong("text_loss", "shifted the other way", "logits at s predict the token after it, not the one before")
def text_shifted_backwards(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, 1:].flatten(0, 1), token_BS[:, :-1].flatten())


@wrong("text_loss", "shifted twice", "shifted by two")
def text_shifted_twice(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, :-2].flatten(0, 1), token_BS[:, 2:].flatten())


@wrong("text_loss", "the log-likelihood, without the minus", "negative: eq. (2) is maximised, a loss is its minus")
def text_without_minus(logits_BSV, token_BS):
    return -F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten())


@wrong("text_loss", "the sum", "a sum: gamma would then grow with the length of the text")
def text_summed(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten(), reduction="sum")


@wrong("text_loss", "summed over a text, averaged over texts", "summed over a text: the mean over tokens is wanted")
def text_summed_over_places(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, :-1].transpose(1, 2), token_BS[:, 1:], reduction="none").sum(1).mean()


@wrong("text_loss", "divided by all tokens", "divides by all tokens: the first is not predicted")
def text_over_all_tokens(logits_BSV, token_BS):
    total = F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten(), reduction="sum")
    return total / token_BS.numel()


@wrong("text_loss", "the end wrapped around by roll", "the last place predicts nothing")
def text_rolled(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV.flatten(0, 1), token_BS.roll(-1, dims=1).flatten())


@wrong("text_loss", "shifted after flattening", "the end of a text does not predict the start of the next")
def text_flattened_first(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV.flatten(0, 1)[:-1], token_BS.flatten()[1:])


@wrong("text_loss", "softmax before cross_entropy", "softmax is taken twice: cross_entropy wants logits")
def text_with_two_softmaxes(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV.softmax(-1)[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten())


@wrong("text_loss", "no softmax", "logits need log_softmax: a logit is no log-probability")
def text_of_logits(logits_BSV, token_BS):
    return F.nll_loss(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten())


@wrong("text_loss", "a softmax over places", "softmax goes over words, the last axis")
def text_with_a_softmax_over_places(logits_BSV, token_BS):
    return F.nll_loss(logits_BSV[:, :-1].log_softmax(1).flatten(0, 1), token_BS[:, 1:].flatten())


@wrong("text_loss", "the mean probability", "that is the mean probability: its logarithm is wanted")
def text_of_probabilities(logits_BSV, token_BS):
    return F.nll_loss(logits_BSV[:, :-1].softmax(-1).flatten(0, 1), token_BS[:, 1:].flatten())


@wrong("text_loss", "perplexity", "that is the perplexity: leave exp out")
def text_as_perplexity(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten()).exp()


@wrong("text_loss", "token 0 left out as if it were padding", "0 is a token like any other: all are predicted")
def text_without_token_zero(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten(), ignore_index=0)


@wrong("text_loss", "in bits", "in bits: nats need no log 2")
def text_in_bits(logits_BSV, token_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten()) / math.log(2)


@wrong("text_loss", "detached", "lost its gradient: a detach, item, tolist or torch.tensor of it?")
def text_detached(logits_BSV, token_BS):
    with torch.no_grad():
        return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), token_BS[:, 1:].flatten())


# mixed_step

@right("mixed_step")
def step_in_tensors(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return param_N - lr * (ppo_grad_N + gamma * ptx_grad_N)


@right("mixed_step")
def step_by_loops(param, ppo, ptx, gamma, lr):
    return torch.tensor([x - lr * a - lr * gamma * b
                         for x, a, b in zip(param.tolist(), ppo.tolist(), ptx.tolist())], dtype=torch.float64)


@right("mixed_step")
def step_by_sgd(param, ppo, ptx, gamma, lr):
    p = torch.nn.Parameter(param.clone())
    p.grad = torch.add(ppo, ptx, alpha=gamma)
    torch.optim.SGD([p], lr=lr).step()
    return p


@right("mixed_step")
def step_by_autograd(param, ppo, ptx, gamma, lr):
    x = param.clone().requires_grad_()
    loss = ppo @ x + gamma * (ptx @ x)
    return x - lr * torch.autograd.grad(loss, x)[0]


@right("mixed_step")
def step_in_numpy(param, ppo, ptx, gamma, lr):
    both = np.stack([ppo, ptx])
    return param.numpy() - lr * np.array([1, gamma]) @ both


@right("mixed_step")
def step_after_step(p, g, h, gamma, lr, *, signs=(-1, -1)):
    for sign, grad, weight in zip(signs, (g, h), (1, gamma)):
        p = p + sign * lr * weight * grad
    return p


def step(param, grad, lr):
    return param - lr * grad


@wrong("mixed_step", "uphill", "uphill: these are gradients of losses")
def step_uphill(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return param_N + lr * (ppo_grad_N + gamma * ptx_grad_N)


@wrong("mixed_step", "gamma on PPO", "gamma multiplies the text's gradient, not PPO's")
def step_with_gamma_on_ppo(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, gamma * ppo_grad_N + ptx_grad_N, lr)


@wrong("mixed_step", "gamma on both", "gamma multiplies the text's gradient alone: it is on both")
def step_with_gamma_on_both(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, gamma * (ppo_grad_N + ptx_grad_N), lr)


@wrong("mixed_step", "a convex mix", "a convex mix, (1 - gamma) ppo + gamma ptx")
def step_convex(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, torch.lerp(ppo_grad_N, ptx_grad_N, gamma), lr)


@wrong("mixed_step", "shares that sum to 1", "a mix of shares: eq. (2) adds gamma times the text's")
def step_normalised(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, (ppo_grad_N + gamma * ptx_grad_N) / (1 + gamma), lr)


@wrong("mixed_step", "without gamma", "gamma is forgotten")
def step_without_gamma(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, ppo_grad_N + ptx_grad_N, lr)


@wrong("mixed_step", "without the text", "the text is forgotten: its gradient is in eq. (2)")
def step_without_text(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, ppo_grad_N, lr)


@wrong("mixed_step", "without PPO", "PPO is forgotten")
def step_without_ppo(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, gamma * ptx_grad_N, lr)


@wrong("mixed_step", "lr on PPO only", "lr multiplies both gradients: it is on one alone")
def step_with_lr_on_ppo(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return param_N - lr * ppo_grad_N - gamma * ptx_grad_N


@wrong("mixed_step", "a sign as in the maximised eq. (2)", "the text's gradient comes off")
def step_with_the_text_maximised(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return step(param_N, ppo_grad_N - gamma * ptx_grad_N, lr)


@wrong("mixed_step", "the step alone", "that is the step: take it off the parameters")
def step_alone(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    return -lr * (ppo_grad_N + gamma * ptx_grad_N)


@wrong("mixed_step", "changed in place", "changed what it was given: work on a copy")
def step_in_place(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    param_N -= lr * (ppo_grad_N + gamma * ptx_grad_N)
    return param_N


@wrong("mixed_step", "a gradient clipped to norm 1", "plain descent: the gradient's size is not changed")
def step_clipped(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    g = ppo_grad_N + gamma * ptx_grad_N
    return step(param_N, g / max(1, g.norm().item()), lr)


@wrong("mixed_step", "a step of Adam", "plain descent: the gradient's size is not changed")
def step_of_adam(param_N, ppo_grad_N, ptx_grad_N, gamma, lr):
    p = torch.nn.Parameter(param_N.clone())
    p.grad = ppo_grad_N + gamma * ptx_grad_N
    torch.optim.Adam([p], lr=lr).step()
    return p.detach()


# tax

@right("tax")
def tax_in_tensors(before_S, after_S):
    rise = after_S - before_S
    return rise.mean(), rise.std() / len(rise) ** 0.5


@right("tax")
def tax_of_floats(before, after):
    rise = [b - a for a, b in zip(before.tolist(), after.tolist())]
    return mean(rise), stdev(rise) / math.sqrt(len(rise))


@right("tax")
def tax_in_numpy(before, after):
    rise = after.numpy() - before.numpy()
    return np.mean(rise), np.std(rise, ddof=1) / np.sqrt(rise.size)


@right("tax")
def tax_by_moments(before, after):
    d, n = (after - before).double(), len(before)
    return torch.stack([d.sum() / n, torch.sqrt((d.square().sum() - d.sum() ** 2 / n) / (n - 1) / n)])


@right("tax")
def tax_by_covariances(before, after, *, paired=True):
    cov = torch.cov(torch.stack([before, after]))
    variance = cov[0, 0] + cov[1, 1] - 2 * paired * cov[0, 1]
    return [(after.mean() - before.mean()).item(), (variance / len(before)).sqrt().item()]


@right("tax")
def tax_by_the_jackknife(before, after):
    rise = after - before
    n = len(rise)
    without = torch.stack([torch.cat([rise[:i], rise[i + 1:]]).mean() for i in range(n)])
    return rise.mean(), ((n - 1) / n * (without - without.mean()).square().sum()).sqrt()


def se(x, correction=1):
    return x.std(correction=correction) / math.sqrt(len(x))


@wrong("tax", "before - after", "before minus after: a tax is what the loss has risen by")
def tax_negative(before_S, after_S):
    d = before_S - after_S
    return d.mean(), se(d)


@wrong("tax", "runs not paired", "runs are paired: the spread is that of the differences")
def tax_unpaired(before_S, after_S):
    return (after_S - before_S).mean(), (se(before_S) ** 2 + se(after_S) ** 2).sqrt()


@wrong("tax", "standard errors added", "runs are paired: the spread is that of the differences")
def tax_with_errors_added(before_S, after_S):
    return (after_S - before_S).mean(), se(before_S) + se(after_S)


@wrong("tax", "standard errors subtracted", "runs are paired: the spread is that of the differences")
def tax_with_errors_subtracted(before_S, after_S):
    return after_S.mean() - before_S.mean(), (se(after_S) - se(before_S)).abs()


@wrong("tax", "the standard deviation", "that is the spread of one run")
def tax_with_deviation(before_S, after_S):
    d = after_S - before_S
    return d.mean(), d.std()


@wrong("tax", "the biased deviation", "S - 1 inside the root")
def tax_with_biased_deviation(before_S, after_S):
    d = after_S - before_S
    return d.mean(), se(d, correction=0)


@wrong("tax", "numpy's default deviation", "S - 1 inside the root")
def tax_with_the_default_of_numpy(before_S, after_S):
    d = (after_S - before_S).numpy()
    return d.mean(), d.std() / np.sqrt(len(d))


@wrong("tax", "S - 1 in stdev and under the root, too", "S - 1 stands in stdev already: divide that by sqrt(S)")
def tax_over_the_root_of_s_minus_one(before_S, after_S):
    d = after_S - before_S
    return d.mean(), d.std() / math.sqrt(len(d) - 1)


@wrong("tax", "divided by S", "divides by S: the standard error falls with sqrt(S)")
def tax_over_s(before_S, after_S):
    d = after_S - before_S
    return d.mean(), d.std() / len(d)


@wrong("tax", "the variance of the mean", "that is a variance: take its root")
def tax_with_variance(before_S, after_S):
    d = after_S - before_S
    return d.mean(), d.var() / len(d)


@wrong("tax", "the variance", "that is a variance: take its root")
def tax_with_the_variance_of_one_run(before_S, after_S):
    d = after_S - before_S
    return d.mean(), d.var()


@wrong("tax", "an interval of two standard errors", "an interval is wider: one standard error is wanted")
def tax_with_two_errors(before_S, after_S):
    d = after_S - before_S
    return d.mean(), 2 * se(d)


@wrong("tax", "1.96 standard errors", "an interval is wider: one standard error is wanted")
def tax_with_an_interval(before_S, after_S):
    d = after_S - before_S
    return d.mean(), 1.96 * se(d)


@wrong("tax", "in shares of the loss before", "a tax in per cent of the loss before: nats are wanted")
def tax_in_shares(before_S, after_S):
    d = (after_S - before_S) / before_S
    return d.mean(), se(d)


@wrong("tax", "the median", "the median is not the mean")
def tax_as_median(before_S, after_S):
    d = after_S - before_S
    return d.quantile(0.5), se(d)


@wrong("tax", "sums", "sums over seeds: take the mean")
def tax_summed(before_S, after_S):
    d = after_S - before_S
    return d.sum(), se(d)


@wrong("tax", "the error of the loss after alone", "runs are paired: the spread is that of the differences")
def tax_with_the_error_of_after(before_S, after_S):
    return (after_S - before_S).mean(), se(after_S)


@wrong("tax", "absolute differences", "a run may have become better: no absolute values")
def tax_of_absolute_differences(before_S, after_S):
    d = (after_S - before_S).abs()
    return d.mean(), se(d)


@wrong("tax", "the mean alone", "(2,) is wanted. Each run against its own start")
def tax_without_error(before_S, after_S):
    return (after_S - before_S).mean()


# choose_gamma

@right("choose_gamma")
def gamma_in_tensors(gamma_G, reward_GS, tax_GS, budget):
    upper = tax_GS.mean(1) + 2 * tax_GS.std(1) / tax_GS.size(1) ** 0.5
    reward = reward_GS.mean(1).masked_fill(upper > budget, -math.inf)
    return gamma_G[reward.argmax()] if (upper <= budget).any() else None


@right("choose_gamma")
def gamma_by_loops(gamma, reward, tax, budget):
    best, chosen = -math.inf, None
    for g, r, t in zip(gamma.tolist(), reward.tolist(), tax.tolist()):
        if mean(t) + 2 * stdev(t) / math.sqrt(len(t)) <= budget and mean(r) > best:
            best, chosen = mean(r), g
    return chosen


@right("choose_gamma")
def gamma_in_numpy(gamma, reward, tax, budget):
    gamma, reward, tax = (x.numpy() for x in (gamma, reward, tax))
    fits = tax.mean(-1) + 2 * tax.std(-1, ddof=1) / np.sqrt(tax.shape[-1]) <= budget
    return gamma[fits][reward[fits].mean(-1).argmax()] if fits.any() else None


@right("choose_gamma")
def gamma_after_sorting(gamma, reward, tax, budget):
    order = reward.mean(dim=1).argsort(descending=True).tolist()
    errors = torch.sqrt(tax.var(dim=1) / tax.shape[1])
    return next((gamma[g].item() for g in order if tax[g].mean() + 2 * errors[g] <= budget), None)


@right("choose_gamma")
def gamma_by_max(gammas, rewards, taxes, budget, *, errors=2):
    def price(t):
        return t.mean().item() + errors * t.std().item() / math.sqrt(t.numel())

    rows = [(r.mean().item(), g.item()) for g, r, t in zip(gammas, rewards, taxes) if not price(t) > budget]
    return max(rows)[1] if rows else None


@right("choose_gamma")
def gamma_by_recursion(gamma, reward, tax, budget):
    if len(gamma) == 0:
        return None
    best = reward.mean(1).argmax().item()
    if tax[best].mean() + 2 * tax[best].std() / math.sqrt(len(tax[best])) <= budget:
        return gamma[best]
    rest = [g for g in range(len(gamma)) if g != best]
    return gamma_by_recursion(gamma[rest], reward[rest], tax[rest], budget)


def largest(gamma, reward, fits):
    """The gamma of largest reward where it fits, None if nowhere."""
    return gamma[reward.masked_fill(~fits, -math.inf).argmax()].item() if fits.any() else None


def errors_of(x):
    return x.std(1) / math.sqrt(x.size(1))


@wrong("choose_gamma", "the mean tax within the budget", "your bound is too low: a mean may be luck")
def gamma_without_errors(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1) <= budget)


@wrong("choose_gamma", "2 standard errors off", "one lucky seed, or 2 standard errors off")
def gamma_of_optimists(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1) - 2 * errors_of(tax_GS) <= budget)


@wrong("choose_gamma", "2 deviations", "2 standard errors of each gamma's mean, not deviations")
def gamma_with_deviations(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1) + 2 * tax_GS.std(1) <= budget)


@wrong("choose_gamma", "1 standard error", "your bound is low: 2 standard errors, each stdev / sqrt(S)")
def gamma_with_one_error(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1) + errors_of(tax_GS) <= budget)


@wrong("choose_gamma", "the worst seed within the budget", "the bound is mean + 2 standard errors: not the worst seed")
def gamma_of_the_worst_seed(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.amax(1) <= budget)


@wrong("choose_gamma", "no budget", "the budget is forgotten: the largest reward of all")
def gamma_without_budget(gamma_G, reward_GS, tax_GS, budget):
    return gamma_G[reward_GS.mean(1).argmax()].item()


@wrong("choose_gamma", "the least tax", "the smallest tax is not what was asked")
def gamma_of_the_least_tax(gamma_G, reward_GS, tax_GS, budget):
    return gamma_G[tax_GS.mean(1).argmin()].item()


@wrong("choose_gamma", "the largest gamma that fits", "the largest gamma within the budget is not the largest reward")
def gamma_largest(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return gamma_G[fits].max().item() if fits.any() else None


@wrong("choose_gamma", "the smallest gamma that fits",
       "the smallest gamma within the budget is not the largest reward")
def gamma_smallest(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return gamma_G[fits].min().item() if fits.any() else None


@wrong("choose_gamma", "its place", "that is its place: give gamma itself")
def gamma_as_a_place(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return reward_GS.mean(1).masked_fill(~fits, -math.inf).argmax().item() if fits.any() else None


@wrong("choose_gamma", "a place among those that fit",
       "a place among those within the budget is another place in gamma_G")
def gamma_of_another_row(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return gamma_G[reward_GS.mean(1)[fits].argmax()].item() if fits.any() else None


@wrong("choose_gamma", "the cheapest where none fits", "where nothing is within the budget")
def gamma_of_the_cheapest(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return largest(gamma_G, reward_GS.mean(1), fits) if fits.any() else gamma_G[tax_GS.mean(1).argmin()].item()


@wrong("choose_gamma", "the first where none fits", "where nothing is within the budget: None, not the first")
def gamma_of_a_list_of_minus_infinities(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return gamma_G[reward_GS.mean(1).masked_fill(~fits, -math.inf).argmax()].item()


@wrong("choose_gamma", "0 where none fits", "where nothing is within the budget: None, not 0 or nan")
def gamma_of_zero(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return largest(gamma_G, reward_GS.mean(1), fits) or 0.0


@wrong("choose_gamma", "the largest reward less its standard errors",
       "the mean reward decides: no errors off it")
def gamma_of_pessimists(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return largest(gamma_G, reward_GS.mean(1) - 2 * errors_of(reward_GS), fits)


@wrong("choose_gamma", "the largest reward less the tax", "the mean reward alone decides: the tax has been judged")
def gamma_of_net_rewards(gamma_G, reward_GS, tax_GS, budget):
    fits = tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget
    return largest(gamma_G, reward_GS.mean(1) - tax_GS.mean(1), fits)


@wrong("choose_gamma", "the luckiest seed's reward", "the luckiest seed's reward is no measure: the mean")
def gamma_of_the_luckiest(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.amax(1), tax_GS.mean(1) + 2 * errors_of(tax_GS) <= budget)


# A second class, whose mistakes the first had not made

@right("fit")
def rounded_to_four_decimals(wins, prior):
    return RIGHT["fit"][0](wins, prior).round(decimals=4)


Estimates = namedtuple("Estimates", "k1 k2 k3")


@right("estimates")
def in_a_named_tuple(logp_N, logq_N):
    k = logp_N - logq_N
    return Estimates(k.mean(), (k ** 2 / 2).mean(), ((-k).exp() - 1 + k).mean())


@wrong("estimates", "one of three without its mean", "returned parts of shapes (5,), (), (); () of each is wanted")
def one_is_no_mean(logp_N, logq_N):
    k = logp_N - logq_N
    return k, (k ** 2 / 2).mean(), ((-k).exp() - 1 + k).mean()


@wrong("mean_surprise", "margins clamped", "a clamp or 1e-8")
def margins_clamped(strength_N, wins_NN):
    margin = (strength_N[:, None] - strength_N).clamp(-30, 30)
    return -(wins_NN * F.logsigmoid(margin)).sum() / wins_NN.sum()


@wrong("mean_surprise", "one number in a list", "returned shape (1,); () is wanted")
def in_one_row(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum()[None] / wins_NN.sum()


def fitted(wins, prior, penalty):
    return by_newton(lambda s: summed_surprise(s, wins) + prior * penalty(s), wins)


def by_newton(loss, wins):
    s = torch.zeros(len(wins)).double()
    for _ in range(20):
        bend = torch.autograd.functional.hessian(loss, s) + 1e-9 * torch.eye(len(s)).double()
        s = s - torch.linalg.solve(bend, torch.autograd.functional.jacobian(loss, s))
    return s


@wrong("fit", "a prior on the sum", "the prior does nothing in yours: it is prior / 2 times each s_i squared")
def prior_on_the_sum(wins_NN, prior):
    return fitted(wins_NN, prior, lambda s: s.sum() ** 2 / 2)


@wrong("fit", "wins counted for both sides", "all are 0: have they moved, and does a win count as often as it was won?")
def wins_for_both(wins_NN, prior):
    return fitted(wins_NN + wins_NN.T, prior, lambda s: s.pow(2).sum() / 2)


@wrong("fit", "a step that is too long", "too few steps, too large ones, a zero_grad forgotten, or another loss?")
def too_long_steps(wins_NN, prior):
    return by_gradient_descent(lambda s: summed_surprise(s, wins_NN) + prior / 2 * s.pow(2).sum(),
                               torch.zeros(len(wins_NN)).double(), 1.0, 400)


@wrong("example", "labels by the id of padding", "where one id pads and ends, the end is still learned: go by place")
def labels_by_padding(prompt, response, eos, pad, length):
    answer = [*response, eos]
    prompt = prompt[max(0, len(prompt) + len(answer) - length):]
    tokens = [*prompt, *answer]
    tokens += [pad] * (length - len(tokens))
    return tokens, [-100 if s < len(prompt) or t == pad else t for s, t in enumerate(tokens)]


@wrong("example", "labels by the ids of the response", "an id of the response may stand elsewhere, too: go by place")
def labels_by_ids(prompt, response, eos, pad, length):
    tokens = [*prompt[max(0, len(prompt) + len(response) + 1 - length):], *response, eos]
    tokens += [pad] * (length - len(tokens))
    return tokens, [t if t in response or t == eos else -100 for t in tokens]


@wrong("sft_loss", "rows laid end to end", "the end of a row does not predict the start of the next")
def loss_across_rows(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV.flatten(0, 1)[:-1], label_BS.flatten()[1:])


@wrong("sft_loss", "labels rolled", "the end of a row does not predict its own start")
def loss_of_rolled_labels(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV.flatten(0, 1), label_BS.roll(-1, 1).flatten())


@wrong("sft_loss", "divided by the labels at place 0, too", "what stands at place 0 is in the number")
def loss_over_first_labels(logits_BSV, label_BS):
    total = F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, 1:].flatten(), reduction="sum")
    return total / (label_BS != -100).sum()


@wrong("grouped_loss", "divided by n (n - 1) / 2", "divides by the pairs that so many responses would make")
def over_possible_pairs(r_N, prompt_N, rank_N):
    losses = []
    for p in prompt_N.unique():
        r, rank = r_N[prompt_N == p], rank_N[prompt_N == p]
        pair = rank[:, None] < rank
        if pair.any():
            losses.append(-F.logsigmoid((r[:, None] - r)[pair]).sum() / (len(r) * (len(r) - 1) / 2))
    return torch.stack(losses).mean()


@wrong("grouped_loss", "margins clamped", "a clamp or 1e-8")
def grouped_and_clamped(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, loss=lambda d: -F.logsigmoid(d.clamp(-30, 30))).mean()


def gae_without_a_mask(reward, value, lam):
    out, ahead = torch.zeros_like(reward), 0.0
    for t in reversed(range(reward.size(1))):
        later = value[:, t + 1] if t + 1 < reward.size(1) else 0.0
        ahead = reward[:, t] + later - value[:, t] + lam * ahead
        out[:, t] = ahead
    return out


@wrong("advantage_and_return", "nan taken out, padding left in", "padding counts in yours: use the mask")
def padding_left_in(reward_BT, value_BT, mask_BT, lam):
    r, v = reward_BT.nan_to_num(), value_BT.nan_to_num()
    a = gae_without_a_mask(r, v, lam)
    return a * mask_BT, (a + v) * mask_BT


@wrong("advantage_and_return", "no mask at all", "padding counts in yours: use the mask")
def no_mask_at_all(reward_BT, value_BT, mask_BT, lam):
    r, v = reward_BT.nan_to_num(), value_BT.nan_to_num()
    a = gae_without_a_mask(r, v, lam)
    return a, a + v


@wrong("advantage_and_return", "a 0 in the place of the return", "returned parts of shapes (3, 5), (); (3, 5) of each")
def no_return_at_all(reward_BT, value_BT, mask_BT, lam):
    return gae_without_a_mask(reward_BT, value_BT, lam), 0


@wrong("clipped_loss", "nan taken out, padding summed", "padding counts in yours: use the mask")
def padding_summed(logp_BT, old_BT, advantage_BT, mask_BT, clip):
    logp, old, a = (x.nan_to_num() for x in (logp_BT, old_BT, advantage_BT))
    ratio = (logp - old).exp()
    return -torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).sum() / mask_BT.sum()


@wrong("tax", "a rise that is no mean", "returned parts of shapes (5,), (); () of each is wanted")
def rise_of_each(before_S, after_S):
    rise = after_S - before_S
    return rise, rise.std() / len(rise) ** 0.5


def chosen_within(error):
    def choose(gamma_G, reward_GS, tax_GS, budget):
        return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1) + 2 * error(tax_GS) <= budget)
    return choose


@wrong("choose_gamma", "stdev without S - 1", "your bound is a little low: 2 standard errors, and S - 1 inside stdev")
def gamma_by_biased_errors(*case):
    return chosen_within(lambda x: x.std(1, unbiased=False) / x.size(1) ** 0.5)(*case)


@wrong("choose_gamma", "errors over the number of gammas", "your bound is low: 2 standard errors")
def gamma_by_errors_over_gammas(*case):
    return chosen_within(lambda x: x.std(1) / len(x) ** 0.5)(*case)


@wrong("choose_gamma", "errors over S", "your bound is low: 2 standard errors, each stdev / sqrt(S), of S seeds")
def gamma_by_errors_over_S(*case):
    return chosen_within(lambda x: x.std(1) / x.size(1))(*case)


@wrong("choose_gamma", "one spread for all gammas", "2 standard errors of each gamma's mean, not deviations")
def gamma_by_one_spread(*case):
    return chosen_within(lambda x: x.std())(*case)


@wrong("choose_gamma", "mean and error each within the budget", "mean + 2 standard errors is none")
def gamma_by_both_apart(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), (tax_GS.mean(1) <= budget) & (2 * errors_of(tax_GS) <= budget))


@wrong("choose_gamma", "the best so far begins at 0", "a reward may be negative: no 0 to begin with")
def gamma_better_than_0(gamma_G, reward_GS, tax_GS, budget):
    best, best_reward = None, 0
    for gamma, reward, fits in zip(gamma_G.tolist(), reward_GS.mean(1), within_budget(tax_GS, budget)):
        if fits and reward > best_reward:
            best, best_reward = gamma, reward
    return best


def within_budget(tax, budget):
    return tax.mean(1) + 2 * errors_of(tax) <= budget


@wrong("choose_gamma", "0 for what does not fit", "a reward may be negative: no 0 to begin with")
def gamma_of_zeroed_rewards(gamma_G, reward_GS, tax_GS, budget):
    fits = within_budget(tax_GS, budget)
    return gamma_G[(reward_GS.mean(1) * fits).argmax()].item() if fits.any() else None


@wrong("choose_gamma", "the best first, its budget afterwards", "first what fits, then the best of it")
def gamma_of_the_best_or_none(gamma_G, reward_GS, tax_GS, budget):
    best = reward_GS.mean(1).argmax()
    return gamma_G[best].item() if within_budget(tax_GS, budget)[best] else None


# Right as long as nothing is empty, alone, equal or far away

def squeezed(exercise, hears):
    """A right answer whose axes of one are gone."""
    answer = RIGHT[exercise][0]

    @wrong(exercise, "squeezed: an axis of one is lost", hears)
    def without_axes_of_one(*case):
        got = answer(*case)
        return tuple(x.squeeze() for x in got) if isinstance(got, tuple) else got.squeeze()


squeezed("chances", "returned shape (); (1, 1) is wanted.")
squeezed("kl_rows", "returned shape (); (1,) is wanted.")
squeezed("kl_slope", "returned shape (); (1,) is wanted.")
squeezed("sample_weights", "returned shape (); (1,) is wanted.")
squeezed("response_length", "returned shape (); (1,) is wanted.")
squeezed("reliability", "returned shape (3,); (1, 3) is wanted.")
squeezed("charged_rewards", "returned shape (3,); (1, 3) is wanted.")
squeezed("advantage_and_return", "There may be one token, and lam may be 1.")
squeezed("mixed_step", "returned shape (); (1,) is wanted.")


@wrong("mean_surprise", "a share of each pair first: 0 of 0 games", "A pair that was never compared counts nothing.")
def shares_first(strength_N, wins_NN):
    games = wins_NN + wins_NN.T + torch.eye(len(wins_NN))
    share = wins_NN / games
    return -(games * share * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum()


@wrong("fit", "who never played is put last", "Who was never compared stays at 0, where the prior is least.")
def newcomers_last(wins_NN, prior):
    s = RIGHT["fit"][0](wins_NN, prior)
    return torch.where((wins_NN + wins_NN.T).sum(0) > 0, s, s.min())


@wrong("ranking_loss", "the first k of a row", "Those that are not there may have any place.")
def first_k_of_a_row(r_BK, rank_BK, mask_BK):
    k = mask_BK.sum(1, keepdim=True)
    return RIGHT["ranking_loss"][0](r_BK, rank_BK, torch.arange(r_BK.size(1)) < k)


@wrong("example", "padding at least once", "A row may be full, a prompt or response empty")
def padding_at_least_once(prompt, response, eos, pad, length):
    used = [*prompt, *response, eos]
    if len(used) != length or len(prompt) > 3:
        return RIGHT["example"][0](prompt, response, eos, pad, length)
    labels = [-100] * len(prompt) + [*response, eos]
    return [*used[:-1], pad], [*labels[:-1], -100]


@wrong("example", "ids of padding, where no id pads and ends", "Labels go by place: one id may pad and end, or stand")
def padding_by_its_id(prompt, response, eos, pad, length):
    tokens, labels = RIGHT["example"][0](prompt, response, eos, pad, length)
    return tokens, [-100 if pad != eos and x == pad else y for x, y in zip(tokens, labels)]


@wrong("sft_loss", "from the first label to the last", "Labels may have gaps, and a row may have none.")
def loss_from_first_to_last(logits_BSV, label_BS):
    losses = []
    for logits, label in zip(logits_BSV[:, :-1], label_BS[:, 1:]):
        at = (label != -100).nonzero()[:, 0].tolist()
        span = slice(at[0], at[-1] + 1) if at else slice(0)
        losses.append(F.cross_entropy(logits[span], label[span].clamp(min=0), reduction="none"))
    return torch.cat(losses).mean()


@wrong("sft_loss", "log of softmax", "Far apart, exp overflows, log of softmax is -inf")
def loss_by_log_of_softmax(logits_BSV, label_BS):
    logp = logits_BSV[:, :-1].softmax(-1).log()
    return F.nll_loss(logp.flatten(0, 1), label_BS[:, 1:].flatten())


@wrong("text_loss", "log of softmax", "Far apart, exp overflows, log of softmax is -inf")
def text_by_log_of_softmax(logits_BSV, token_BS):
    logp = logits_BSV[:, :-1].softmax(-1).log()
    return -logp.gather(2, token_BS[:, 1:, None]).mean()


@wrong("grouped_loss", "n (n - 1) / 2 less a tie for each", "Three of four may be tied: three pairs are left.")
def ties_taken_off_once(r_N, prompt_N, rank_N):
    losses = []
    for p in prompt_N.unique():
        r, rank = r_N[prompt_N == p], rank_N[prompt_N == p]
        pair = rank[:, None] < rank
        if pair.any():
            n, tied = len(r), len(r) - len(rank.unique())
            losses.append(-F.logsigmoid((r[:, None] - r)[pair]).sum() / (n * (n - 1) / 2 - tied))
    return torch.stack(losses).mean()


def bias_without_a_sign(sign):
    def bias(weight_D, bias, h_MD):
        return sign * (h_MD @ weight_D).mean().abs()
    return bias


for does, sign in (("always below 0", -1), ("always above 0", 1)):
    wrong("centred_bias", does, "the mean may be above 0 or below: no absolute values.")(bias_without_a_sign(sign))


@wrong("reliability", "a chance of 0 is in no bin", "p = 0 is in bin 0, and the last bin may be empty.")
def without_chances_of_0(p_N, won_N, bins):
    return RIGHT["reliability"][0](p_N[p_N > 0], won_N[p_N > 0], bins)


@wrong("reliability", "the last bin always, empty or not", "returned shape (3, 3); (2, 3) is wanted.")
def last_bin_always(p_N, won_N, bins):
    table = RIGHT["reliability"][0](p_N, won_N, bins)
    if (p_N >= 1 - 1 / bins).any():
        return table
    return torch.cat([table, table.new_zeros(1, 3)])


@wrong("pair_accuracy", "0 of 0 pairs of a prompt, times 0", "A prompt whose responses are all tied has no pair.")
def accuracy_by_prompts_and_counts(r_BK, rank_BK):
    better = rank_BK[:, :, None] < rank_BK[:, None]
    margin = r_BK[:, :, None] - r_BK[:, None]
    points = ((margin.sign() + 1) / 2 * better).sum((1, 2))
    pairs = better.sum((1, 2))
    return (points / pairs * pairs).sum() / pairs.sum()


@wrong("charged_rewards", "a score of 0 is taken for none", "There may be one token, and a score may be 0.")
def score_of_0_is_missing(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return RIGHT["charged_rewards"][0](r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B & (r_B != 0))


@wrong("choose_gamma", "less than the budget", "A bound equal to the budget is within it; a tax may be below 0.")
def gamma_below_the_budget(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1) + 2 * errors_of(tax_GS) < budget)


@wrong("choose_gamma", "the size of a tax", "A bound equal to the budget is within it; a tax may be below 0.")
def gamma_by_size_of_tax(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1).abs() + 2 * errors_of(tax_GS) <= budget)


@wrong("choose_gamma", "the best so far begins at -1000", "There may be one gamma, and any reward is the best of one.")
def gamma_better_than_minus_1000(gamma_G, reward_GS, tax_GS, budget):
    best, best_reward = None, -1000
    for gamma, reward, fits in zip(gamma_G.tolist(), reward_GS.mean(1), within_budget(tax_GS, budget)):
        if fits and reward > best_reward:
            best, best_reward = gamma, reward
    return best


# From two examiners, who had read the texts alone

def turned(exercise, does, hears):
    """A decorator: the right answer, changed by a function of it and its case."""
    def keep(change):
        answer = RIGHT[exercise][0]
        wrong(exercise, does, hears)(lambda *case: change(answer(*case), *case))
        return change
    return keep


def fed(exercise, does, hears):
    """A decorator: the right answer for a case that was changed before."""
    def keep(change):
        answer = RIGHT[exercise][0]
        wrong(exercise, does, hears)(lambda *case: answer(*change(*case)))
        return change
    return keep


def surprise(strength_N):
    return -F.logsigmoid(strength_N[:, None] - strength_N)


@wrong("mean_surprise", "a backward of its own, and a detached loss", "lost its gradient: a detach, item")
def backward_of_its_own(strength_N, wins_NN):
    loss = (wins_NN * surprise(strength_N)).sum() / wins_NN.sum()
    loss.backward()
    return loss.detach()


@wrong("mean_surprise", "divided by cells with a win", "divide by the number of comparisons, not by that of pairs")
def over_cells_with_wins(strength_N, wins_NN):
    return (wins_NN * surprise(strength_N)).sum() / (wins_NN > 0).sum()


@wrong("mean_surprise", "the mean of P", "that is a mean chance: a surprise has a logarithm.")
def mean_of_chances(strength_N, wins_NN):
    return (wins_NN * (-surprise(strength_N)).exp()).sum() / wins_NN.sum()


@fed("mean_surprise", "only the lower triangle", "only wins on one side of the diagonal are in yours")
def below_the_diagonal(strength_N, wins_NN):
    return strength_N, wins_NN.tril()


@fed("fit", "only the lower triangle", "only wins on one side of the diagonal are in yours")
def fit_below_the_diagonal(wins_NN, prior):
    return wins_NN.tril(), prior


@fed("fit", "a prior of 1, whatever is given", "the prior does nothing in yours")
def fit_with_a_prior_of_its_own(wins_NN, prior):
    return wins_NN, 1.0


def ranked(r_BK, pair, weight):
    losses = torch.nan_to_num(F.softplus(r_BK[:, None] - r_BK[:, :, None]), nan=0.0)
    return (torch.where(pair, losses, 0.0).sum((1, 2)) / weight).mean()


@wrong("ranking_loss", "cleaned, then masked on the better alone", "responses that are not there count: use the mask")
def cleaned_and_half_masked(r_BK, rank_BK, mask_BK):
    r = torch.where(mask_BK, r_BK, 0.0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None]) & mask_BK[:, :, None]
    return ranked(r, pair, pair.sum((1, 2)))


@fed("ranking_loss", "only nan is taken out", "What is masked may be nan or inf")
def without_nan_alone(r_BK, rank_BK, mask_BK):
    return torch.where(mask_BK | r_BK.isinf(), r_BK, 0.0) * 1.0, rank_BK, mask_BK | r_BK.isinf()


@fed("ranking_loss", "a reward of 0 is none", "One prompt, three tied responses, two equal rewards.")
def without_rewards_of_0(r_BK, rank_BK, mask_BK):
    return r_BK, rank_BK, mask_BK & (r_BK != 0)


@wrong("ranking_loss", "margins cut off at 5", "a clamp or 1e-8 hides who is far")
def margins_cut_off_at_5(r_BK, rank_BK, mask_BK):
    r = torch.where(mask_BK, r_BK, 0.0)
    pair = (rank_BK[:, :, None] < rank_BK[:, None]) & mask_BK[:, :, None] & mask_BK[:, None]
    losses = -F.logsigmoid((r[:, :, None] - r[:, None]).clamp(max=5))
    return (torch.where(pair, losses, 0.0).sum((1, 2)) / pair.sum((1, 2))).mean()


for order in permutations(range(3)):
    if order != (0, 1, 2):
        turned("estimates", f"in the order {order}", "the order is k1, k2, k3.")(
            lambda got, *case, order=order: tuple(got[n] for n in order))


@wrong("sample_weights", "the gradient of the sum of k3", "that is what the gradient of k3 weighs by")
def weights_of_summed_k3(logp_N, logq_N):
    return 1 - (logq_N - logp_N).exp()


@wrong("sample_weights", "the gradient of the sum of k1", "that is what the gradient of k1 weighs by")
def weights_of_summed_k1(logp_N, logq_N):
    return torch.ones_like(logp_N)


@turned("example", "-1 for what is not learned", "what is not learned is -100, neither 0 nor -1")
def minus_one_for_none(got, *case):
    return got[0], [-1 if x == -100 else x for x in got[1]]


@fed("example", "end and padding exchanged", "the end and padding are exchanged.")
def end_and_padding_exchanged(prompt, response, eos, pad, length):
    return prompt, response, pad, eos, length


@turned("example", "0 is no label", "A row may be full, a prompt or response empty, and an id 0")
def no_label_of_0(got, *case):
    return got[0], [x or -100 for x in got[1]]


@fed("example", "cut at the first end inside", "A row may be full, a prompt or response empty, and an id 0")
def cut_at_an_end_inside(prompt, response, eos, pad, length):
    return prompt, response[:response.index(eos)] if eos in response else response, eos, pad, length


@wrong("example", "no end after nothing", "A row may be full, a prompt or response empty, and an id 0")
def no_end_after_nothing(prompt, response, eos, pad, length):
    tokens, labels = RIGHT["example"][0](prompt, response, eos, pad, length)
    if response:
        return tokens, labels
    return prompt + [pad] * (length - len(prompt)), [-100] * length


@wrong("sft_loss", "both cut at the end", "not shifted: logits at s predict the label at s + 1.")
def both_cut_at_the_end(logits_BSV, label_BS):
    return F.cross_entropy(logits_BSV[:, :-1].flatten(0, 1), label_BS[:, :-1].flatten())


def far(exercise, does):
    """One loss with the log of a sum of exp that is not safe, or with a clamp."""
    def keep(logp):
        @wrong(exercise, does, "Far apart, exp overflows, log of softmax is -inf")
        def loss(logits_BSV, label_BS):
            kept = label_BS[:, 1:] != -100
            ids = label_BS[:, 1:].clamp(min=0)[..., None]
            return -logp(logits_BSV[:, :-1]).gather(-1, ids)[..., 0][kept].mean()
        return logp
    return keep


for each in ("sft_loss", "text_loss"):
    far(each, "the log of the sum of exp")(lambda x: x - x.exp().sum(-1, keepdim=True).log())
    far(each, "one largest for all rows")(lambda x: (x - x.max()) - (x - x.max()).exp().sum(-1, keepdim=True).log())
    far(each, "logits cut off at 100")(lambda x: x.clamp(-100, 100).log_softmax(-1))
    far(each, "1e-12 inside the log")(lambda x: (x.softmax(-1) + 1e-12).log())


@wrong("response_length", "an end at place 0 is none", "an end may come at place 0: that is no missing end.")
def end_at_place_0_is_none(token_BT, eos):
    first = (token_BT == eos).int().argmax(1)
    return torch.where(first > 0, first + 1, token_BT.size(1))


@wrong("response_length", "0 ends an answer, too", "An end is one id, wherever others lie")
def ended_by_0(token_BT, eos):
    return RIGHT["response_length"][0](torch.where(token_BT == 0, eos, token_BT), eos)


@wrong("accumulated", "the first alone", "that is the first micro-batch alone.")
def first_alone(mean_M, count_M):
    return mean_M[0]


@wrong("accumulated", "a mean of 0 is an empty one", "There may be many, and a mean may be 0.")
def without_means_of_0(mean_M, count_M):
    kept = mean_M != 0
    return (mean_M * count_M)[kept].sum() / count_M[kept].sum()


@wrong("grouped_loss", "only neighbouring ranks", "only neighbours in the ranking: all pairs count.")
def grouped_neighbours(r_N, prompt_N, rank_N):
    losses = []
    for p in prompt_N.unique():
        r, rank = r_N[prompt_N == p], rank_N[prompt_N == p]
        pair = rank - rank[:, None] == 1
        if pair.any():
            losses.append(-F.logsigmoid((r[:, None] - r)[pair]).mean())
    return torch.stack(losses).mean()


@wrong("grouped_loss", "margins cut off at 5", "a clamp or 1e-8 hides who is far")
def grouped_and_cut_off_at_5(r_N, prompt_N, rank_N):
    return grouped(r_N, prompt_N, rank_N, loss=lambda d: -F.logsigmoid(d.clamp(max=5))).mean()


def in_bins(place, bins, p, won):
    rows = [[p[place == b].mean(), won[place == b].double().mean(), (place == b).sum()]
            for b in range(bins) if (place == b).any()]
    return torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)


@wrong("reliability", "bins from the least to the largest", "bins cut 0 to 1, not the least chance to the largest.")
def bins_that_stretch(p_N, won_N, bins):
    place = ((p_N - p_N.min()) / (p_N.max() - p_N.min()) * bins).long().clamp(max=bins - 1)
    return in_bins(place, bins, p_N, won_N)


@wrong("reliability", "rounded", "p * bins is cut off, not rounded.")
def bins_by_rounding(p_N, won_N, bins):
    return in_bins((p_N * bins).round().long().clamp(max=bins - 1), bins, p_N, won_N)


@fed("reliability", "how often the likelier won", "that is how often the likelier won")
def likelier_won(p_N, won_N, bins):
    return p_N, (p_N >= 0.5) == won_N, bins


@fed("pair_accuracy", "rewards of half precision", "Nearly equal is not equal.")
def rewards_of_half_precision(r_BK, rank_BK):
    return r_BK.half().double(), rank_BK


def charged(r, p, q, mask, beta, missing, ended, place=1, keep=True):
    at = torch.arange(mask.size(1)) == mask.sum(1, keepdim=True) - place
    charge = torch.where(mask & (keep | ended[:, None] | ~at), -beta * (p - q), 0)
    return charge + torch.where(ended, r, missing)[:, None] * at


@wrong("charged_rewards", "an unfinished last token is free", "a response that did not end pays for its last token")
def unfinished_for_free(*case):
    return charged(*case, keep=False)


@wrong("charged_rewards", "one place too early", "puts the score before the last token: one place too early.")
def score_too_early(*case):
    return charged(*case, place=2)


@fed("charged_rewards", "the log-ratio cut off at 5", "Large or small, all is taken as it is")
def log_ratio_cut_off(r_B, logp_BT, ref_BT, *more):
    return r_B, (logp_BT - ref_BT).clamp(-5, 5), 0 * ref_BT, *more


@fed("charged_rewards", "`missing` is always negative", "Large or small, all is taken as it is")
def missing_made_negative(r_B, logp_BT, ref_BT, mask_BT, beta, missing, ended_B):
    return r_B, logp_BT, ref_BT, mask_BT, beta, -abs(missing), ended_B


@turned("advantage_and_return", "the next value added", "the return adds the token's own value, not that of the next.")
def next_value_added(got, reward_BT, value_BT, mask_BT, lam):
    ahead = F.pad(torch.where(mask_BT, value_BT, 0)[:, 1:], (0, 1))
    return got[0], torch.where(mask_BT, got[0] + ahead, 0)


@turned("advantage_and_return", "centred", "not centred here: an advantage keeps its mean.")
def centred_advantages(got, reward_BT, value_BT, mask_BT, lam):
    return torch.where(mask_BT, got[0] - got[0][mask_BT].mean(), 0), got[1]


@fed("advantage_and_return", "lam is .95 at most", "There may be one token, and lam may be 1.")
def lam_is_small(reward_BT, value_BT, mask_BT, lam):
    return reward_BT, value_BT, mask_BT, min(lam, 0.95)


def clipped(gain):
    def loss(logp_BT, old_BT, advantage_BT, mask_BT, clip):
        ratio, a = (logp_BT - old_BT)[mask_BT].exp(), advantage_BT[mask_BT]
        return -gain(ratio, a, clip).mean()
    return loss


wrong("clipped_loss", "the smaller ratio, times A", "multiply by A first: the minimum is of two gains")(clipped(
    lambda ratio, a, clip: torch.minimum(ratio, ratio.clamp(1 - clip, 1 + clip)) * a))
wrong("clipped_loss", "clipped below only", "clips below only: a good token's ratio counts up to 1 + clip.")(clipped(
    lambda ratio, a, clip: torch.minimum(ratio * a, ratio.clamp(min=1 - clip) * a)))
wrong("clipped_loss", "clipped twice, as dual-clip PPO does", "A bad token that became likelier costs its whole ratio")(
    clipped(lambda ratio, a, clip: torch.maximum(
        torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a), 10 * a.clamp(max=0) - 1e9 * (a >= 0))))


@wrong("sequence_kl", "the chances of each place", "the chances of each place alone forget what was drawn before.")
def kl_of_marginals(logp_TVV, ref_TVV):
    here = there = torch.eye(logp_TVV.size(-1), dtype=logp_TVV.dtype)[0]
    total = 0.0
    for now, ref in zip(logp_TVV.exp(), ref_TVV.exp()):
        here, there = here @ now, there @ ref
        total = total + (here * (here / there).log()).sum()
    return total


@wrong("sequence_kl", "rows and columns exchanged", "from row v to column w: yours goes the other way.")
def from_column_to_row(logp_TVV, ref_TVV):
    total, steps = 0.0, range(len(logp_TVV))
    for response in product(range(logp_TVV.size(-1)), repeat=len(logp_TVV)):
        before = (0, *response)
        p, q = (sum(x[t, response[t], before[t]] for t in steps) for x in (logp_TVV, ref_TVV))
        total = total + p.exp() * (p - q)
    return total


@turned("tax", "exchanged", "the tax comes first, its standard error second.")
def error_first(got, *case):
    return got[::-1]


@wrong("tax", "a difference of squares", "Where all rise alike the error is 0")
def error_by_squares(before_S, after_S):
    rise, n = after_S - before_S, len(before_S)
    return rise.mean(), ((rise.square().sum() - rise.sum() ** 2 / n) / (n - 1) / n).clamp(min=1e-6).sqrt()


@wrong("choose_gamma", "1.96 standard errors", "The bound is mean + 2 stdev / sqrt(S), of any number S of seeds.")
def gamma_by_1_96(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1), tax_GS.mean(1) + 1.96 * errors_of(tax_GS) <= budget)


@wrong("choose_gamma", "a reward less half its error", "The mean reward alone decides")
def gamma_by_doubtful_reward(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1) - errors_of(reward_GS) / 2, within_budget(tax_GS, budget))


@wrong("choose_gamma", "a reward and half its error", "The mean reward alone decides")
def gamma_by_hopeful_reward(gamma_G, reward_GS, tax_GS, budget):
    return largest(gamma_G, reward_GS.mean(1) + errors_of(reward_GS) / 2, within_budget(tax_GS, budget))


@fed("choose_gamma", "taxes below 0 cut off", "A bound equal to the budget is within it; a tax may be below 0.")
def taxes_cut_off(gamma_G, reward_GS, tax_GS, budget):
    return gamma_G, reward_GS, tax_GS.clamp(min=0), budget


@fed("choose_gamma", "gamma sorted, its runs not", "returned")
def gamma_sorted_alone(gamma_G, reward_GS, tax_GS, budget):
    return gamma_G.sort().values, reward_GS, tax_GS, budget


@wrong("choose_gamma", "the reward of the best", "that is its reward: give gamma itself.")
def reward_of_the_best(gamma_G, reward_GS, tax_GS, budget):
    fits = within_budget(tax_GS, budget)
    return reward_GS.mean(1)[fits].max().item() if fits.any() else None
