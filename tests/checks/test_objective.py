"""The usual mistakes of students about the objective of PPO are refused, by the sentence they deserve."""

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite import checks


def times_the_mask(x, mask):
    return (x * mask).sum() / mask.sum()


def mean_of_row_means(x, mask):
    return (torch.where(mask, x, 0).sum(dim=1) / mask.sum(dim=1)).mean()


@pytest.mark.parametrize("mistake", [times_the_mask, mean_of_row_means])
def test_means_that_read_padding_or_weigh_rows_alike_are_refused(mistake):
    with pytest.raises(AssertionError, match="must not leak"):
        checks.check_masked_mean(mistake)


def test_a_value_loss_without_half_or_with_the_better_error_is_refused():
    def value_loss(value, old, target, mask, clip, pick=torch.maximum, half=0.5):
        value, old, target = value[mask], old[mask], target[mask]
        near = old + (value - old).clamp(-clip, clip) if clip else value
        return half * pick((value - target).square(), (near - target).square()).mean()

    checks.check_value_loss(value_loss)
    with pytest.raises(AssertionError, match="half the mean"):
        checks.check_value_loss(lambda *args: value_loss(*args, half=1))
    with pytest.raises(AssertionError, match="larger of the two"):
        checks.check_value_loss(lambda *args: value_loss(*args, pick=torch.minimum))


def language_model_loss(logits, token, shift=1, rows=None, reduction="mean"):
    logits, token = logits[:rows, :logits.size(1) - shift], token[:rows, shift:]
    return F.cross_entropy(logits.flatten(0, 1), token.flatten(), reduction=reduction)


def summed_over_rows(logits, token):
    return sum(language_model_loss(*row) for row in zip(logits[:, None], token[:, None]))


@pytest.mark.parametrize("mistake, sentence", [
    (lambda *pair: language_model_loss(*pair, shift=0), r"about token t \+ 1"),
    (lambda *pair: language_model_loss(*pair, reduction="sum"), r"about token t \+ 1"),
    (lambda *pair: language_model_loss(*pair, rows=1), "all rows and places"),
    (summed_over_rows, "all rows and places")])
def test_mistakes_in_the_language_model_loss_get_their_sentence(mistake, sentence):
    checks.check_ptx_loss(language_model_loss)
    with pytest.raises(AssertionError, match=sentence):
        checks.check_ptx_loss(mistake)
