"""The usual mistakes of students about fine-tuning: each is refused, and by the sentence it deserves."""

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.checks.sft import MEMORIZED


def refused(check, mistake, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(mistake)


# The mask of a response

def span(start=lambda p, n: p, end=lambda p, n: n):
    def mask(prompt_B, length_B, S):
        column_S = torch.arange(S)
        return (column_S >= start(prompt_B, length_B)[:, None]) & (column_S < end(prompt_B, length_B)[:, None])
    return mask


def test_right_masks_of_any_form_pass():
    def loops(prompt_B, length_B, S):
        mask = torch.zeros(len(prompt_B), S, dtype=torch.long)
        for row, (start, end) in enumerate(zip(prompt_B, length_B)):
            mask[row, start:end] = 1
        return mask

    for right in (span(), loops, lambda p, n, S: loops(length_B=n, prompt_B=p, S=S).double()):
        checks.check_response_mask(right)


@pytest.mark.parametrize("mistake, sentence", [
    (span(lambda p, n: 0 * p), "prompt is given"), (span(end=lambda p, n: n + 9), "stop at the length"),
    (span(end=lambda p, n: n - 1), "nothing ever stops"), (span(lambda p, n: p + 1), "the prompt predicts"),
    (span(lambda p, n: p - 1, lambda p, n: n - 1), "one too early"),
    (span(lambda p, n: 0 * p, lambda p, n: p), "that is the prompt"),
    (span(end=lambda p, n: p + n), "prompt in it already"),
    (span(lambda p, n: 0 * p, lambda p, n: n - p), "the row's beginning"),
    (span(lambda p, n: n - 1), "is right"), (lambda *x: ~span()(*x), "True is what counts"),
    (lambda p, n, S: span()(p, n, S - 1), "returned shape"), (lambda p, n, S: p, "returned shape"),
    (lambda p, n, S: span()(p, n, S).tolist(), "returned list")])
def test_mistakes_in_the_response_mask_get_their_sentence(mistake, sentence):
    refused(checks.check_response_mask, mistake, sentence)


# The loss of a batch

def test_right_losses_of_any_form_pass():
    def loops(nll_BT, mask_BT):
        counted = [nll_BT[b, t] for b, t in mask_BT.nonzero().tolist()]
        return sum(counted) / len(counted)

    for right in (lambda nll, mask: nll[mask].mean(), loops, lambda nll, mask: float(nll[mask].mean()),
                  lambda nll, mask: torch.where(mask, nll, 0).float().sum() / mask.sum()):
        checks.check_batch_loss(right)


def by_row(nll, mask):
    return torch.stack([row[kept].mean() for row, kept in zip(nll, mask)])


@pytest.mark.parametrize("mistake, sentence", [
    (lambda nll, mask: by_row(nll, mask).mean(), "mean of rows' means"),
    (lambda nll, mask: nll[mask].sum(), "by the number of tokens"),
    (lambda nll, mask: torch.where(mask, nll, 0).mean(), "not by all places"),
    (lambda nll, mask: nll[mask].sum() / len(nll), "not by rows"),
    (lambda nll, mask: (nll * mask).sum() / mask.sum(), "do not multiply"),
    (lambda nll, mask: nll.mean(), "is in the mean"),
    (lambda nll, mask: nll.nanmean(), "need not hold nan"), (lambda nll, mask: -nll[mask].mean(), "no minus"),
    (lambda nll, mask: nll[mask].sum() / mask.sum(1).max(), "is right"),
    (lambda nll, mask: by_row(nll, mask), "returned shape"), (lambda nll, mask: nll[mask].median(), "is right")])
def test_mistakes_in_the_loss_of_a_batch_get_their_sentence(mistake, sentence):
    refused(checks.check_batch_loss, mistake, sentence)


# Labels where padding is filled with ends

def labelled(counts, ignored=-100):
    def labels(token_BS, prompt_B, eos):
        place_S = torch.arange(token_BS.size(1))
        answers_BS = place_S >= prompt_B[:, None]
        before_BS = ((token_BS == eos) & answers_BS).cumsum(1) - ((token_BS == eos) & answers_BS).long()
        return torch.where(counts(answers_BS, before_BS, token_BS == eos), token_BS, ignored)
    return labels


def kept(answers, before, ends):
    return answers & (before == 0)


def whole_row(token_BS, prompt_B, eos):
    before_BS = (token_BS == eos).cumsum(1) - (token_BS == eos).long()
    return torch.where((torch.arange(token_BS.size(1)) >= prompt_B[:, None]) & (before_BS == 0), token_BS, -100)


def shifted(token_BS, prompt_B, eos):
    labels = labelled(kept)(token_BS, prompt_B, eos)
    return torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], -100)], dim=1)


def first_left_out(token_BS, prompt_B, eos):
    labels = labelled(kept)(token_BS, prompt_B, eos)
    return labels.scatter(1, prompt_B[:, None], -100)


