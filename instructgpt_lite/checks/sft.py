"""Checks of a student's own functions about fine-tuning: masks, ends, padding, rows."""

import math
from collections.abc import Callable
from statistics import fmean

import torch

from instructgpt_lite.checks.grading import hold, hold_names, tensor


def check_response_mask(student: Callable) -> None:
    """(B, S), True at response tokens, of prompt_B and length_B = prompt + response."""
    def mask(at: Callable) -> Callable:
        return lambda p_B, n_B, S: torch.tensor([[
            at(s, p, n) for s in range(S)] for p, n in zip(p_B.tolist(), n_B.tolist())])

    hold(student, mask(lambda s, p, n: p <= s < n), [
        ("True from the first response token to the end.",
         (torch.tensor([2, 4, 1]), torch.tensor([5, 6, 4]), 7),
         (torch.tensor([3]), torch.tensor([5]), 5))], {
        "the prompt is given, and not learned.": mask(lambda s, p, n: s < n),
        "padding counts in yours: stop at the length.": mask(lambda s, p, n: s >= p),
        "without its end nothing ever stops.": mask(lambda s, p, n: p <= s < n - 1),
        "the prompt predicts the first token.": mask(lambda s, p, n: p < s < n),
        "one too early: mark the token itself, not the place that predicts it.":
            mask(lambda s, p, n: p - 1 <= s < n - 1),
        "that is the prompt.": mask(lambda s, p, n: s < p),
        "length_B has the prompt in it already.": mask(lambda s, p, n: p <= s < p + n),
        "count columns from the row's beginning, not from the response's.":
            mask(lambda s, p, n: s < n - p),
        "True is what counts.": mask(lambda s, p, n: not p <= s < n)})


def check_batch_loss(student: Callable) -> None:
    """Mean of nll_BT over all counted tokens of the batch; elsewhere is anything."""
    def of(total: Callable) -> Callable:
        return lambda nll, mask: total(
            [row[kept].tolist() for row, kept in zip(nll, mask)])

    cases = [("All counted tokens weigh the same, whatever padding holds.",
              (tensor([[1.0, 2, 3], [6, math.nan, math.nan]]),
               torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()),
              (tensor([[4.0, 70], [2, 8]]), torch.tensor([[1, 0], [1, 1]]).bool()))]
    hold(student, of(lambda x: fmean(sum(x, []))), cases, {
        "that is the mean of rows' means: a token of a short answer weighs more.":
            of(lambda x: fmean(map(fmean, x))),
        "divide by the number of tokens.": of(lambda x: sum(sum(x, []))),
        "divide by the tokens that count, not by all places.":
            lambda nll, mask: nll[mask].sum() / mask.numel(),
        "divide by tokens, not by rows.": of(lambda x: sum(sum(x, [])) / len(x)),
        "0 * nan is nan: pick what counts, do not multiply by the mask.":
            lambda nll, mask: (nll * mask).sum() / mask.sum(),
        "padding is in the mean: use the mask.": lambda nll, mask: nll.mean(),
        "padding need not hold nan: use the mask.": lambda nll, mask: nll.nanmean(),
        "a surprise is positive as it is; no minus.": of(lambda x: -fmean(sum(x, [])))})


def check_labels(student: Callable) -> None:
    """Labels (B, S) of token_BS with prompt_B: -100 at prompts and in padding, which is
    filled with the end's own id `eos`; the first end after a prompt counts."""
    def labels(counts: Callable, ignored: int = -100, shift: int = 0,
               after: int = 1) -> Callable:
        def row_of(row: list[int], p: int, eos: int) -> list[int]:
            end = [*row, eos].index(eos, p * after)
            kept = [x if counts(s, p, end, x == eos) else ignored
                    for s, x in enumerate(row)]
            return kept[shift:] + shift * [ignored]
        return lambda token, prompt, eos: torch.tensor(
            [row_of(*row, eos) for row in zip(token.tolist(), prompt.tolist())])

    def right(s: int, p: int, end: int, is_end: bool) -> bool:
        return p <= s <= end

    rows = torch.tensor([[5, 6, 7, 8, 9, 9], [9, 5, 8, 9, 9, 9], [5, 6, 7, 8, 8, 7]])
    cases = [("The response and its end count.", (rows, torch.tensor([2, 2, 1]), 9))]
    hold(student, labels(right), cases, {
        "with the padding you masked the end: this model will never stop.":
            labels(lambda s, p, end, is_end: p <= s and not is_end),
        "padding counts: one end is enough.": labels(lambda s, p, *_: s >= p),
        "the prompt counts in yours.": labels(lambda s, p, end, _: s <= end),
        "0 is a token; what does not count is -100.": labels(right, 0),
        "-1 is not what losses ignore; -100 is.": labels(right, -1),
        "do not shift: transformers' models do it.": labels(right, shift=1),
        "not the end alone, but the answer too.": labels(lambda s, p, e, _: s == e),
        "the first response token is missing.": labels(lambda s, p, e, _: p < s <= e),
        "an end in the prompt is the prompt's; ours comes after it.":
            labels(right, after=0)})


