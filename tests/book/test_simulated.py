"""Simulated labelers choose by the distributions they are said to follow; the fit finds the minimum."""

import math

import pytest
import torch

from instructgpt_lite.book.simulated import drawn_groups, drawn_rankings, drawn_wins, fitted, gumbel, wins_of
from instructgpt_lite.theory.bradley_terry import plackett_luce_logp, strengths

S = torch.tensor([1.2, 0.0, -0.4, -0.8], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_gumbel_noise_has_its_distribution_and_its_differences_are_logistic():
    noise = gumbel(200_000, 2, generator=generator())
    for x in (-1.0, 0.0, 2.0):
        assert (noise[:, 0] <= x).double().mean().item() == pytest.approx(math.exp(-math.exp(-x)), abs=5e-3)
    assert (noise[:, 0] - noise[:, 1] < 1.0).double().mean().item() == pytest.approx(0.7310585786, abs=5e-3)


def test_wins_come_with_bradley_terry_probabilities_from_pairs_drawn_alike():
    wins = drawn_wins(S, 120_000, generator())
    games = wins + wins.T
    assert wins.sum() == 120_000 and not wins.diagonal().any()
    for i in range(4):
        for j in range(i):
            assert games[i, j].item() == pytest.approx(20_000, rel=0.04)
            assert (wins[i, j] / games[i, j]).item() == pytest.approx(torch.sigmoid(S[i] - S[j]).item(), abs=0.015)


def test_rankings_are_plackett_luce():
    ranked = drawn_rankings(S, 60_000, 3, generator())
    of_three = ranked[(ranked.sort(dim=1).values == torch.tensor([0, 1, 3])).all(dim=1)]
    assert len(of_three) == pytest.approx(15_000, rel=0.05)
    share = (of_three == torch.tensor([0, 3, 1])).all(dim=1).double().mean().item()
    want = plackett_luce_logp(S[None, [0, 3, 1]], torch.tensor([[1, 2, 3]])).exp().item()
    assert share == pytest.approx(want, abs=0.015)


def test_groups_have_no_item_twice_and_take_each_as_often():
    groups = drawn_groups(6, 9_000, 4, generator())
    assert all(len(set(group)) == 4 for group in groups[:50].tolist())
    assert groups.flatten().bincount().double().div(6_000).tolist() == pytest.approx([1] * 6, abs=0.05)


def test_a_ranking_is_counted_as_all_its_pairs():
    wins = wins_of(torch.tensor([[2, 0, 1], [0, 2, 1]]), 4)
    assert wins.tolist() == [[0, 2, 1, 0], [0, 0, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0]]


def test_the_fit_finds_what_the_iteration_finds():
    wins = drawn_wins(S, 500, generator(1))

    def surprise(s):
        return -(wins * torch.nn.functional.logsigmoid(s[:, None] - s)).sum() / 500

    assert fitted(surprise, 4).tolist() == pytest.approx(strengths(wins).tolist(), abs=1e-5)
    started = fitted(surprise, 4, start=torch.tensor([3.0, 3.0, 9.0, 3.0], dtype=torch.float64))
    assert started.tolist() == pytest.approx(strengths(wins).tolist(), abs=1e-5)


def test_a_seed_means_the_same_choices():
    assert drawn_rankings(S, 4, 3, generator(0)).tolist() == drawn_rankings(S, 4, 3, generator(0)).tolist()
    assert drawn_rankings(S, 40, 3, generator(0)).tolist() != drawn_rankings(S, 40, 3, generator(1)).tolist()