def test_right_labels_of_any_form_pass():
    def loops(token_BS, prompt_B, eos):
        labels = token_BS.clone()
        for row, start in zip(labels, prompt_B.tolist()):
            row[:start] = -100
            ends = (row == eos).nonzero()[:, 0]
            row[ends[1:]] = -100
        return labels

    for right in (labelled(kept), loops, lambda token_BS, prompt_B, eos: loops(token_BS, prompt_B, eos).double()):
        checks.check_labels(right)


@pytest.mark.parametrize("mistake, sentence", [
    (labelled(lambda answers, before, ends: answers & ~ends), "never stop"),
    (labelled(lambda answers, before, ends: answers), "one end is enough"),
    (labelled(lambda answers, before, ends: before == 0), "the prompt counts"), (labelled(kept, 0), "0 is a token"),
    (labelled(kept, -1), "-100 is"), (shifted, "do not shift"), (labelled(lambda *x: ~kept(*x)), "is right"),
    (labelled(lambda answers, before, ends: kept(answers, before, ends) & ends), "not the end alone"),
    (first_left_out, "first response token is missing"), (whole_row, "the prompt's"),
    (lambda token_BS, prompt_B, eos: token_BS, "is right"), (lambda *x: labelled(kept)(*x)[:, 1:], "returned shape")])
def test_mistakes_in_labels_get_their_sentence(mistake, sentence):
    refused(checks.check_labels, mistake, sentence)


# Positions under left padding

def count(real_BS):
    return real_BS.long().cumsum(dim=1)


def column(real_BS):
    return torch.arange(real_BS.size(1)).expand(real_BS.shape)


def test_right_positions_of_any_form_pass():
    def loops(real_BS):
        return torch.stack([torch.tensor([0] * int((~row).sum()) + list(range(int(row.sum())))) for row in real_BS])

    for right in (lambda real: (count(real) - 1).clamp(min=0), loops, lambda real_BS: loops(real_BS).double()):
        checks.check_positions(right)


@pytest.mark.parametrize("mistake, sentence", [
    (column, "that is the column"), (lambda real: column(real) * real, "still have their columns"),
    (count, "begin at 0"), (lambda real: count(real) - 1, "no row of a table"),
    (lambda real: column(real) - (~real).sum(1, keepdim=True), "no negative"),
    (lambda real: (count(real) - 1).masked_fill(~real, 1), "not 1"),
    (lambda real: (real.size(1) - 1 - column(real)) * real, "from the end"),
    (lambda real: (~real).sum(1, keepdim=True).expand(real.shape), "how much padding"),
    (lambda real: real, "is right"), (lambda real: count(real)[0], "returned shape")])
def test_mistakes_in_positions_get_their_sentence(mistake, sentence):
    refused(checks.check_positions, mistake, sentence)


# Examples in one row

def packed(rule):
    def mask(segment_S):
        place_S = torch.arange(len(segment_S))
        return rule(place_S[:, None] - place_S, segment_S[:, None] == segment_S, segment_S == 0)
    return mask


def test_right_block_masks_of_any_form_pass():
    def loops(segment_S):
        ids = segment_S.tolist()
        return torch.tensor([[float(q >= k and ids[q] == ids[k]) for k in range(len(ids))] for q in range(len(ids))])

    for right in (packed(lambda back, same, first: same & (back >= 0)), loops):
        checks.check_block_mask(right)


@pytest.mark.parametrize("rule, sentence", [
    (lambda back, same, first: back >= 0, "causal only"), (lambda back, same, first: same, "future"),
    (lambda back, same, first: same & (back > 0), "itself too"),
    (lambda back, same, first: same & (back <= 0), "transpose"),
    (lambda back, same, first: ~(same & (back >= 0)), "what is seen"),
    (lambda back, same, first: (same | first) & (back >= 0), "common beginning"),
    (lambda back, same, first: same & (back >= 0) & (back <= 1), "not one token"),
    (lambda back, same, first: ~same & (back >= 0), "others' past"),
    (lambda back, same, first: same & (back == 0), "is right"), (lambda back, same, first: first, "returned shape")])
def test_mistakes_in_block_masks_get_their_sentence(rule, sentence):
    refused(checks.check_block_mask, packed(rule), sentence)


# What many epochs do

RISES = {name for name, (rises, _) in MEMORIZED.items() if rises}


@pytest.mark.parametrize("name", MEMORIZED)
def test_each_wrong_guess_about_many_epochs_hears_why(name):
    for form in (set, list, tuple):
        checks.check_memorized(lambda form=form: form(RISES))
    refused(checks.check_memorized, lambda: RISES ^ {name}, f"^{name}: ")


@pytest.mark.parametrize("guess, sentence", [({"weather"}, "weather"), ("gold", "a set of"), (None, "a set of")])
def test_what_is_no_set_of_names_is_told_so(guess, sentence):
    refused(checks.check_memorized, lambda: guess, sentence)
