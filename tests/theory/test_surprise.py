"""Information and KL against closed forms, grids fine enough to be exact, and hand gradients."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from instructgpt_lite import checks
from instructgpt_lite.checks import oracles
from instructgpt_lite.theory.surprise import (
    best_of_n,
    best_of_n_bound,
    bits,
    cross_entropy,
    entropy,
    expectation,
    k1,
    k2,
    k3,
    optimum,
    optimum_value,
    regularised_reward,
    relative_surprise,
    sequence_logp,
    surprise,
    token_relative_surprises,
)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


def log(*p):
    return tensor(p).log()


PI, REF = log(0.5, 0.3, 0.2), log(0.25, 0.25, 0.5)
GRID = torch.linspace(-30, 30, 60_001, dtype=torch.float64)


def gaussian(mean, sd):
    """Log-probabilities of the cells of GRID: sums over it are integrals to machine precision."""
    return -((GRID - mean) / sd) ** 2 / 2 - math.log(sd * math.sqrt(2 * math.pi)) + math.log(0.001)


def distributions(size=4):
    """Random distributions that give nothing probability 0."""
    weights = st.lists(st.floats(0.01, 1), min_size=size, max_size=size)
    return weights.map(lambda w: (tensor(w) / sum(w)).log())


def test_a_fair_coin_surprises_by_one_bit():
    assert bits(surprise(tensor(0.5))).item() == 1.0


def test_certainty_does_not_surprise_and_the_impossible_does_without_bound():
    assert surprise(tensor([1.0, 0.0])).tolist() == [0.0, math.inf]


def test_surprises_of_independent_events_add():
    assert surprise(tensor(0.3 * 0.2)).item() == pytest.approx((-math.log(0.3) - math.log(0.2)), rel=1e-12)


def test_entropy_and_relative_surprise_of_a_half_and_two_quarters():
    p, uniform = log(0.5, 0.25, 0.25), log(1 / 3, 1 / 3, 1 / 3)
    assert bits(entropy(p)).item() == pytest.approx(1.5, rel=1e-12)
    assert entropy(p).item() == pytest.approx(1.0397207708, abs=1e-10)
    assert relative_surprise(p, uniform).item() == pytest.approx(0.0588915178, abs=1e-10)
    assert bits(relative_surprise(p, uniform)).item() == pytest.approx(0.0849625007, abs=1e-10)
    assert cross_entropy(p, uniform).item() == pytest.approx(math.log(3), rel=1e-12)


def test_a_uniform_gpt2_is_surprised_by_15_6_bits_a_token():
    uniform = torch.zeros(50_257, dtype=torch.float64).log_softmax(-1)
    assert entropy(uniform).item() == pytest.approx(10.8249051197, abs=1e-9)
    assert bits(entropy(uniform)).item() == pytest.approx(15.617037, abs=1e-6)


def test_relative_surprise_depends_on_the_direction():
    p, q = log(0.5, 0.5), log(0.9, 0.1)
    assert relative_surprise(p, q).item() == pytest.approx(0.5108256238, abs=1e-10)
    assert relative_surprise(q, p).item() == pytest.approx(0.3680642072, abs=1e-10)


def test_relative_surprise_between_gaussians_is_the_closed_form():
    narrow, wide, moved = gaussian(0, 1), gaussian(0, 2), gaussian(1, 1)
    assert relative_surprise(narrow, moved).item() == pytest.approx(0.5, rel=1e-10)
    assert relative_surprise(narrow, wide).item() == pytest.approx(math.log(2) - 3 / 8, rel=1e-10)
    assert relative_surprise(wide, narrow).item() == pytest.approx(3 / 2 - math.log(2), rel=1e-10)


def test_forward_kl_covers_both_modes_and_reverse_kl_seeks_one():
    mixture = torch.logaddexp(gaussian(-2, 0.5), gaussian(2, 0.5)) - math.log(2)
    cover, mode = gaussian(0, math.sqrt(4.25)), gaussian(2, 0.5)
    forward = [relative_surprise(mixture, q).item() for q in (cover, mode)]
    reverse = [relative_surprise(q, mixture).item() for q in (cover, mode)]
    assert forward == pytest.approx([0.723553, 15.306947], abs=1e-6)
    assert reverse == pytest.approx([2.097617, 0.693053], abs=1e-6)


@given(distributions(), distributions())
@settings(max_examples=50, deadline=None)
def test_relative_surprise_is_what_cross_entropy_adds_to_entropy(p, q):
    extra = cross_entropy(p, q) - entropy(p)
    assert relative_surprise(p, q).item() == pytest.approx(extra.item(), rel=1e-12, abs=1e-14)
    assert relative_surprise(p, q).item() == pytest.approx(oracles.kl(p, q), rel=1e-12, abs=1e-14)
    looped = -sum(math.exp(x) * x for x in p.tolist() if x > -math.inf)
    assert entropy(p).item() == pytest.approx(looped, rel=1e-12, abs=1e-14)


@given(distributions(), distributions())
@settings(max_examples=50, deadline=None)
def test_relative_surprise_bounds_total_variation(p, q):
    kl, distance = relative_surprise(p, q).item(), (p.exp() - q.exp()).abs().sum().item() / 2
    assert kl >= -1e-15
    assert distance <= math.sqrt(max(kl, 0) / 2) + 1e-9                    # Pinsker
    assert distance <= math.sqrt(1 - math.exp(-max(kl, 0))) + 1e-7         # Bretagnolle-Huber
    assert (kl > 1e-12) == (distance > 1e-6) or kl < 1e-9


def test_bounds_on_total_variation_of_two_coins():
    p, q = log(0.5, 0.5), log(0.9, 0.1)
    forward, backward = relative_surprise(p, q).item(), relative_surprise(q, p).item()
    assert math.sqrt(forward / 2) == pytest.approx(0.5053838263, abs=1e-10)
    assert math.sqrt(backward / 2) == pytest.approx(0.4289896310, abs=1e-10)
    assert math.sqrt(1 - math.exp(-forward)) == pytest.approx(0.6324555320, abs=1e-10)


@given(distributions())
@settings(max_examples=20, deadline=None)
def test_no_distribution_surprises_itself(p):
    assert relative_surprise(p, p).item() == 0.0


def test_what_a_distribution_excludes_adds_nothing_to_it_and_infinity_to_another():
    p, q = log(0.5, 0.5, 0.0), log(0.25, 0.25, 0.5)
    assert relative_surprise(p, q).item() == pytest.approx(math.log(2), rel=1e-12)
    assert relative_surprise(q, p).item() == math.inf
    assert relative_surprise(p, p).item() == 0.0
    assert entropy(p).item() == pytest.approx(math.log(2), rel=1e-12)


def test_impossible_outcomes_send_no_nan_through_the_gradient():
    logits = tensor([0.2, -0.4, -math.inf]).requires_grad_()
    (relative_surprise(logits.log_softmax(-1), PI) + entropy(logits.log_softmax(-1))).backward()
    assert logits.grad.isfinite().all()


def test_surprise_of_a_sequence_is_the_expected_sum_over_its_tokens():
    first, second = log(0.6, 0.4), torch.stack([log(0.9, 0.1), log(0.3, 0.7)])
    joint, coins = (first[:, None] + second).flatten(), log(0.25, 0.25, 0.25, 0.25)
    each = relative_surprise(second, log(0.5, 0.5))
    chained = relative_surprise(first, log(0.5, 0.5)) + (first.exp() * each).sum()
    assert relative_surprise(joint, coins).item() == pytest.approx(0.2738871893, abs=1e-10)
    assert chained.item() == pytest.approx(0.2738871893, abs=1e-10)
    assert each.tolist() == pytest.approx([0.3680642072, 0.0822828785], abs=1e-10)


def test_estimators_from_policy_samples_have_the_known_means():
    assert k1(PI, REF).tolist() == pytest.approx([0.69314718, 0.18232156, -0.91629073], abs=1e-8)
    kl, e_k2 = 0.2180119109, 0.2090582965
    assert relative_surprise(PI, REF).item() == pytest.approx(kl, abs=1e-10)
    assert relative_surprise(REF, PI).item() == pytest.approx(0.2392781816, abs=1e-10)
    means = [expectation(PI, k(PI, REF)).item() for k in (k1, k2, k3)]
    assert means == pytest.approx([kl, e_k2, kl], abs=1e-10)


def test_estimators_from_policy_samples_have_the_known_spread():
    spread = []
    for k in (k1, k2, k3):
        x = k(PI, REF)
        spread.append((expectation(PI, x ** 2) - expectation(PI, x) ** 2).sqrt().item())
    assert spread == pytest.approx([0.608759, 0.143099, 0.198345], abs=1e-6)


@pytest.mark.parametrize("mean, e_k2, spread", [(1.0, 0.625, [1, 0.8660254, 0.8475151]),
                                                (0.1, 0.0050125, [0.1, 0.0070887, 0.0070829])])
def test_estimators_on_gaussians_match_schulman(mean, e_k2, spread):
    policy, ref = gaussian(0, 1), gaussian(mean, 1)
    assert relative_surprise(policy, ref).item() == pytest.approx(mean ** 2 / 2, rel=1e-9)
    for k, want, sd in zip((k1, k2, k3), (mean ** 2 / 2, e_k2, mean ** 2 / 2), spread, strict=True):
        x = k(policy, ref)
        average = expectation(policy, x).item()
        assert average == pytest.approx(want, rel=1e-9)
        assert expectation(policy, (x - average) ** 2).sqrt().item() == pytest.approx(sd, abs=5e-8)


def test_estimators_of_two_known_ratios():
    old_logp, logp = log(1.0, 1.0), log(1.1, 0.9)      # drawn by old: old is the policy of KL(old || new)
    means = [k(old_logp, logp).mean().item() for k in (k2, k1, k3)]
    assert means == pytest.approx([0.0050462172, 0.0050251679, 0.0050251679], abs=1e-10)


@given(distributions(), distributions())
@settings(max_examples=50, deadline=None)
def test_k3_is_never_negative_and_vanishes_only_at_equality(p, q):
    assert (k3(p, q) >= 0).all()
    assert k3(p, p).tolist() == [0.0] * 4


def test_k3_lacks_what_the_policy_excludes_and_the_reference_allows():
    """E_pi[ref / pi - 1] is 0 only if pi > 0 wherever ref > 0; top-k breaks it."""
    policy, ref = tensor([0.5, 0.5, 0.0]).log(), tensor([0.25, 0.25, 0.5]).log()
    means = [expectation(policy, k(policy, ref)).item() for k in (k1, k3)]
    assert means == pytest.approx([math.log(2), math.log(2) - 0.5], rel=1e-12)


def test_k3_keeps_its_digits_when_the_policies_nearly_agree():
    assert k3(tensor(0.0), tensor(1e-9)).item() == pytest.approx(5e-19, rel=1e-5, abs=0)


def gradient(f):
    """Of f(log-probs) in the logits, at PI."""
    logits = PI.clone().requires_grad_()
    f(logits.log_softmax(-1)).backward()
    return logits.grad.tolist()


def test_exact_kl_has_the_closed_gradient():
    want = [0.23756763, -0.01070711, -0.22686053]
    assert gradient(lambda logp: relative_surprise(logp, REF)) == pytest.approx(want, abs=1e-8)
    assert oracles.kl_gradient(PI, REF) == pytest.approx(want, abs=1e-8)


def test_as_losses_only_k2_has_the_gradient_of_kl():
    grads = [gradient(lambda logp, k=k: (PI.exp() * k(logp, REF)).sum()) for k in (k1, k2, k3)]
    assert grads[0] == pytest.approx([0, 0, 0], abs=1e-15)
    assert grads[1] == pytest.approx(oracles.kl_gradient(PI, REF), rel=1e-12)
    assert grads[2] == pytest.approx([0.25, 0.05, -0.3], rel=1e-12)       # that of KL(ref || pi)


def test_as_rewards_only_k1_has_the_gradient_of_kl():
    k1_reward, k3_reward = (k(PI, REF) for k in (k1, k3))
    score_function = [gradient(lambda logp, r=r: (PI.exp() * r * logp).sum()) for r in (k1_reward, k3_reward)]
    assert score_function[0] == pytest.approx(oracles.kl_gradient(PI, REF), rel=1e-12)
    assert score_function[1] == pytest.approx([-0.01243237, -0.06070711, 0.07313947], abs=1e-8)


BANDIT, R = log(0.5, 0.3, 0.2), tensor([0.0, 1.0, 2.0])


def test_optimum_of_a_three_armed_bandit():
    best = optimum(BANDIT, R, 1.0)
    assert best.exp().tolist() == pytest.approx([0.17900002, 0.29194350, 0.52905648], abs=1e-8)
    assert optimum_value(BANDIT, R, 1.0).item() == pytest.approx(math.log(2.7932957683), abs=1e-10)
    assert regularised_reward(best, BANDIT, R, 1.0).item() == pytest.approx(1.0272221776, abs=1e-10)
    assert expectation(best, R).item() == pytest.approx(1.3500564569, abs=1e-10)
    assert relative_surprise(best, BANDIT).item() == pytest.approx(0.3228342793, abs=1e-10)
    assert regularised_reward(BANDIT, BANDIT, R, 1.0).item() == pytest.approx(0.7, rel=1e-12)
    assert relative_surprise(BANDIT, best).item() == pytest.approx(0.3272221776, abs=1e-10)


def test_optimum_at_other_prices_of_kl():
    assert optimum(BANDIT, R, 0.5).exp().tolist() == pytest.approx(
        [0.03666671, 0.16255943, 0.80077385], abs=1e-8)
    values = [optimum_value(BANDIT, R, beta).item() for beta in (0.5, 2.0, 0.02, 1e6)]
    assert values == pytest.approx([1.3063693946, 0.8613203881, 1.9678112418, 0.7], abs=1e-6)


@given(distributions(3), st.floats(0.05, 5))
@settings(max_examples=50, deadline=None)
def test_every_other_policy_falls_short_by_beta_times_its_kl_to_the_optimum(policy, beta):
    best = oracles.optimum(BANDIT, R, beta)
    value = R[0].item() + beta * (BANDIT[0].item() - best[0])                   # beta log Z
    short = value - regularised_reward(policy, BANDIT, R, beta).item()
    assert short == pytest.approx(beta * oracles.kl(policy, best), rel=1e-9, abs=1e-12)
    assert optimum(BANDIT, R, beta).tolist() == pytest.approx(best, rel=1e-12)
    assert optimum_value(BANDIT, R, beta).item() == pytest.approx(value, rel=1e-12)


def test_the_reward_can_be_read_off_the_optimum():
    implied = 0.7 * k1(optimum(BANDIT, R, 0.7), BANDIT) + optimum_value(BANDIT, R, 0.7)
    assert implied.tolist() == pytest.approx(R.tolist(), abs=1e-14)


def test_slopes_of_the_optimum_are_kl_and_variance():
    beta, inverse = (tensor(1.0).requires_grad_() for _ in range(2))
    optimum_value(BANDIT, R, beta).backward()
    expectation(optimum(BANDIT, R, 1 / inverse), R).backward()
    assert beta.grad.item() == pytest.approx(-0.3228342793, abs=1e-10)
    assert inverse.grad.item() == pytest.approx(0.5855169750, abs=1e-10)


def test_climbing_the_objective_by_its_gradient_ends_at_the_optimum():
    logits = BANDIT.clone().requires_grad_()
    for _ in range(300):
        step, = torch.autograd.grad(regularised_reward(logits.log_softmax(-1), BANDIT, R, 1.0), logits)
        logits = (logits + 2 * step).detach().requires_grad_()
    assert logits.softmax(-1).tolist() == pytest.approx([0.17900002, 0.29194350, 0.52905648], abs=1e-8)


def test_reward_grows_with_the_root_of_kl_for_a_gaussian():
    best = optimum(gaussian(0, 1), GRID, 0.5)
    assert expectation(best, GRID).item() == pytest.approx(2, rel=1e-9)
    assert relative_surprise(best, gaussian(0, 1)).item() == pytest.approx(2, rel=1e-9)


@pytest.mark.parametrize("beta", [0.0, -1.0])
def test_without_a_price_of_kl_there_is_no_optimum(beta):
    with pytest.raises(ValueError, match="beta"):
        optimum(BANDIT, R, beta)


def test_best_of_n_costs_at_most_the_known_nats():
    n = tensor([1, 2, 4, 8, 16, 64, 128, 1000, 60000])
    assert best_of_n_bound(n).tolist() == pytest.approx(
        [0, 0.193147, 0.636294, 1.204442, 1.835089, 3.174508, 3.859843, 5.908755, 10.002117], abs=1e-6)


@pytest.mark.parametrize("n, kl", [(2, 0.1308120359), (8, 0.6675877205)])
def test_ties_make_best_of_n_cheaper_than_its_bound(n, kl):
    coin = relative_surprise(log(0.5 ** n, 1 - 0.5 ** n), log(0.5, 0.5)).item()
    assert coin == pytest.approx(kl, abs=1e-10)
    assert coin < best_of_n_bound(tensor(float(n))).item()


@pytest.mark.parametrize("r", [[0.0, 1.0, 2.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.5]])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_best_of_n_is_the_sum_over_all_draws_of_n_with_ties_shared(r, n):
    ref, kept = BANDIT.exp().tolist(), [0.0, 0.0, 0.0]
    for draws in itertools.product(range(3), repeat=n):
        best = [y for y in draws if r[y] == max(r[d] for d in draws)]
        for y in best:
            kept[y] += math.prod(ref[d] for d in draws) / len(best)
    assert best_of_n(BANDIT, tensor(r), n).exp().tolist() == pytest.approx(kept, rel=1e-12)


def test_best_of_n_never_keeps_what_is_never_drawn():
    kept = best_of_n(log(0.5, 0.5, 0.0), tensor([0.0, 1.0, 2.0]), 4)
    assert kept.exp().tolist() == pytest.approx([1 / 16, 15 / 16, 0], rel=1e-12)


TREE = [log(0.6, 0.4), torch.stack([log(0.9, 0.1), log(0.3, 0.7)])]
COINS = [log(0.5, 0.5), log(0.5, 0.5).expand(2, 2)]


def test_a_sequence_is_as_probable_as_its_words_after_their_prefixes():
    assert sequence_logp(TREE).exp().flatten().tolist() == pytest.approx([0.54, 0.06, 0.12, 0.28], rel=1e-12)


def test_each_place_is_weighted_by_the_prefixes_that_p_writes():
    each = token_relative_surprises(TREE, COINS)
    assert each.tolist() == pytest.approx([0.0201355136, 0.6 * 0.3680642072 + 0.4 * 0.0822828785], abs=1e-10)
    other_way = token_relative_surprises(COINS, TREE)
    assert other_way[1].item() == pytest.approx(
        (oracles.kl(COINS[0], TREE[1][0]) + oracles.kl(COINS[0], TREE[1][1])) / 2, rel=1e-12)


def test_surprises_of_places_sum_to_that_of_sequences_that_end_early():
    g, p, q = torch.Generator().manual_seed(0), [], []
    for steps in (p, q):
        for t in range(3):
            step = torch.randn((3,) * (t + 1), generator=g, dtype=torch.float64).log_softmax(-1)
            for prefix in itertools.product(range(3), repeat=t):
                if 2 in prefix:                        # word 2 ends the sequence
                    step[prefix] = log(0, 0, 1)
            steps.append(step)
    whole = oracles.kl(sequence_logp(p).flatten(), sequence_logp(q).flatten())
    assert token_relative_surprises(p, q).sum().item() == pytest.approx(whole, rel=1e-12)


def test_relative_surprise_passes_the_students_check():
    checks.check_relative_surprise(relative_surprise)