def check_positions(student: Callable) -> None:
    """Positions (B, S) of left-padded rows: from 0 at the first token; padding is 0."""
    def at(rule: Callable) -> Callable:
        return lambda real: torch.tensor([[
            int(rule(s, row.count(False), len(row))) for s in range(len(row))]
            for row in real.tolist()])

    hold(student, at(lambda s, pads, S: max(0, s - pads)), [
        ("The first token has position 0, however much padding is before it.",
         (torch.tensor([[0, 0, 1, 1, 1], [1] * 5, [0, 1, 1, 1, 1]]).bool(),))], {
        "that is the column, which is what goes wrong under left padding.":
            at(lambda s, pads, S: s),
        "padding is 0 now, but the tokens still have their columns.":
            at(lambda s, pads, S: s * (s >= pads)),
        "positions begin at 0, not at 1.": at(lambda s, pads, S: max(0, s - pads + 1)),
        "-1 is no row of a table of positions; 0 in padding.":
            at(lambda s, pads, S: max(-1, s - pads)),
        "0 in padding, no negative position.": at(lambda s, pads, S: s - pads),
        "0 in padding, not 1.": at(lambda s, pads, S: s - pads if s >= pads else 1),
        "that counts from the end.": at(lambda s, pads, S: (S - 1 - s) * (s >= pads)),
        "that is how much padding a row has.": at(lambda s, pads, S: pads)})


def check_block_mask(student: Callable) -> None:
    """(S, S), True where token q (row) sees k (column): its own example and past."""
    def sees(rule: Callable) -> Callable:
        return lambda x: torch.tensor([[rule(q, k, x[q] == x[k], x[k]) for k in
                                        range(len(x))] for q in range(len(x))])

    hold(student, sees(lambda q, k, one, _: one and k <= q), [
        ("A token sees itself and what stands before it in its own example.",
         (torch.tensor([0, 0, 0, 1, 1]),), (torch.tensor([3, 3, 5, 5, 5, 8]),))], {
        "causal only: it sees other examples.": sees(lambda q, k, *_: k <= q),
        "a token sees the future of its example.": sees(lambda q, k, one, _: one),
        "a token sees itself too.": sees(lambda q, k, one, _: one and k < q),
        "rows ask: transpose.": sees(lambda q, k, one, _: one and k >= q),
        "True is what is seen.": sees(lambda q, k, one, _: not (one and k <= q)),
        "no example is a common beginning.": sees(
            lambda q, k, one, at: (one or at == 0) and k <= q),
        "all of its past, not one token.": sees(
            lambda q, k, one, _: one and q - 1 <= k <= q),
        "that is others' past.": sees(lambda q, k, one, _: not one and k <= q)})


MEMORIZED = {                # rises from 2 to 16 epochs without dropout?, and why
    "held-out loss": (True, "What it has not seen surprises it more and more."),
    "training loss": (False, "That is what is trained: it falls all the way."),
    "gold": (True, "Judged is what it samples, and slips become rarer."),
    "surest gold": (False, "Its likeliest answer was as good after two epochs."),
    "text loss": (True, "Other text is not practised any more."),
}


def check_memorized(student: Callable) -> None:
    """The set of names in MEMORIZED that rise."""
    hold_names(student, MEMORIZED)
