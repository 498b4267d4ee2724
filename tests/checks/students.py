"""What a class hands in: right answers of every form, and wrong ones with what each should hear.

Each is a student's own code, from the docstring of the exercise alone. A wrong answer has a name for what it does,
and a piece of the sentence that its author is to read.
"""

import math
from collections import defaultdict
from functools import partial
from itertools import combinations, permutations, takewhile
from statistics import mean

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


@wrong("chances", "a ratio of exponentials that overflow", "Far apart, exp overflows: use sigmoid")
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
       "Far apart, log(sigmoid) is -inf, and adding 1e-8 hides it")
def surprise_that_overflows(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N)
    return -(wins_NN * torch.log(p)).sum() / wins_NN.sum()


@wrong("mean_surprise", "a small number added inside the log",
       "Far apart, log(sigmoid) is -inf, and adding 1e-8 hides it")
def surprise_with_a_small_number(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N)
    return -(wins_NN * torch.log(p + 1e-8)).sum() / wins_NN.sum()


@wrong("mean_surprise", "P clamped before the log", "Far apart, log(sigmoid) is -inf, and adding 1e-8 hides it")
def surprise_clamped(strength_N, wins_NN):
    p = torch.sigmoid(strength_N[:, None] - strength_N).clamp(1e-12, 1)
    return -(wins_NN * torch.log(p)).sum() / wins_NN.sum()


@wrong("mean_surprise", "wins read as losses", "the winner's strength comes first")
def surprise_of_losses(strength_N, wins_NN):
    return -(wins_NN * F.logsigmoid(strength_N - strength_N[:, None])).sum() / wins_NN.sum()


@wrong("mean_surprise", "without the minus", "negative: a surprise is minus the logarithm")
def surprise_without_minus(strength_N, wins_NN):
    return (wins_NN * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum()


@wrong("mean_surprise", "item() on the way", "lost its gradient: is there a detach, item or tolist?")
def surprise_as_a_number(strength_N, wins_NN):
    p = F.logsigmoid(strength_N[:, None] - strength_N)
    return torch.tensor(sum(-wins_NN[i, j].item() * p[i, j].item() for i in range(len(p)) for j in range(len(p)))
                        / wins_NN.sum().item())


@wrong("mean_surprise", "a detached P", "lost its gradient: is there a detach, item or tolist?")
def surprise_detached(strength_N, wins_NN):
    logp = F.logsigmoid(strength_N[:, None] - strength_N).detach()
    return -(wins_NN * logp).sum() / wins_NN.sum()


@wrong("mean_surprise", "a Python float", "a tensor is wanted. Every comparison counts once")
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


@wrong("mean_surprise", "only the upper triangle", "only wins above the diagonal are in yours")
def surprise_above_the_diagonal(strength_N, wins_NN):
    upper = torch.triu(wins_NN, diagonal=1)
    return -(upper * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / upper.sum()


@wrong("mean_surprise", "the upper triangle, divided by all", "only wins above the diagonal are in yours")
def surprise_above_the_diagonal_over_all(strength_N, wins_NN):
    upper = torch.triu(wins_NN, diagonal=1)
    return -(upper * F.logsigmoid(strength_N[:, None] - strength_N)).sum() / wins_NN.sum()


@wrong("mean_surprise", "1 - P instead of -log P", "that is the chance of the other outcome")
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


@wrong("fit", "no prior", "the prior is missing")
def fit_without_prior(wins_NN, prior):
    s = by_gradient_descent(lambda s: summed_surprise(s, wins_NN), torch.zeros(len(wins_NN)).double(), 0.05, 400)
    return s - s.mean()


@wrong("fit", "the prior without its half", "the prior is halved")
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


@wrong("fit", "50 steps of a small learning rate", "The minimum to three digits")
def fit_stopped_early(wins_NN, prior):
    return by_gradient_descent(lambda s: summed_surprise(s, wins_NN) + prior / 2 * (s ** 2).sum(),
                               torch.zeros(len(wins_NN)).double(), 1e-3, 50)


@wrong("fit", "Adam, 100 steps of its default learning rate", "The minimum to three digits")
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


@wrong("fit", "only the upper triangle", "only wins above the diagonal are in yours")
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


@wrong("ranking_loss", "log of a sigmoid that underflows", "Far apart, log(sigmoid) is -inf: use logsigmoid")
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


@wrong("estimates", "k2 and k3 exchanged", "a trap: the three in the order k1, k2, k3")
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


@wrong("kl_slope", "not weighed by p", "p is missing: p (log p/q - KL)")
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


@wrong("sample_weights", "ratios without log", "that is the ratio p/q: its logarithm is the weight")
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


@wrong("sample_weights", "one number", "(4,) is wanted. The score function")
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


@wrong("example", "0 for what is not learned", "0 is a token: what is not learned is -100")
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


@wrong("sft_loss", "detached", "lost its gradient: is there a detach, item or tolist?")
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


@wrong("response_length", "one length for the batch", "a tensor is wanted. Up to the first end, the end included")
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


