"""Checks of a student's own functions about choices: a pair, a ranking, a game.

The usual mistakes are written out as functions: an answer that agrees with one on all
cases is told which. Any other wrong answer hears what its first failing case is about.
"""

import math
from collections.abc import Callable
from statistics import fmean

import torch

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.grading import Mistakes, hold, tensor


def check_preference_probability(student: Callable) -> None:
    """P(first > second) from two rewards of equal shape."""
    def chance(first: torch.Tensor, second: torch.Tensor) -> list[float]:
        return [*map(oracles.sigmoid, first - second)]

    hold(student, chance, [
        ("Equal rewards: nobody knows.", (tensor([2.0]), tensor([2.0]))),
        ("Only the difference counts: 3:1 odds at log 3.",
         (tensor([math.log(3), 5.0]), tensor([0.0, 7.0])))], {
        "That is the chance of the second: first less second.":
            lambda first, second: torch.sigmoid(second - first),
        "That is the difference: the logistic function makes a chance of it.":
            lambda first, second: first - second,
        "Rewards are logarithms of tickets: p = exp(s).":
            lambda first, second: first / (first + second),
        "That is its logarithm: leave log out.":
            lambda first, second: (first - second).sigmoid().log(),
        "That is the odds: p / (1 - p) is not yet p.":
            lambda first, second: (first - second).exp(),
        "That is who is ahead: a choice is a matter of chance.":
            lambda first, second: (first > second).double(),
        "That is Thurstone's normal noise: Bradley-Terry's is logistic.":
            lambda first, second: torch.special.ndtr(first - second),
        "That runs from -1 to 1: tanh is not the logistic function.":
            lambda first, second: torch.tanh(first - second),
        "Each by itself has no chance: one sigmoid of the difference.":
            lambda first, second: first.sigmoid() - second.sigmoid()})
    hold(student, chance, [
        ("Far apart, exp overflows: use sigmoid.",
         (tensor([800.0, -800.0]), tensor([-800.0, 800.0])))])


def check_reward_loss(student: Callable) -> None:
    """Eq. (1) from r_BK and rank_BK."""
    ranks = torch.tensor
    hold(student, oracles.reward_loss, [
        ("One pair: -log sigmoid(r_w - r_l), and rank 1 is the best.",
         (tensor([[1.0, 0.0]]), ranks([[1, 2]])))], {
        "That is negative: a surprise is minus the logarithm.":
            lambda r, rank: -_surprise(r),
        "That is the chance of the wrong order: a surprise has a logarithm.":
            lambda r, rank: 1 - torch.exp(-_surprise(r)),
        "That is the chance of the right order: take minus its logarithm.":
            lambda r, rank: torch.exp(-_surprise(r)),
        "That is the margin: the loss is -log sigmoid of it.":
            lambda r, rank: r[0, 0] - r[0, 1]}, gradient_in=0)
    hold(student, oracles.reward_loss, [
        ("The better response may be the second.",
         (tensor([[1.0, 0.0]]), ranks([[2, 1]]))),
        ("K = 4 makes six pairs; take their mean.",
         (tensor([[2.0, 1.0, 0.0, -1.0]]), ranks([[1, 2, 3, 4]]))),
        ("A tie makes no pair and does not count in the mean.",
         (tensor([[2.0, 1.0, 0.5]]), ranks([[1, 1, 2]]))),
        ("Average inside each prompt first, then over prompts.",
         (tensor([[2.0, 1.0, 0.5], [0.0, 3.0, 1.0]]), ranks([[1, 1, 2], [1, 2, 3]]))),
        ("Far apart, log(sigmoid) is -inf: use logsigmoid.",
         (tensor([[-1000.0, 1000.0]]), ranks([[1, 2]])))], gradient_in=0)


