"""Assignment 3: rows for fine-tuning, their loss, and what ends an answer."""

from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import hold

IGNORED = -100


def check_example(student: Callable, seed: int | str = 0) -> None:
    """(tokens, labels), lists of `length`, from prompt, response, eos, pad, length.

    The end is learned, prompt and padding are not (-100). Too long a prompt loses its
    first tokens; responses always fit.
    """
    def row(prompt: list, response: list, eos: int, pad: int, length: int, *,
            end: Callable = lambda eos: [eos], learned: Callable = lambda end: end,
            prompt_label: Callable = lambda prompt: [IGNORED] * len(prompt),
            padding: int | None = IGNORED, left: bool = False,
            cut: Callable = lambda prompt, n: prompt[len(prompt) - n:]) -> tuple:
        response = [*response, *end(eos)]
        prompt = cut(prompt, min(len(prompt), length - len(response)))
        label = [*prompt_label(prompt), *response[:-1], *learned(response[-1:])]
        free = length - len(prompt) - len(response)
        fill, blank = [pad] * free, [pad if padding is None else padding] * free
        tokens = prompt + response
        return (fill + tokens, blank + label) if left else (tokens + fill, label + blank)

    def with_(**options: object) -> Callable:
        return lambda *case: row(*case, **options)

    def shifted(*case: object) -> tuple:
        tokens, labels = row(*case)
        return tokens, labels[1:] + [IGNORED]

    draw = Draw(seed)
    ids = draw.random.sample(range(10, 60), 12)
    eos, pad = draw.random.sample(range(1, 9), 2)
    hold(student, row, [
        ("Prompt, response, end, padding; labels where the response and its end are.",
         (ids[:2], ids[2:5], eos, pad, 9), (ids[5:8], ids[8:10], eos, pad, 8)),
        ("Too long: the prompt loses its first tokens, the response none.",
         (ids[:6], ids[6:9], eos, pad, 7))], {
        "the end is missing: this model never stops.": with_(end=lambda eos: [],
                                                             learned=lambda e: e),
        "the end is there, but not learned: label it.":
            with_(learned=lambda end: [IGNORED]),
        "the prompt is learned, too: -100 there.": with_(prompt_label=list),
        "padding is learned: -100 there.": with_(padding=None),
        "0 is a token: what is not learned is -100.":
            with_(padding=0, prompt_label=lambda prompt: [0] * len(prompt)),
        "do not shift: the loss does it.": shifted,
        "padding comes after the end here, not before the prompt.": with_(left=True),
        "too long a prompt loses its first tokens, not its last: the question is there.":
            with_(cut=lambda prompt, n: prompt[:n]),
        "the last prompt token is learned: the first label is the response's first.":
            with_(prompt_label=lambda p: [IGNORED] * (len(p) - 1) + p[-1:]),
        "pads with the end: an id of its own is for padding.":
            lambda p, r, eos, pad, n: row(p, r, eos, eos, n),
        "labels first: (tokens, labels).": lambda *case: row(*case)[::-1]})


def check_sft_loss(student: Callable, seed: int | str = 0) -> None:
    """Mean surprise of the labels of a batch, from logits_BSV and label_BS (-100: none).

    logits at place s predict the label at s + 1; all labels weigh alike.
    """
    def of(total: Callable, ahead: int = 1, kept: Callable = lambda x: x != IGNORED,
           sign: int = -1) -> Callable:
        def loss(logits: Tensor, label: Tensor) -> float:
            rows = []
            for x, ids in zip(logits.tolist(), label.tolist()):
                places = [(s, ids[s + ahead]) for s in range(len(ids) - ahead)
                          if kept(ids[s + ahead])]
                rows.append([sign * (x[s][v] - oracles.log_sum_exp(x[s]))
                             for s, v in places])
            return total(rows)
        return loss

    def pooled(rows: list) -> float:
        return fmean(sum(rows, []))

    draw = Draw(seed)
    label = draw.tokens(3, 5, words=4)
    label[0, :2], label[1, :1], label[2, :3], label[2, 4:] = (IGNORED,) * 4
    label[0, 4] = 0
    hold(student, of(pooled), [
        ("Logits at s predict the label at s + 1; the mean over labels.",
         (draw.tensor(3, 5, 4), label))], {
        "not shifted: logits at s predict the label at s + 1.": of(pooled, ahead=0),
        "shifted by two: one is enough, and transformers' models do it themselves.":
            of(pooled, ahead=2),
        "a mean of rows' means: a token of a short answer weighs more.":
            of(lambda rows: fmean(map(fmean, rows))),
        "a sum: divide by the number of labels.": of(lambda rows: sum(sum(rows, []))),
        "divides by rows, not by labels.":
            of(lambda rows: sum(sum(rows, [])) / len(rows)),
        "divides by all places: those without a label do not count.":
            lambda *case: of(lambda rows: sum(sum(rows, [])))(*case) / case[1].numel(),
        "divides by all places but the first: only labels count.":
            lambda *case: of(lambda rows: sum(sum(rows, [])))(*case) / 12,
        "negative: a surprise is minus the logarithm.": of(pooled, sign=1),
        "0 is a label like any other: only -100 is none.":
            of(pooled, kept=lambda v: v > 0),
        "counts places without a label as if they cost nothing.":
            of(lambda rows: sum(map(fmean, rows)) / 4),
        "logits need log_softmax: a logit is no log-probability.":
            lambda logits, label: -fmean(
                x[s][ids[s + 1]] for x, ids in zip(logits.tolist(), label.tolist())
                for s in range(4) if ids[s + 1] != IGNORED)}, gradient_in=0)


