"""Preferences, eq. (1), Plackett-Luce and maximum-likelihood strengths, against closed forms and choix."""

import itertools
import math

import choix
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize

from instructgpt_lite import checks
from instructgpt_lite.checks import oracles
from instructgpt_lite.theory.bradley_terry import (
    pair_accuracy,
    plackett_luce_logp,
    preference_probability,
    reward_loss,
    strengths,
)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


def one_pair(margin):
    return reward_loss(tensor([[margin, 0.0]]), torch.tensor([[1, 2]])).item()


def drawn(seed, B=6, K=5):
    """Rewards, ranks with ties, and a mask that leaves every prompt at least one pair."""
    generator = torch.Generator().manual_seed(seed)
    r = 3 * torch.randn(B, K, dtype=torch.float64, generator=generator)
    rank = torch.randint(1, 4, (B, K), generator=generator)
    rank[:, 0], rank[:, 1] = 1, 2
    mask = torch.rand(B, K, generator=generator) < 0.7
    mask[:, :2] = True
    return r, rank, mask


def test_preference_is_the_sigmoid_of_the_difference():
    first, second = tensor([0.0, 1.0, math.log(3), 5.0]), tensor([0.0, 0.0, 0.0, 5.0])
    assert preference_probability(first, second).tolist() == pytest.approx(
        [0.5, 0.7310585786, 0.75, 0.5], abs=1e-10)


def test_four_hundred_elo_points_are_odds_of_ten_to_one():
    elo_per_nat = 400 / math.log(10)
    assert elo_per_nat == pytest.approx(173.7177928, abs=1e-7)
    p = preference_probability(tensor(400 / elo_per_nat), tensor(0.0)).item()
    assert p == pytest.approx(10 / 11, rel=1e-12)


def test_an_indifferent_model_is_surprised_by_exactly_one_bit():
    assert one_pair(0.0) == pytest.approx(math.log(2), rel=1e-15)


def test_loss_of_one_pair_is_the_surprise_at_the_choice():
    got = [one_pair(margin) for margin in (1.0, -1.0, 2.0, 3.0)]
    assert got == pytest.approx([0.3132616875, 1.3132616875, 0.1269280110, 0.0485873516], abs=1e-10)


@given(st.floats(-50, 50))
def test_the_wrong_choice_costs_the_margin_more(margin):
    assert one_pair(-margin) == pytest.approx(one_pair(margin) + margin, rel=1e-12, abs=1e-12)


def test_loss_and_gradient_stay_finite_at_any_margin():
    r = tensor([[1000.0, 0.0], [-1000.0, 0.0]]).requires_grad_()
    loss = reward_loss(r, torch.tensor([[1, 2], [1, 2]]))
    loss.backward()
    assert loss.item() == 500.0
    assert r.grad.tolist() == [[0.0, 0.0], [-0.5, 0.5]]


def test_gradient_and_curvature_of_one_pair():
    r = tensor([[1.0, 0.0]]).requires_grad_()
    slope, = torch.autograd.grad(reward_loss(r, torch.tensor([[1, 2]])), r, create_graph=True)
    curvature, = torch.autograd.grad(slope[0, 0], r)
    assert slope[0].tolist() == pytest.approx([-0.2689414214, 0.2689414214], abs=1e-10)
    assert curvature[0, 0].item() == pytest.approx(0.1966119332, abs=1e-10)


