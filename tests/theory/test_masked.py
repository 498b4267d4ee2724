"""Masked sums and means against hand numbers and loops."""

import math
import statistics

import pytest
import torch

from instructgpt_lite.checks import oracles
from instructgpt_lite.theory.masked import (
    masked,
    masked_mean,
    masked_var,
    masked_whiten,
)

REL = {"rel": 1e-12, "abs": 1e-14}
GARBAGE = [0.0, 1e300, math.inf, -math.inf, math.nan]


def draw(seed, rows=5, columns=7):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
    mask = torch.rand(rows, columns, generator=generator) < 0.6
    mask[0, 0] = mask[-1, -1] = True
    return x, mask


@pytest.mark.parametrize("seed", range(5))
def test_mean_is_over_all_counted_tokens_at_once(seed):
    x, mask = draw(seed)
    assert masked_mean(x, mask).item() == pytest.approx(oracles.masked_mean(x, mask), **REL)


def test_a_long_row_weighs_more_than_a_short_one():
    x = torch.tensor([[1.0, 0.0, 0.0], [4.0, 4.0, 4.0]])
    mask = torch.tensor([[True, False, False], [True, True, True]])
    assert masked_mean(x, mask).item() == 13 / 4


def test_variance_divides_by_the_number_of_counted_tokens():
    x, all_of_it = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.ones(4, dtype=torch.bool)
    assert masked_var(x, all_of_it).item() == 1.25


def test_whitening_one_two_three_four_uses_the_population_variance():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 99.0], dtype=torch.float64)
    white = masked_whiten(x, torch.tensor([True, True, True, True, False]))
    assert white.tolist() == pytest.approx([-1.34164078, -0.44721359, 0.44721359, 1.34164078, 0], abs=2e-8)


def test_whitening_a_three_by_three_block_gives_the_known_first_row():
    x = torch.tensor([[1.2, 1.3, 1.4], [1.5, 1.6, 1.7], [1.8, 1.9, 2.0]], dtype=torch.float64)
    first = masked_whiten(x, torch.ones(3, 3, dtype=torch.bool))[0]
    assert (first + 1.6).tolist() == pytest.approx([0.0508, 0.4381, 0.8254], abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_whitened_tokens_have_mean_zero_and_variance_one(seed):
    x, mask = draw(seed)
    white = masked_whiten(x, mask)
    assert white[mask].mean().item() == pytest.approx(0, abs=1e-14)
    assert white[mask].var(correction=0).item() == pytest.approx(1, rel=1e-7)
    counted = x[mask].tolist()
    sd = math.sqrt(statistics.pvariance(counted) + 1e-8)
    want = [(value - statistics.fmean(counted)) / sd for value in counted]
    assert white[mask].tolist() == pytest.approx(want, **REL) and not white[~mask].any()


def test_equal_tokens_whiten_to_zero():
    white = masked_whiten(torch.full((2, 3), 7.0), torch.ones(2, 3, dtype=torch.bool))
    assert white.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("function", [masked_mean, masked_var, masked_whiten])
def test_padding_reaches_neither_results_nor_gradients(function, garbage):
    x, mask = draw(0)
    clean, dirty = x.clone(), x.clone()
    clean[~mask], dirty[~mask] = 1.0, garbage
    results, gradients = [], []
    for leaf in (clean.requires_grad_(), dirty.requires_grad_()):
        result = function(leaf, mask)
        weight = torch.arange(result.numel(), dtype=torch.float64).view_as(result) + 1
        (result * weight).sum().backward()
        results.append(result)
        gradients.append(leaf.grad)
    assert torch.equal(*results) and torch.equal(*gradients)
    assert not gradients[1][~mask].any()


def test_masked_keeps_counted_entries_and_zeroes_the_rest():
    assert masked(torch.tensor([1.0, math.nan]), torch.tensor([True, False])).tolist() == [1.0, 0.0]


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) but its mask \(3,\)"):
        masked_mean(torch.ones(2, 3), torch.ones(3, dtype=torch.bool))


def test_there_is_no_mean_of_nothing():
    with pytest.raises(ValueError, match="counts nothing"):
        masked_mean(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool))


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(RuntimeError, match="boolean"):
        masked(torch.ones(3), torch.ones(3))
