"""What comparisons tell, against closed forms, enumeration of all rankings, and autograd."""

import itertools
import math

import pytest
import torch

from instructgpt_lite.theory.bradley_terry import plackett_luce_logp, reward_loss, strengths
from instructgpt_lite.theory.choices import (
    ELO_PER_NAT,
    best_of_K_logp,
    circular_triads,
    elo_update,
    information,
    shared_ties,
    threshold_ties,
    worth_in_pairs,
)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


def orders(K):
    return torch.tensor(list(itertools.permutations(range(1, K + 1))))


# Information

def test_information_is_the_curvature_of_the_log_likelihood():
    s, wins = tensor([0.4, -1.0, 0.7]), tensor([[0, 3, 1], [2, 0, 5], [4, 0, 0]])

    def surprise(s):
        return -(wins * torch.nn.functional.logsigmoid(s[:, None] - s[None, :])).sum()

    want = torch.autograd.functional.hessian(surprise, s)
    assert torch.allclose(information(s, wins + wins.T), want, rtol=1e-12, atol=1e-14)


def test_information_says_nothing_about_the_level():
    told = information(tensor([1.0, 0.0, -2.0]), tensor([[0, 4, 1], [4, 0, 2], [1, 2, 0]]))
    assert told.sum(dim=1).tolist() == pytest.approx([0, 0, 0], abs=1e-15)


# Ties

@pytest.mark.parametrize("chances", [threshold_ties, shared_ties])
def test_three_outcomes_sum_to_one_and_swap_with_the_sides(chances):
    margin = tensor([0.0, 0.3, -2.0, 5.0])
    p = chances(margin, 0.7)
    assert p.sum(dim=-1).tolist() == pytest.approx([1] * 4, rel=1e-12)
    assert torch.allclose(chances(-margin, 0.7), p.flip(-1), rtol=1e-12)
    assert (p > 0).all()


def test_without_a_threshold_nothing_ties():
    assert threshold_ties(tensor([math.log(3)]), 0.0)[0].tolist() == pytest.approx([0.75, 0, 0.25], abs=1e-15)


def test_threshold_of_two_equals():
    win, tie, loss = threshold_ties(tensor(0.0), math.log(3)).tolist()
    assert (win, tie, loss) == pytest.approx((0.25, 0.5, 0.25), rel=1e-12)


def test_shared_ties_weigh_the_geometric_mean():
    win, tie, loss = shared_ties(tensor(math.log(4)), 0.5).tolist()           # 4 : 0.5 * 2 : 1
    assert (win, tie, loss) == pytest.approx((4 / 6, 1 / 6, 1 / 6), rel=1e-12)


def test_shared_ties_dropped_leave_bradley_terry_but_threshold_ties_do_not():
    win, _, loss = shared_ties(tensor(1.3), 2.0).tolist()
    assert math.log(win / loss) == pytest.approx(1.3, rel=1e-12)
    win, _, loss = threshold_ties(tensor(1.3), 0.8).tolist()
    assert math.log(win / loss) > 1.5


# Cycles

def test_circular_triads_are_those_that_a_loop_finds():
    generator = torch.Generator().manual_seed(0)
    for N in (3, 4, 7):
        upper = torch.triu((torch.rand(N, N, generator=generator) < 0.5).double(), 1)
        beats = upper + torch.tril(1 - upper.T, -1)
        found = sum(1 for i, j, k in itertools.combinations(range(N), 3)
                    if beats[i, j] == beats[j, k] == beats[k, i])
        assert circular_triads(beats) == found


def test_a_strict_order_has_no_cycle_and_rock_paper_scissors_has_one():
    assert circular_triads(torch.triu(torch.ones(6, 6), 1)) == 0
    assert circular_triads(tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0]])) == 1


@pytest.mark.parametrize("beats", [[[0, 1, 1], [1, 0, 1], [0, 0, 0]], [[0, 1, 1], [0, 0, 0], [0, 0, 0]]])
def test_a_table_that_leaves_a_pair_open_is_refused(beats):
    with pytest.raises(ValueError, match="every two items"):
        circular_triads(tensor(beats))


# Best of K

def test_the_best_of_three_is_drawn_in_proportion_to_strength():
    r = tensor([[4.0, 2.0, 1.0]]).log()
    p = [best_of_K_logp(r, torch.tensor([rank])).exp().item() for rank in ([1, 2, 3], [2, 1, 3], [2, 2, 1])]
    assert p == pytest.approx([4 / 7, 2 / 7, 1 / 7], rel=1e-12)