def test_loss_and_gradient_of_four_responses_in_order():
    r = tensor([[2.0, 1.0, 0.0, -1.0]]).requires_grad_()
    loss = reward_loss(r, torch.tensor([[1, 2, 3, 4]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.2070380727, abs=1e-10)
    assert r.grad[0].tolist() == pytest.approx([-0.07259504, -0.01986715, 0.01986715, 0.07259504], abs=1e-8)


@pytest.mark.parametrize("K, pairs", [(4, 6), (5, 10), (6, 15), (7, 21), (8, 28), (9, 36)])
def test_K_responses_make_K_choose_2_pairs(K, pairs):
    r = torch.zeros(1, K, dtype=torch.float64).requires_grad_()
    reward_loss(r, torch.arange(K)[None]).backward()
    assert -r.grad[0, 0].item() == pytest.approx((K - 1) / 2 / pairs, rel=1e-12)


def ranked_pairs(rank, mask=None):
    """(b, winner, loser, share of the mean) of every pair that does not tie."""
    for b, ranks in enumerate(rank.tolist()):
        counted = [k for k in range(len(ranks)) if mask is None or mask[b, k]]
        pairs = [(w, l) for w in counted for l in counted if ranks[w] < ranks[l]]
        yield from ((b, w, l, 1 / len(pairs) / len(rank)) for w, l in pairs)


def looped_gradient(r, rank, mask=None):
    """Each pair pushes its two rewards apart by sigmoid(r_l - r_w)."""
    gradient = torch.zeros_like(r)
    for b, w, l, share in ranked_pairs(rank, mask):
        push = share * oracles.sigmoid((r[b, l] - r[b, w]).item())
        gradient[b, w] -= push
        gradient[b, l] += push
    return gradient


def looped_accuracy(r, rank, mask=None):
    """Share of pairs ordered as ranked, equal rewards counting one half."""
    return sum(share * (0.5 if r[b, w] == r[b, l] else float(r[b, w] > r[b, l]))
               for b, w, l, share in ranked_pairs(rank, mask))


@pytest.mark.parametrize("seed", range(8))
def test_loss_accuracy_and_gradient_equal_the_loop_over_pairs(seed):
    r, rank, mask = drawn(seed)
    r[0, 1] = r[0, 0]
    for args in ((r, rank), (r, rank, mask)):
        leaf = r.clone().requires_grad_()
        loss = reward_loss(leaf, *args[1:])
        loss.backward()
        assert loss.item() == pytest.approx(oracles.reward_loss(*args), rel=1e-12)
        want = looped_gradient(*args).flatten().tolist()
        assert leaf.grad.flatten().tolist() == pytest.approx(want, rel=1e-11, abs=1e-15)
        assert leaf.grad.sum(dim=1).tolist() == pytest.approx([0] * len(r), abs=1e-15)
        assert pair_accuracy(*args).item() == pytest.approx(looped_accuracy(*args), rel=1e-12)


def test_prompts_weigh_the_same_however_many_pairs_they_have():
    r, rank = tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 9.0]]), torch.tensor([[1, 1, 2], [1, 2, 3]])
    few, many = (reward_loss(r[b:b + 1], rank[b:b + 1]).item() for b in (0, 1))
    assert reward_loss(r, rank).item() == pytest.approx((few + many) / 2, rel=1e-12)


def test_batching_ragged_rankings_changes_nothing():
    r, rank, mask = drawn(3)
    alone = [reward_loss(r[b][m][None], rank[b][m][None]).item() for b, m in enumerate(mask)]
    assert reward_loss(r, rank, mask).item() == pytest.approx(sum(alone) / len(alone), rel=1e-12)


@given(st.floats(-100, 100))
def test_a_constant_added_to_a_prompts_rewards_changes_nothing(shift):
    r, rank, mask = drawn(0)
    moved = r + tensor([shift, 0, -shift, 0, 1, 2])[:, None]
    before, after = (reward_loss(x, rank, mask).item() for x in (r, moved))
    assert after == pytest.approx(before, rel=1e-12)


def test_centring_on_demonstrations_makes_their_mean_zero_and_keeps_the_loss():
    r, rank, _ = drawn(1)
    centred = r - r.mean()
    assert centred.mean().item() == pytest.approx(0, abs=1e-15)
    assert reward_loss(centred, rank).item() == pytest.approx(reward_loss(r, rank).item(), rel=1e-12)


@pytest.mark.parametrize("garbage", [1e300, math.inf, -math.inf, math.nan])
def test_padding_reaches_neither_loss_nor_gradient(garbage):
    r, rank, mask = drawn(2)
    clean, dirty = r.clone().requires_grad_(), torch.where(mask, r, garbage).requires_grad_()
    other_rank = torch.where(mask, rank, -7)
    losses = [reward_loss(clean, rank, mask), reward_loss(dirty, other_rank, mask)]
    sum(losses).backward()
    assert torch.equal(*losses) and torch.equal(clean.grad, dirty.grad)
    assert not dirty.grad[~mask].any()
    assert torch.equal(pair_accuracy(r, rank, mask), pair_accuracy(dirty.detach(), other_rank, mask))


@pytest.mark.parametrize("function", [reward_loss, pair_accuracy])
def test_a_prompt_whose_responses_all_tie_is_named(function):
    rank, mask = torch.tensor([[1, 2], [3, 3], [1, 2]]), torch.tensor([[True] * 2, [True] * 2, [True, False]])
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        function(torch.zeros(3, 2), rank)
    with pytest.raises(ValueError, match=r"rows \[1, 2\]"):
        function(torch.zeros(3, 2), rank, mask)


def test_a_constant_reward_orders_half_of_the_pairs():
    assert pair_accuracy(torch.zeros(1, 4), torch.tensor([[1, 2, 3, 4]])).item() == 0.5