def check_response_length(student: Callable, seed: int | str = 0) -> None:
    """length_B of token_BT: up to the first end, which counts; T where none comes."""
    def of(rule: Callable) -> Callable:
        def length(token: Tensor, eos: int) -> Tensor:
            return torch.tensor([rule([s for s, v in enumerate(row) if v == eos], len(row))
                                 for row in token.tolist()])
        return length

    draw = Draw(seed)
    eos = draw.random.randint(0, 3)
    token = draw.tokens(4, 6, words=9) + 4
    token[0, 2:] = token[1, 5] = token[3, 0] = token[3, 4] = eos
    hold(student, of(lambda ends, T: ends[0] + 1 if ends else T), [
        ("Up to the first end, the end included; all T where none comes.",
         (token, eos), (token.flip(0)[:, 1:], eos))], {
        "the end is a token of the answer: count it.":
            of(lambda ends, T: ends[0] if ends else T),
        "up to the first end, not to the last.":
            of(lambda ends, T: ends[-1] + 1 if ends else T),
        "no end has length T, not 0.": of(lambda ends, T: ends[0] + 1 if ends else 0),
        "no end has length T, not 1: argmax finds 0 where nothing is.":
            of(lambda ends, T: ends[0] + 1 if ends else 1),
        "that is how many tokens are no end: what follows an end is no answer.":
            of(lambda ends, T: T - len(ends)),
        "that is how many ends there are.": of(lambda ends, T: len(ends)),
        "no end has length T, not T + 1.":
            of(lambda ends, T: ends[0] + 1 if ends else T + 1),
        "yours is T for every row: look for the end.": of(lambda ends, T: T),
        "that is what follows the end.":
            of(lambda ends, T: T - ends[0] - 1 if ends else 0),
        "tokens that are no end, and one more, only if nothing follows the end.":
            of(lambda ends, T: T - len(ends) + 1)})


def check_accumulated(student: Callable, seed: int | str = 0) -> None:
    """The loss of a whole batch from its micro-batches: mean_M of each, and count_M of
    labels in each."""
    def of(total: Callable) -> Callable:
        return lambda mean, count: total([*zip(mean.tolist(), count.tolist())])

    draw = Draw(seed)
    cases = [(draw.tensor(n, low=0.2, high=3), torch.tensor(draw.integers(n, 1, 30)))
             for n in (3, 4)]
    cases[0][1][:2], cases[1][1][-1] = torch.tensor([40, 3]), 0
    hold(student, of(lambda parts: sum(m * n for m, n in parts) / sum(
        n for _, n in parts)), [("Every label weighs alike.", *cases)], {
        "a mean of means: a label of a small micro-batch weighs more.":
            of(lambda parts: fmean(m for m, _ in parts)),
        "a sum of means: it grows with the number of micro-batches.":
            of(lambda parts: sum(m for m, _ in parts)),
        "divides twice: mean times count is already the sum of one.":
            of(lambda parts: fmean(m * n for m, n in parts) / sum(n for _, n in parts)),
        "divides by micro-batches, not by labels.":
            of(lambda parts: fmean(m * n for m, n in parts)),
        "that is the sum: divide by the labels.":
            of(lambda parts: sum(m * n for m, n in parts)),
        "means are not weighed: each has its count.":
            of(lambda parts: sum(m for m, _ in parts) / sum(n for _, n in parts)),
        "weighs the wrong way round: a larger micro-batch weighs more.":
            of(lambda parts: sum(m / (n or 1) for m, n in parts)
               / sum(1 / (n or 1) for _, n in parts)),
        "that is the last micro-batch alone.": of(lambda parts: parts[-1][0]),
        "that is the largest micro-batch alone.":
            of(lambda parts: max(parts, key=lambda part: part[1])[0]),
        "an empty micro-batch counts nothing: yours leaves it a vote.":
            of(lambda parts: sum(m * max(n, 1) for m, n in parts)
               / sum(max(n, 1) for _, n in parts))})