def test_best_of_K_is_the_sum_of_the_rankings_that_it_heads():
    r, rank = tensor([[0.3, -1.0, 0.8, 0.1]]), orders(4)
    p = plackett_luce_logp(r.expand(24, 4), rank).exp()
    heads = p[rank[:, 2] == 1].sum().item()
    assert best_of_K_logp(r, torch.tensor([[2, 3, 1, 4]])).exp().item() == pytest.approx(heads, rel=1e-12)


@pytest.mark.parametrize("rank", [[1, 1, 2], [2, 3, 4]])
def test_no_best_or_two_are_refused(rank):
    with pytest.raises(ValueError, match="exactly one"):
        best_of_K_logp(torch.zeros(1, 3), torch.tensor([rank]))


# What a ranking is worth

def slopes(surprise, rank):
    """The gradient of one ranking's surprise in r, at equal strengths, for every ranking."""
    return torch.stack([torch.autograd.functional.jacobian(lambda r: surprise(r[None], one[None]).sum(),
                                                           torch.zeros(len(one), dtype=torch.float64))
                        for one in rank])


@pytest.mark.parametrize("K", [2, 3, 4, 5])
def test_worth_of_a_ranking_by_the_sandwich_formula_over_all_rankings(K):
    """Variance of an estimate is J / H^2 (one number each, by symmetry); that of one pair of K is (1/2K) / (1/2K)^2."""
    rank, pairs = orders(K), K * (K - 1) / 2
    surprises = [lambda r, rank: pairs * reward_loss(r, rank), lambda r, rank: -plackett_luce_logp(r, rank),
                 lambda r, rank: -best_of_K_logp(r, rank)]
    worth = [pairs]
    for surprise in surprises:
        spread = slopes(surprise, rank).square().mean().item()
        bends = [torch.autograd.functional.hessian(lambda r: surprise(r[None], one[None]).sum(),
                                                   torch.zeros(K, dtype=torch.float64)) for one in rank]
        bend = torch.stack(bends).mean(dim=0).diagonal().mean().item()
        worth.append(bend ** 2 / spread * 2 * K)
    assert list(worth_in_pairs(K).values()) == pytest.approx(worth, rel=1e-9)


def test_worth_of_nine_ranked():
    assert tuple(worth_in_pairs(9).values()) == pytest.approx((36, 10.8, 12.3420634921, 16 / 9), rel=1e-10)


# Elo

def test_between_equals_half_of_k_changes_hands():
    assert elo_update(tensor([1500.0, 1500.0, 1400.0]), 1, 0, k=32).tolist() == [1484.0, 1516.0, 1400.0]


def test_beating_a_player_400_points_up_brings_ten_elevenths_of_k():
    after = elo_update(tensor([1500.0, 1900.0]), 0, 1, k=11)
    assert after.tolist() == pytest.approx([1510.0, 1890.0], rel=1e-12)


def test_elo_is_a_gradient_step_on_the_surprise_and_leaves_its_input_alone():
    s = tensor([0.3, -0.5, 1.0]).requires_grad_()
    reward_loss(s[None, [2, 1]], torch.tensor([[1, 2]])).backward()
    rating = s.detach() * ELO_PER_NAT
    before = rating.clone()
    step = (elo_update(rating, 2, 1, k=20) - rating) / ELO_PER_NAT
    assert torch.equal(rating, before)
    assert step.tolist() == pytest.approx((-20 / ELO_PER_NAT * s.grad).tolist(), rel=1e-9)


def test_information_is_singular_along_a_shift_and_its_pseudo_inverse_is_the_covariance_of_fits():
    s, games = torch.tensor([0.5, 0.1, -0.6], dtype=torch.float64), 3000
    told = information(s, (1 - torch.eye(3, dtype=torch.float64)) * games / 3)
    assert torch.allclose(told.sum(dim=1), torch.zeros(3, dtype=torch.float64)) and torch.linalg.matrix_rank(told) == 2
    rng = torch.Generator().manual_seed(0)
    wins = torch.zeros(300, 3, 3, dtype=torch.float64)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        chance = 1 / (1 + math.exp((s[j] - s[i]).item()))
        wins[:, i, j] = (torch.rand(300, games // 3, generator=rng) < chance).double().sum(dim=1)
        wins[:, j, i] = games // 3 - wins[:, i, j]
    found = torch.cov(torch.stack([strengths(table, tolerance=1e-8) for table in wins]).T)
    assert torch.allclose(found, torch.linalg.pinv(told), rtol=0.25, atol=1e-5)
    one, other = told.pinverse().diagonal().mean(), (found[0, 0] + found[1, 1] - 2 * found[0, 1])
    assert (other / one).sqrt().item() == pytest.approx(3 ** 0.5, rel=0.15)  # of three, with mean 0
