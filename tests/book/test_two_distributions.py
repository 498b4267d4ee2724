"""The two distributions moved by hand: JavaScript's sums beside theory.surprise, and its draws."""

import math
from functools import partial

import pytest
import torch

from instructgpt_lite.book.widgets import TwoDistributions
from instructgpt_lite.theory import surprise


@pytest.fixture
def run(javascript):
    return partial(javascript, "surprise.js")


def pairs() -> torch.Tensor:
    """Logits of 20 pairs of distributions over five words, near and far."""
    size = torch.linspace(0.01, 4, 20, dtype=torch.float64)[:, None, None]
    return size * torch.randn(20, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_sums_in_javascript_are_those_of_python(run):
    got = run("given.map(([a, b]) => { const p = m.logSoftmax(a), q = m.logSoftmax(b);"
              " return [m.entropy(p), m.crossEntropy(p, q), m.relativeSurprise(p, q), m.relativeSurprise(q, p)]; })",
              pairs().tolist())
    p, q = pairs().log_softmax(dim=-1).unbind(dim=1)
    want = torch.stack([surprise.entropy(p), surprise.cross_entropy(p, q), surprise.relative_surprise(p, q),
                        surprise.relative_surprise(q, p)], dim=-1)
    torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), want, rtol=1e-12, atol=1e-14)


def test_estimates_in_javascript_are_those_of_python(run):
    got = run("given.map(([a, b]) => { const p = m.logSoftmax(a), q = m.logSoftmax(b);"
              " return Object.values(m.ESTIMATORS).map((k) => k(p, q)); })", pairs().tolist())
    p, q = pairs().log_softmax(dim=-1).unbind(dim=1)
    want = torch.stack([k(p, q) for k in (surprise.k1, surprise.k2, surprise.k3)], dim=1)
    torch.testing.assert_close(torch.tensor(got, dtype=torch.float64), want, rtol=1e-11, atol=1e-14)


def test_what_a_distribution_excludes_adds_nothing(run):
    p, q = [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]
    got = run("(([p, q]) => [m.entropy(p), m.relativeSurprise(p, q), m.expectation(p, [1, 2, Infinity])])"
              "(given.map((p) => p.map(Math.log)))", [p, q])
    assert got == pytest.approx([math.log(2), math.log(2), 1.5], rel=1e-12)


def test_the_sampler_is_tempered_and_without_what_is_forbidden(run):
    p = pairs()[10, 0].log_softmax(dim=-1)
    warm, short = run("[m.sampler(given, 1.5, false), m.sampler(given, 0.5, true)].map((b) => b.map(Math.exp))",
                      p.tolist())
    assert warm == pytest.approx((p / 1.5).softmax(dim=-1).tolist(), rel=1e-12)
    assert short == pytest.approx([*(p[:4] / 0.5).softmax(dim=-1).tolist(), 0.0], rel=1e-12)


def test_draws_come_as_often_as_they_should_and_the_impossible_never(run):
    p = [0.5, 0.25, 0.0, 0.25, 0.0]
    logp = "given.map(Math.log)"
    found, again, other = run(f"[m.counts({logp}, 40000, 1), m.counts({logp}, 40000, 1), m.counts({logp}, 40000, 2)]",
                              p)
    assert sum(found) == 40_000 and found == again and found != other
    for count, share in zip(found, p, strict=True):
        assert abs(count / 40_000 - share) <= 4 * (share * (1 - share) / 40_000) ** 0.5


def test_a_summary_is_of_the_drawn_values(run):
    found, values = [3, 0, 1], [-1.0, 100.0, 2.0]
    got = run("m.summary(given[0], given[1])", [values, found])
    x = torch.tensor([-1.0, -1.0, -1.0, 2.0])
    assert got["mean"] == pytest.approx(x.mean().item())
    assert got["spread"] == pytest.approx(x.std(unbiased=False).item())
    assert got["error"] == pytest.approx(x.std().item() / 2, rel=1e-6)
    assert got["negative"] == 0.75


def test_the_places_of_the_sliders_give_the_distribution_back(run):
    p = [0.5, 0.3, 0.15, 0.04, 0.01]
    assert run("m.logSoftmax(m.weights(given)).map(Math.exp)", p) == pytest.approx(p, rel=1e-12)


def test_the_figure_opens_on_two_distributions_that_differ_both_ways():
    p, q = (torch.tensor(logits, dtype=torch.float64).log_softmax(dim=-1)
            for logits in (TwoDistributions().policy, TwoDistributions().reference))
    assert p.exp().tolist() == pytest.approx([0.4, 0.25, 0.15, 0.1, 0.1])
    assert 0.1 < surprise.relative_surprise(p, q) != surprise.relative_surprise(q, p)
    assert len(TwoDistributions().words) == len(p) == len(q)


def test_the_figure_carries_its_code_and_says_the_same_each_time():
    state = TwoDistributions().get_state()
    assert "export default { render }" in state["_esm"] and "relativeSurprise" in state["_esm"]
    assert repr(TwoDistributions()) == repr(TwoDistributions()) and "0x" not in repr(TwoDistributions())
