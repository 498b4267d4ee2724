"""What a reward model has learned: whom it agrees with, and whether it sees what is truly better."""

from collections import defaultdict

import torch

from instructgpt_lite.judging.intervals import Interval, bootstrap
from instructgpt_lite.models.networks import ScalarModel
from instructgpt_lite.training.reward import tokens
from instructgpt_lite.world.world import World


@torch.no_grad()
def rewards_of(reward: ScalarModel, rankings, batch: int = 64) -> list[list[float]]:
    """The reward of every response of every ranking."""
    prompts, responses = tokens(reward, rankings)
    found = []
    for start in range(0, len(rankings), batch):
        r_BK, _ = reward.scores(prompts[start:start + batch], responses[start:start + batch])
        found += [row[:len(these)].tolist() for row, these in zip(r_BK, responses[start:start + batch])]
    return found


def accuracy(rewards: list[list[float]], rankings) -> Interval:
    """Share of ranked pairs that the rewards order alike; equal rewards count half, ties are left out."""
    right, pairs = [], []
    for r, ranking in zip(rewards, rankings, strict=True):
        order = [(r[w] > r[l]) + 0.5 * (r[w] == r[l]) for w, l in ranking.pairs]
        right.append(sum(order) / len(order))
        pairs.append(len(order))
    return bootstrap(right, pairs)


def gold_order(rewards: list[list[float]], rankings, world: World) -> dict[str, Interval]:
    """Share of response pairs with different gold scores that the rewards order alike: overall, by use case.

    "open QA, asked" are questions about facts that training asks about, "open QA, unasked" the others.
    """
    right = defaultdict(list)
    for r, ranking in zip(rewards, rankings, strict=True):
        gold = [round(world.gold(ranking, text).gold, 9) for text in ranking.completions]
        order = [(r[i] > r[j]) + 0.5 * (r[i] == r[j])
                 for i in range(len(r)) for j in range(len(r)) if gold[i] > gold[j]]
        if order:
            name = ranking.category
            if "asked" in ranking.key:
                name += ", asked" if ranking.key["asked"] else ", unasked"
            for group in ("all", name):
                right[group].append((sum(order) / len(order), len(order)))
    return {name: bootstrap(*zip(*right[name])) for name in sorted(right)}