def check_push(student: Callable) -> None:
    """d loss / d r_w of single pairs, from the rewards of winners and losers."""
    def push(w: torch.Tensor, l: torch.Tensor) -> list[float]:
        return [-oracles.sigmoid(x) for x in (l - w).tolist()]

    hold(student, push, [
        ("At a margin of 0 the push is one half.", (tensor([1.0]), tensor([1.0]))),
        ("A wrong pair is pushed by nearly 1, a settled one hardly.",
         (tensor([1.2, -0.3, 0.0]), tensor([-0.4, 0.5, 3.0])))], {
        "That is for the loser: a step against the gradient must raise the winner.":
            lambda w, l: torch.sigmoid(l - w),
        "That grows as the pair is settled: the chance of the other outcome pushes.":
            lambda w, l: -torch.sigmoid(w - l),
        "That is the slope of the chance: the loss has a logarithm.":
            lambda w, l: -torch.sigmoid(w - l) * torch.sigmoid(l - w),
        "That is the slope in the chance: go on to r_w by the chain rule.":
            lambda w, l: -1 / torch.sigmoid(w - l),
        "That is the loss itself: differentiate it.":
            lambda w, l: -torch.log(torch.sigmoid(w - l)),
        "All pairs pushed alike: settled ones are pushed less.":
            lambda w, l: -torch.ones_like(w),
        "Only wrong pairs pushed: right ones are pushed too, a little.":
            lambda w, l: -(w < l).double(),
        "That is a mean: give one number a pair.":
            lambda w, l: -torch.sigmoid(l - w).mean()})
    hold(student, push, [
        ("Far apart, exp overflows: use sigmoid.",
         (tensor([800.0, -800.0]), tensor([-800.0, 800.0])))])