def test_plackett_luce_of_strengths_four_two_one():
    r = tensor([[4.0, 2.0, 1.0]]).log()
    assert plackett_luce_logp(r, torch.tensor([[1, 2, 3]])).exp().item() == pytest.approx(8 / 21, rel=1e-12)
    orders = torch.tensor(list(itertools.permutations([1, 2, 3])))
    p = plackett_luce_logp(r.expand(6, 3), orders).exp()
    assert p.sum().item() == pytest.approx(1, rel=1e-12)
    assert p[orders[:, 0] < orders[:, 1]].sum().item() == pytest.approx(2 / 3, rel=1e-12)
    want = [math.exp(oracles.plackett_luce(r[0], order)) for order in orders]
    assert p.tolist() == pytest.approx(want, rel=1e-12)


def test_eq_1_is_not_the_plackett_luce_likelihood():
    r, rank = tensor([[4.0, 2.0, 1.0]]).log(), torch.tensor([[1, 2, 3]])
    assert math.exp(-3 * reward_loss(r, rank).item()) == pytest.approx(16 / 45, rel=1e-12)
    nll = -plackett_luce_logp(tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[1, 2, 3, 4]])).item()
    assert nll == pytest.approx(1.1610573505, abs=1e-10)


def test_of_two_responses_plackett_luce_is_bradley_terry():
    r, rank = tensor([[0.3, -1.2], [0.1, 0.9]]), torch.tensor([[1, 2], [1, 2]])
    assert -plackett_luce_logp(r, rank).mean().item() == pytest.approx(reward_loss(r, rank).item(), rel=1e-12)


def test_plackett_luce_refuses_ties():
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        plackett_luce_logp(torch.zeros(2, 2), torch.tensor([[1, 2], [1, 1]]))
    with pytest.raises(ValueError, match=r"rows \[0, 2\]"):
        plackett_luce_logp(torch.zeros(3, 3), torch.tensor([[1, 1, 2], [3, 1, 2], [1, 2, 2]]))


TOURNAMENT = [[0, 4, 4], [2, 0, 4], [1, 2, 0]]


def log_likelihood(s, wins):
    pairs = itertools.permutations(range(len(s)), 2)
    return sum(wins[i][j] * math.log(oracles.sigmoid(s[i] - s[j])) for i, j in pairs)


def test_strengths_of_a_tournament_are_four_two_one():
    s = strengths(TOURNAMENT).tolist()
    assert s == pytest.approx([math.log(2), 0, -math.log(2)], abs=1e-11)
    assert log_likelihood(s, TOURNAMENT) == pytest.approx(-10.1401821372, abs=1e-9)


def test_twelve_sweeps_solve_the_tournament():
    assert strengths(TOURNAMENT, sweeps=12, tolerance=1e-10)[0].item() == pytest.approx(math.log(2), abs=1e-9)
    with pytest.raises(ValueError, match="after 11 sweeps"):
        strengths(TOURNAMENT, sweeps=11, tolerance=1e-10)


def test_a_cycle_has_equal_strengths():
    cycle = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert strengths(cycle).tolist() == [0.0] * 3
    assert log_likelihood([0, 0, 0], cycle) == pytest.approx(-2.0794415417, abs=1e-10)


def tables(size=4):
    """Tables in which everybody has won and lost against the next one, so they are connected."""
    games = st.lists(st.integers(0, 9), min_size=size * size, max_size=size * size)

    def table(flat):
        return [[0 if i == j else flat[i * size + j] + ((j - i) % size in (1, size - 1))
                 for j in range(size)] for i in range(size)]
    return games.map(table)


@given(tables())
@settings(max_examples=25, deadline=None)
def test_expected_wins_at_the_strengths_are_the_observed_wins(wins):
    s = strengths(wins).tolist()
    assert sum(s) == pytest.approx(0, abs=1e-12)
    for i, row in enumerate(wins):
        expected = sum((row[j] + wins[j][i]) * oracles.sigmoid(s[i] - s[j]) for j in range(len(s)) if j != i)
        assert expected == pytest.approx(sum(row), rel=1e-9)


def zermelo(wins):
    """p_i <- W_i / sum_j n_ij / (p_i + p_j) (Hunter, 2004), until nothing moves; log p with mean 0."""
    items, p, before = range(len(wins)), [1.0] * len(wins), None
    while p != before:
        before = p
        p = [sum(wins[i]) / sum((wins[i][j] + wins[j][i]) / (before[i] + before[j]) for j in items if j != i)
             for i in items]
        p = [round(x / sum(p), 15) for x in p]
    return [math.log(x) - sum(map(math.log, p)) / len(p) for x in p]


@given(tables(3))
@settings(max_examples=10, deadline=None)
def test_strengths_equal_choix_and_zermelo(wins):
    data = [(i, j) for i in range(3) for j in range(3) for _ in range(wins[i][j])]
    s = strengths(wins).tolist()
    assert s == pytest.approx(choix.ilsr_pairwise(3, data).tolist(), abs=1e-6)
    assert s == pytest.approx(zermelo(wins), abs=1e-9)


