"""What a reward model has learned: the share of pairs ordered as people or gold do.

Rewards are lists: of every ranking, one number for each of its responses.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch

from instructgpt_lite.data.protocols import Judge
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.models.networks import ScalarModel
from instructgpt_lite.theory.bradley_terry import outcome
from instructgpt_lite.training.reward import tokens

Rewards = list[list[float]]


@torch.no_grad()
def rewards_of(reward: ScalarModel, rankings: Sequence[Ranking],
               batch: int = 64) -> Rewards:
    """The reward of every response of every ranking."""
    prompts, responses = tokens(reward, rankings)
    rewards: Rewards = []
    for start in range(0, len(rankings), batch):
        rows = slice(start, start + batch)
        r_BK, _ = reward.scores(prompts[rows], responses[rows])
        rewards += [r_K[:len(K)].tolist() for r_K, K in zip(r_BK, responses[rows])]
    return rewards


def accuracy(rewards: Rewards, rankings: Sequence[Ranking]) -> Interval:
    """Share of ranked pairs that the rewards order alike; equal rewards count half.

    Pairs that the labeler ties are left out (eq. 1 drops them).
    """
    pairs = [len(ranking.pairs) for ranking in rankings]
    return bootstrap(_shares(rewards, rankings), pairs)


def lead(first: Rewards, second: Rewards, rankings: Sequence[Ranking]) -> Interval:
    """`accuracy` of the first less that of the second, paired: on the same rankings."""
    shares = zip(_shares(first, rankings), _shares(second, rankings), strict=True)
    pairs = [len(ranking.pairs) for ranking in rankings]
    return bootstrap([one - other for one, other in shares], pairs)


def gold_order(rewards: Rewards, rankings: Sequence[Ranking],
               gold: Judge) -> dict[str, Interval]:
    """Share of pairs with different gold scores that the rewards order alike.

    Overall ("all") and by use case. "open QA, asked" are questions about facts that
    training asks about, "open QA, unasked" the others.
    """
    groups = defaultdict(list)
    for r, ranking in zip(rewards, rankings, strict=True):
        g = [round(gold(ranking, text).gold, 9) for text in ranking.completions]
        places = range(len(g))
        pairs = [(w, l) for w in places for l in places if g[w] > g[l]]
        if pairs:
            counted = _share(r, pairs), len(pairs)
            groups["all"].append(counted)
            case = ranking.category
            if "asked" in ranking.key:
                case += ", asked" if ranking.key["asked"] else ", unasked"
            groups[case].append(counted)
    return {name: bootstrap(*zip(*groups[name])) for name in sorted(groups)}


def _shares(rewards: Rewards, rankings: Sequence[Ranking]) -> list[float]:
    return [_share(r, each.pairs) for r, each in zip(rewards, rankings, strict=True)]


def _share(r: Sequence[float], pairs: Sequence[tuple[int, int]]) -> float:
    """Of pairs (better, worse), the share in which the better has the higher reward."""
    return sum(outcome(r[w], r[l]) for w, l in pairs) / len(pairs)