def check_labeling_day(student: Callable) -> None:
    """Independent comparisons a day from K, the cost of a prompt, and the day."""
    def day(K: float, prompt: float, units: float) -> float:
        return units / (prompt + K) * 3 * K * (K - 1) / 2 / (K + 1)

    hold(student, day, [
        ("Rankings a day times the worth of one.",
         (9, 1.0, 90.0), (4, 6.0, 100.0), (2, 0.5, 60.0), (3, 2.0, 7.0))], {
        "The pairs of a ranking repeat each other: each is worth 3 / (K + 1).":
            lambda K, prompt, units: units / (prompt + K) * K * (K - 1) / 2,
        "The prompt must be read, too.":
            lambda K, prompt, units: day(K, 0, units),
        "Answers must be read, too: K units a prompt.":
            lambda K, prompt, units: day(K, prompt, units) * (prompt + K) / prompt,
        "The prompt is read once, not with every answer.":
            lambda K, prompt, units: day(K, prompt * K, units),
        "Each pair need not be read afresh: K answers are read once.":
            lambda K, prompt, units: day(K, 0, units) * K / (prompt + K * (K - 1)),
        "That is one ranking: how many fit into a day?":
            lambda K, prompt, units: 3 * K * (K - 1) / 2 / (K + 1),
        "That is the worth of one pair: a ranking has K (K - 1) / 2.":
            lambda K, prompt, units: units / (prompt + K) * 3 / (K + 1),
        "That is how many rankings: each is worth 3 K (K - 1) / 2 / (K + 1).":
            lambda K, prompt, units: units / (prompt + K),
        "K (K - 1) counts every pair twice.":
            lambda K, prompt, units: 2 * day(K, prompt, units),
        "That is the best method's worth: here pairs are counted as in eq. (1).":
            lambda K, prompt, units: units / (prompt + K) *
            2 * (K - sum(1 / k for k in range(1, K + 1))),
        "A day need not be a whole number of rankings: use /, not //.":
            lambda K, prompt, units: units // (prompt + K) * day(K, 0, K)})


def check_two_labelers(student: Callable) -> None:
    """(agreement of two labelers, accuracy of one who knows) from margin_P."""
    def both(first: Callable, second: Callable) -> Callable:
        def mean_of_each(margin: torch.Tensor) -> tuple[float, float]:
            q = [oracles.sigmoid(x) for x in margin.tolist()]
            return fmean(map(first, q)), fmean(map(second, q))
        return mean_of_each

    def alike(q: float) -> float:
        return q ** 2 + (1 - q) ** 2

    def best(q: float) -> float:
        return max(q, 1 - q)

    def of_means(margin: torch.Tensor) -> tuple[float, float]:
        q = fmean(map(oracles.sigmoid, margin.tolist()))
        return alike(q), best(q)

    hold(student, both(alike, best), [
        ("Exactly, from the chances: nothing is drawn.",
         (tensor([0.0]),), (tensor([2.0, -0.5, -3.0, 1.0]),))], {
        "These are the two the wrong way round: agreement first.": both(best, alike),
        "They may also agree on the second: add (1 - q) ** 2.":
            both(lambda q: q * q, best),
        "That is how often they disagree.": both(lambda q: 1 - alike(q), best),
        "The second labeler errs as well: q is one labeler alone.":
            both(lambda q: q, best),
        "That is how often the first is chosen: the model takes the likelier one.":
            both(alike, lambda q: q),
        "A model that knows the margins does not know the choice: it errs, too.":
            both(alike, lambda q: 1.0),
        "That model is as noisy as a labeler: let it take the likelier one.":
            both(alike, alike),
        "That is the accuracy of both: two labelers err more often than one.":
            both(best, best),
        "Pairs differ: average at the end, not the chances first.": of_means})


def check_plackett_luce_logp(student: Callable) -> None:
    """log P of each ranking from r_BK and rank_BK."""
    three = tensor([[4.0, 2.0, 1.0]]).log()

    def right(r: torch.Tensor, rank: torch.Tensor) -> list[float]:
        return [*map(oracles.plackett_luce, r, rank)]

    hold(student, right, [
        ("Of two it is Bradley-Terry.", (tensor([[1.0, 0.0]]), torch.tensor([[1, 2]]))),
        ("4/7 for the best, then 2/3 for the second of the two that are left.",
         (three, torch.tensor([[1, 2, 3]]))),
        ("The best may be anywhere: go by rank, not by place.",
         (three, torch.tensor([[2, 3, 1]])))], _plackett_luce_mistakes())
    hold(student, right, [
        ("Each row by itself, one number a row.",
         (tensor([[0.3, -1.0, 0.8, 0.1], [0.0, 2.0, 1.0, -1.0]]),
          torch.tensor([[4, 2, 1, 3], [1, 2, 3, 4]]))),
        *((f"{where}, exp is not to be trusted: use logsumexp.",
           (tensor([r]), torch.tensor([rank]))) for where, r, rank in (
            ("Far apart", [800.0, 0.0, -800.0], [2, 1, 3]),
            ("Where the best is far ahead", [800.0, -800.0, -801.0], [1, 2, 3]),
            ("At a high level", [1000.0, 1001.0, 999.0], [2, 1, 3]),
            ("At a low level", [-1000.0, -1001.0, -999.0], [2, 1, 3])))])


def _plackett_luce_mistakes() -> Mistakes:
    """Of one row."""
    def ranked(r: torch.Tensor, rank: torch.Tensor) -> list[float]:
        return r[0][rank[0].argsort()].tolist()

    def logp(s: list[float]) -> float:
        return oracles.plackett_luce(s, range(1, len(s) + 1))

    def chosen(s: list[float], among: Callable) -> float:
        return sum(x - oracles.log_sum_exp(among(k, s)) for k, x in enumerate(s))

    return {
        "Those are the pairs of eq. (1): a ranking is drawn, the best first.":
            lambda r, rank: tensor([-sum(
                oracles.softplus(other - x) for k, x in enumerate(ranked(r, rank))
                for other in ranked(r, rank)[k + 1:])]),
        "That is the best alone: the others are drawn after it.":
            lambda r, rank: r.log_softmax(dim=1)[rank == 1],
        "Who was drawn leaves: each sum runs over those that are left.":
            lambda r, rank: tensor([chosen(ranked(r, rank), lambda k, s: s)]),
        "The one drawn was among the candidates: its own sum contains it.":
            lambda r, rank: tensor([chosen(ranked(r, rank), lambda k, s: (
                s[k + 1:] or s[k:]))]),
        "That draws the worst first: rank 1 is the best.":
            lambda r, rank: tensor([logp(ranked(r, rank)[::-1])]),
        "Go by rank, not by place: sort the rewards first.":
            lambda r, rank: tensor([logp(r[0].tolist())]),
        "A rank is not an index: argsort of the ranks says who comes first.":
            lambda r, rank: tensor([logp(r[0][rank[0] - 1].tolist())]),
        "That is the probability: its logarithm is wanted.":
            lambda r, rank: tensor([math.exp(logp(ranked(r, rank)))]),
        "That is the surprise: leave the minus out.":
            lambda r, rank: tensor([-logp(ranked(r, rank))]),
        "That is a mean over ranks: the logarithm of a product is a sum.":
            lambda r, rank: tensor([logp(ranked(r, rank)) / r.size(1)])}


def check_elo_update(student: Callable) -> None:
    """Ratings after one game from rating_N, winner, loser, k."""
    before = tensor([1500.0, 1500.0, 1100.0])

    def moved(gain: Callable, loss: Callable | None = None) -> Callable:
        def after(rating: torch.Tensor, winner: int, loser: int, k: float):
            ahead, new = (rating[winner] - rating[loser]).item(), rating.clone()
            new[winner] += k * gain(ahead)
            new[loser] -= k * (loss or gain)(ahead)
            return new
        return after

    def right(ahead: float) -> float:
        return 1 / (1 + 10 ** (ahead / 400))

    hold(student, oracles.elo, [
        ("Between equals half of k changes hands.", (before, 1, 0, 32.0)),
        ("The favorite gains little: k / 11 with 400 points more.",
         (before, 0, 2, 11.0)),
        ("An upset moves most of k: ten elevenths.", (before, 2, 1, 11.0))], {
        "400 points are odds of ten to one: not of e to one.":
            moved(lambda ahead: oracles.sigmoid(-ahead / 400)),
        "Always half: what moves depends on how far ahead the winner was.":
            moved(lambda ahead: 0.5),
        "All of k moves: only the unexpected part of it should.":
            moved(lambda ahead: 1.0),
        "That moves the expected part: an upset moves most.":
            moved(lambda ahead: 1 - right(ahead)),
        "The loser pays what the winner gains.":
            moved(right, lambda ahead: 0.0),
        "The loser's rating rises: it has to pay.":
            moved(right, lambda ahead: -right(ahead)),
        "The loser pays as much as the winner gains, not the rest of k.":
            moved(right, lambda ahead: 1 - right(ahead)),
        "Winner and loser are swapped.":
            moved(lambda ahead: -right(ahead))})


def check_goes_round(student: Callable) -> None:
    """P(three duels of three items go round) from s_N, N = 3."""
    def around(s: torch.Tensor) -> tuple[float, float]:
        a, b, c = s.tolist()
        one = [oracles.sigmoid(x) for x in (a - b, b - c, c - a)]
        return math.prod(one), math.prod(1 - p for p in one)

    def beats(s: torch.Tensor, i: int, j: int) -> float:
        return oracles.sigmoid((s[i] - s[j]).item())

    hold(student, lambda s: sum(around(s)), [
        ("Each direction is a product of three chances.",
         (tensor([0.0, 0.0, 0.0]),), (tensor([1.0, 0.3, -0.9]),))], {
        "A trio can go round in two directions: add the other one.":
            lambda s: around(s)[0],
        "The two directions exclude each other: add them.":
            lambda s: math.prod(around(s)),
        "That is the chance that it does not go round.": lambda s: 1 - sum(around(s)),
        "One quarter is for equals: use the strengths.": lambda s: 0.25,
        "That is the order of the strengths: a cycle ends with the last over the "
        "first.": lambda s: beats(s, 0, 1) * beats(s, 1, 2) * beats(s, 0, 2),
        "Three duels, three factors: the last meets the first.":
            lambda s: beats(s, 0, 1) * beats(s, 1, 2) + beats(s, 1, 0) * beats(s, 2, 1),
        "The three duels are independent: multiply their chances.":
            lambda s: beats(s, 0, 1) + beats(s, 1, 2) + beats(s, 2, 0),
        "One of eight outcomes is for equals, and two of them go round.":
            lambda s: 0.125})


def _surprise(r: torch.Tensor) -> torch.Tensor:
    """-log sigmoid of the margin of one pair, the better first."""
    return tensor(oracles.softplus((r[0, 1] - r[0, 0]).item()))