def test_half_wins_stand_for_ties():
    tie = strengths([[0, 3.5], [1.5, 0]])
    assert (tie[0] - tie[1]).item() == pytest.approx(math.log(3.5 / 1.5), rel=1e-11)


@pytest.mark.parametrize("wins, words", [
    ([[0, 2, 1], [0, 0, 3], [0, 1, 0]], r"items \[0\] never lose;"),
    ([[0, 2, 1], [1, 0, 3], [0, 0, 0]], r"items \[2\] never win;"),
    ([[0, 1], [0, 0]], r"items \[0\] never lose, items \[1\] never win;"),
    ([[0, 1, 0], [1, 0, 0], [0, 0, 0]], r"items \[2\] never lose, items \[2\] never win;"),
    ([[0, 1, 5, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
     r"between the groups \[\[0, 1\], \[2, 3\]\] all wins go one way, if there are any;"),
    ([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], r"groups \[\[0, 1\], \[2, 3\]\]"),
])
def test_items_that_no_finite_strength_fits_are_named(wins, words):
    with pytest.raises(ValueError, match=words):
        strengths(wins)
    assert strengths(wins, prior=0.1).isfinite().all()


@pytest.mark.parametrize("N", [2, 3, 6, 7, 31, 33])
def test_a_long_cycle_of_single_wins_is_connected(N):
    """From an item to the one before it the way has N - 1 wins."""
    wins = torch.zeros(N, N)
    wins[torch.arange(N), (torch.arange(N) + 1) % N] = 1
    assert strengths(wins).tolist() == pytest.approx([0.0] * N, abs=1e-9)


def test_one_item_in_two_hundred_that_never_wins_is_found():
    wins = 1 - torch.eye(200)
    wins[137] = 0
    with pytest.raises(ValueError, match=r"items \[137\] never win;"):
        strengths(wins)


@pytest.mark.parametrize("wins, words", [
    ([[0, 1, 2], [1, 0, 2]], r"\(2, 3\)"), ([[0]], r"\(1, 1\)"), ([[0, -1], [1, 0]], "not negative"),
    ([[0, math.inf], [1, 0]], "finite"), ([[1, 1], [1, 0]], "diagonal")])
def test_a_table_that_counts_no_wins_is_refused(wins, words):
    with pytest.raises(ValueError, match=words):
        strengths(wins)


@pytest.mark.parametrize("prior", [0.1, 1.0])
def test_prior_is_imaginary_games_against_an_opponent_of_strength_zero(prior):
    wins = [[0, 7, 3, 0], [1, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0]]

    def minus_log_posterior(s):
        imaginary = sum(math.log(oracles.sigmoid(x)) + math.log(oracles.sigmoid(-x)) for x in s)
        return -log_likelihood(s, wins) - prior * imaginary

    best = minimize(minus_log_posterior, [0.0] * 4, tol=1e-12, options={"gtol": 1e-7}).x
    assert strengths(wins, prior).tolist() == pytest.approx((best - best.mean()).tolist(), abs=1e-5)


@pytest.mark.parametrize("prior", [0.01, 0.5])
def test_a_thin_prior_over_many_games_is_fitted_in_few_sweeps(prior):
    wins = [[0, 4000, 4000], [2000, 0, 4000], [1000, 2000, 0]]               # 4 : 2 : 1, but for the prior
    s = strengths(wins, prior, sweeps=60).tolist()
    assert s == pytest.approx([math.log(2), 0, -math.log(2)], abs=1e-3)
    assert s == pytest.approx(strengths(wins, prior).tolist(), abs=1e-9)


def test_prior_against_nobody_but_the_imaginary_opponent():
    s = strengths([[0, 1], [0, 0]], prior=0.5)      # (x, -x) with sigmoid(-2x) = 0.5 (2 sigmoid(x) - 1)
    x = brentq(lambda x: oracles.sigmoid(-2 * x) - 0.5 * (2 * oracles.sigmoid(x) - 1), 0, 10, xtol=1e-13)
    assert s.tolist() == pytest.approx([x, -x], abs=1e-10)


@pytest.mark.parametrize("strength, margin", [(0.1, 1.6335061702), (0.01, 3.3592750454)])
def test_one_win_with_a_square_penalty_has_a_finite_margin(strength, margin):
    r = tensor([[margin, 0.0]]).requires_grad_()
    (reward_loss(r, torch.tensor([[1, 2]])) + strength / 2 * (r[0, 0] - r[0, 1]) ** 2).backward()
    assert r.grad[0, 0].item() == pytest.approx(0, abs=1e-10)


def test_the_package_passes_the_students_checks():
    checks.check_preference_probability(preference_probability)
    checks.check_reward_loss(reward_loss)
