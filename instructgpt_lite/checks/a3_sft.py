"""Assignment 3: rows for fine-tuning, their loss, and what ends an answer."""

from collections.abc import Callable
from functools import reduce
from math import log
from statistics import fmean

import torch
from torch import Tensor

from instructgpt_lite.checks import oracles
from instructgpt_lite.checks.draw import Draw
from instructgpt_lite.checks.grading import Mistakes, hold, tensor

IGNORED = -100
FAR = ("Far apart, exp overflows, log of softmax is -inf, and a clamp hides who is "
       "far: use log_softmax.")
FAR_LOGITS = tensor([[x, [0, 0]] for x in ([1000, -1000], [-1000, -900], [9, -9])])


def _row(prompt: list, response: list, eos: int, pad: int, length: int, *,
         end: Callable = lambda eos: [eos], learned: Callable = lambda end: end,
         prompt_label: Callable = lambda prompt: [IGNORED] * len(prompt),
         padding: int | None = IGNORED, left: bool = False,
         cut: Callable = lambda prompt, n: prompt[len(prompt) - n:]) -> tuple:
    """(tokens, labels) of a row, right if no option is given."""
    response = [*response, *end(eos)]
    prompt = cut(prompt, min(len(prompt), length - len(response)))
    label = [*prompt_label(prompt), *response[:-1], *learned(response[-1:])]
    free = length - len(prompt) - len(response)
    fill, blank = [pad] * free, [pad if padding is None else padding] * free
    tokens = prompt + response
    if left:
        return fill + tokens, blank + label
    return tokens + fill, label + blank


def check_example(student: Callable, seed: int | str = 0) -> None:
    """(tokens, labels), lists of `length`, from prompt, response, eos, pad, length.

    The end is learned, prompt and padding are not (-100). Too long a prompt loses its
    first tokens; responses always fit.
    """
    draw = Draw(seed)
    ids = draw.random.sample(range(10, 60), 12)
    eos, pad = draw.random.sample(range(1, 9), 2)
    hold(student, _row, [
        ("Prompt, response, end, padding; labels where the response and its end are.",
         (ids[:2], ids[2:5], eos, pad, 9), (ids[5:8], ids[8:10], eos, pad, 8)),
        ("Too long: the prompt loses its first tokens, the response and its end none.",
         (ids[:6], ids[6:9], eos, pad, 7))],
         _other_rows() | _other_labels() | _other_tokens())
    hold(student, _row, [
        ("No room is left for the prompt: of a list x, x[-0:] is all.",
         (ids[:2], ids[2:5], eos, pad, 4)),
        ("A row may be full, a prompt or response empty, and an id 0 or that of the "
         "end: the end comes all the same.",
         (ids[:3], ids[3:4], eos, pad, 5), ([], ids[:2], eos, pad, 4),
         (ids[:2], [], eos, pad, 4), (ids[:2], [0, ids[2]], eos, pad, 6),
         (ids[:1], [eos, ids[1], eos], eos, pad, 6), (ids[:2], ids[2:4], 0, pad, 6))])
    hold(student, _row, [
        ("Labels go by place: one id may pad and end, or stand in prompt and response.",
         (ids[:2], ids[2:5], eos, eos, 9), (ids[:4], ids[2:6], eos, pad, 11),
         ([eos, pad, ids[0]], [ids[1], pad, ids[2]], eos, pad, 9))],
         _other_ids())


def _other_rows() -> Mistakes:
    """Mistakes of `check_example` that an option of `_row` makes."""
    def with_(**options: object) -> Callable:
        return lambda *case: _row(*case, **options)

    def shifted(*case: object) -> tuple:
        tokens, labels = _row(*case)
        return tokens, labels[1:] + [IGNORED]

    return {
        "the end is missing: this model never stops.": with_(end=lambda eos: [],
                                                             learned=lambda e: e),
        "the end is there, but not learned: label it.":
            with_(learned=lambda end: [IGNORED]),
        "the prompt is learned, too: -100 there.": with_(prompt_label=list),
        "padding is learned: -100 there.": with_(padding=None),
        "what is not learned is -100, neither 0 nor -1.":
            tuple(with_(padding=x, prompt_label=lambda prompt, x=x: [x] * len(prompt))
                  for x in (0, -1)),
        "the end and padding are exchanged.":
            lambda p, r, eos, pad, n: _row(p, r, pad, eos, n),
        "do not shift: the loss does it.": shifted,
        "padding comes after the end here, not before the prompt.": with_(left=True),
        "too long a prompt loses its first tokens: the question is in its last.":
            with_(cut=lambda prompt, n: prompt[:n]),
        "the last prompt token is learned: the first label is the response's first.":
            with_(prompt_label=lambda p: [IGNORED] * (len(p) - 1) + p[-1:]),
        "pads with the end: an id of its own is for padding.":
            lambda p, r, eos, pad, n: _row(p, r, eos, eos, n),
        "yours has the labels first: (tokens, labels).":
            lambda *case: _row(*case)[::-1]}


def _other_labels() -> Mistakes:
    """Mistakes of `check_example` in the labels, from the right answer."""
    def of(label: Callable) -> Callable:
        def answer(*case: object) -> tuple:
            tokens, labels = _row(*case)
            return tokens, [label(x, y, case[3]) for x, y in zip(tokens, labels)]
        return answer

    def late(*case: object) -> tuple:
        tokens, labels = _row(*case)
        first = sum(x == IGNORED for x in labels[:labels.index(case[1][0])])
        return tokens, [IGNORED if s == first else x for s, x in enumerate(labels)]

    return {
        "prompt and padding are learned: -100 at both.": of(lambda x, y, pad: x),
        "what is not learned has the label -100, not that of padding.":
            of(lambda x, y, pad: pad if y == IGNORED else y),
        "that is a mask of what is learned: labels are tokens, and -100 elsewhere.":
            of(lambda x, y, pad: int(y != IGNORED)),
        "the first token of the response is learned, too.": late}


def _other_ids() -> Mistakes:
    """Mistakes of `check_example` that look at ids instead of places."""
    def by_pad(*case: object) -> tuple:
        tokens, labels = _row(*case)
        return tokens, [IGNORED if y == case[3] else y for y in labels]

    def by_id(prompt: list, response: list, eos: int, *rest: int) -> tuple:
        tokens, _ = _row(prompt, response, eos, *rest)
        return tokens, [x if x in [*response, eos] else IGNORED for x in tokens]

    return {
        "where one id pads and ends, the end is still learned: go by place.": by_pad,
        "an id of the response may stand elsewhere, too: go by place.": by_id}


def _other_tokens() -> Mistakes:
    """Mistakes of `check_example` in the tokens, from the right answer."""
    def two_ends(prompt: list, response: list, eos: int, *rest: int) -> tuple:
        return _row([*prompt, eos], response, eos, *rest)

    def end_last(prompt: list, response: list, eos: int, *rest: int) -> tuple:
        tokens, labels = _row(prompt, response, eos, *rest)
        at = tokens.index(eos)
        return ([*tokens[:at], *tokens[at + 1:], eos],
                [*labels[:at], *labels[at + 1:], eos])

    def ragged(prompt: list, response: list, eos: int, pad: int, length: int) -> tuple:
        used = min(length, len(prompt) + len(response) + 1)
        return tuple(x[:used] for x in _row(prompt, response, eos, pad, length))

    return {
        "one end, after the response: none after the prompt.": two_ends,
        "the end follows the response, padding follows the end.": end_last,
        "a row is shorter than `length`: pad it.": ragged}


def _loss_of(total: Callable, ahead: int = 1,
             kept: Callable = lambda x: x != IGNORED, sign: int = -1) -> Callable:
    """total(losses of the labels of each row)."""
    def loss(logits: Tensor, label: Tensor) -> float:
        rows = []
        for x, ids in zip(logits.tolist(), label.tolist()):
            places = [(s, ids[s + ahead]) for s in range(len(ids) - ahead)
                      if kept(ids[s + ahead])]
            rows.append([sign * (x[s][v] - oracles.log_sum_exp(x[s]))
                         for s, v in places])
        return total(rows)
    return loss


def _pooled(rows: list) -> float:
    return fmean(sum(rows, []))


def check_sft_loss(student: Callable, seed: int | str = 0) -> None:
    """Mean surprise of a batch's labels, from logits_BSV and label_BS (-100: none).

    logits at place s predict the label at s + 1; all labels weigh alike. Nothing
    predicts what stands at place 0: it does not count.
    """
    draw = Draw(seed)
    label = draw.tokens(3, 5, words=3)
    label[0, :2], label[1, :1], label[2, :3], label[2, 4:] = (IGNORED,) * 4
    label[0, 4] = 0
    hold(student, _loss_of(_pooled), [
        ("Logits at s predict the label at s + 1; the mean over labels.",
         (draw.tensor(3, 5, 3), label))],
         _other_places() | _other_losses(), gradient_in=0)
    label = label.clone()
    label[1, 0], label[2, 0] = draw.integers(2, 0, 2)
    hold(student, _loss_of(_pooled), [
        ("Nothing predicts the label at place 0: it does not count.",
         (draw.tensor(3, 5, 3), label))], _first_places(), gradient_in=0)
    gaps = torch.tensor([[IGNORED, 1, IGNORED, 0], [IGNORED] * 4])
    hold(student, _loss_of(_pooled), [
        ("Labels may have gaps, and a row may have none.",
         (draw.tensor(2, 4, 3), gaps)),
        (FAR, (FAR_LOGITS, torch.tensor([[IGNORED, 1]] * 3)))], gradient_in=0)


def _other_places() -> Mistakes:
    """Mistakes of `check_sft_loss` in places, and in what the sum is divided by."""
    total = _loss_of(lambda rows: sum(sum(rows, [])))
    return {
        "not shifted: logits at s predict the label at s + 1.":
            (_loss_of(_pooled, ahead=0), lambda logits, label: _loss_of(
                _pooled, ahead=0)(logits[:, :-1], label[:, :-1])),
        "shifted by two: one is enough, and transformers' models do it themselves.":
            _loss_of(_pooled, ahead=2),
        "a mean of rows' means: a token of a short answer weighs more.":
            _loss_of(lambda rows: fmean(map(fmean, rows))),
        "a sum: divide by the number of labels.": total,
        "divides by rows, not by labels.":
            _loss_of(lambda rows: sum(sum(rows, [])) / len(rows)),
        "divides by all places: those without a label do not count.":
            lambda *case: total(*case) / case[1].numel(),
        "divides by all places but the first: only labels count.":
            lambda *case: total(*case) / 12,
        "negative: a surprise is minus the logarithm.": _loss_of(_pooled, sign=1),
        "0 is a label like any other: only -100 is none.":
            _loss_of(_pooled, kept=lambda v: v > 0),
        "counts places without a label as if they cost nothing.":
            _loss_of(lambda rows: sum(map(fmean, rows)) / 4),
        "logits need log_softmax: a logit is no log-probability.":
            lambda logits, label: -fmean(
                x[s][ids[s + 1]] for x, ids in zip(logits.tolist(), label.tolist())
                for s in range(4) if ids[s + 1] != IGNORED)}


def _first_places() -> Mistakes:
    """Mistakes of `check_sft_loss` about labels at place 0."""
    def around(logits: Tensor, label: Tensor) -> float:
        """Each row's last logits predict its own first label."""
        more = torch.cat([label, label[:, :1]], dim=1)
        return _loss_of(_pooled)(torch.cat([logits, logits[:, :1]], dim=1), more)

    def across(logits: Tensor, label: Tensor) -> float:
        return _loss_of(_pooled)(logits.flatten(0, 1)[None], label.view(1, -1))

    def counted(logits: Tensor, label: Tensor) -> float:
        total = _loss_of(lambda rows: sum(sum(rows, [])))(logits, label)
        return total / (label != IGNORED).sum().item()

    return {
        "the end of a row does not predict the start of the next.": across,
        "the end of a row does not predict its own start.": around,
        "what stands at place 0 is in the number that you divide by.": counted}


def _other_losses() -> Mistakes:
    """Mistakes of `check_sft_loss` in the softmax, or in what -100 means."""
    def of(logp: Callable, found: Callable = lambda loss, kept: loss[kept].mean(),
           shift: int = 1) -> Callable:
        def loss(logits: Tensor, label: Tensor) -> Tensor:
            x = logp(logits)
            ids = label[:, max(shift, 0):label.size(1) + min(shift, 0)]
            x = x[:, :-1] if shift > 0 else x[:, 1:]
            each = -x.gather(-1, (ids % x.size(-1))[..., None])[..., 0]
            return found(each, ids != IGNORED)
        return loss

    def log_softmax(x: Tensor) -> Tensor:
        return x.log_softmax(dim=-1)

    def over_all(loss: Tensor, kept: Tensor) -> Tensor:
        return loss.mean()

    def zero(logits: Tensor, label: Tensor) -> Tensor:
        return of(log_softmax, over_all)(logits, label.clamp(min=0))

    return {
        "shifted the other way: logits at s predict the label at s + 1.":
            of(log_softmax, shift=-1),
        "-100 is no token: where it stands nothing is learned.":
            (zero, of(log_softmax, over_all)),
        "softmax is taken twice: cross_entropy wants logits.":
            of(lambda x: log_softmax(x.softmax(dim=-1))),
        "softmax goes over words, the last axis.":
            (of(lambda x: x.log_softmax(dim=1)), of(lambda x: x.log_softmax(dim=0))),
        "that is the probability: a surprise has a logarithm.":
            (of(lambda x: x.softmax(dim=-1)), of(lambda x: 1 + x.softmax(dim=-1))),
        "in bits: nats need no log 2.": of(lambda x: log_softmax(x) / log(2)),
        "that is the perplexity: leave exp out.":
            lambda *case: of(log_softmax)(*case).exp()}


def check_response_length(student: Callable, seed: int | str = 0) -> None:
    """length_B of token_BT: up to the first end, which counts; T where none comes."""
    def of(rule: Callable) -> Callable:
        def length(token: Tensor, eos: int) -> Tensor:
            return torch.tensor([
                rule([s for s, v in enumerate(row) if v == eos], len(row))
                for row in token.tolist()])
        return length

    draw = Draw(seed)
    eos = draw.random.randint(1, 3)
    token = draw.tokens(4, 6, words=9) + 4
    token[0, 2:] = token[1, 5] = token[3, 0] = token[3, 4] = eos
    hold(student, of(lambda ends, T: ends[0] + 1 if ends else T), [
        ("Up to the first end, the end included; all T where none comes.",
         (token, eos), (token.flip(0)[:, 1:].contiguous(), eos))], {
        "the end is a token of the answer: count it.":
            of(lambda ends, T: ends[0] if ends else T),
        "up to the first end, not to the last.":
            of(lambda ends, T: ends[-1] + 1 if ends else T),
        "no end has length T, not 0.": of(lambda ends, T: ends[0] + 1 if ends else 0),
        "no end has length T, not 1: argmax finds 0 where nothing is.":
            of(lambda ends, T: ends[0] + 1 if ends else 1),
        "that is how many tokens are no end: what follows an end is no answer.":
            of(lambda ends, T: T - len(ends)),
        "no end has length T, not T - 1.":
            of(lambda ends, T: ends[0] + 1 if ends else T - 1),
        "argmax counts from 0, and is 0 where no end comes: add 1, and T there.":
            of(lambda ends, T: ends[0] if ends else 0),
        "an end may come at place 0: that is no missing end.":
            of(lambda ends, T: ends[0] + 1 if ends and ends[0] else T),
        "that is how many ends there are.": of(lambda ends, T: len(ends)),
        "no end has length T, not T + 1.":
            of(lambda ends, T: ends[0] + 1 if ends else T + 1),
        "yours is T for every row: look for the end, whose id is given.":
            of(lambda ends, T: T),
        "that is what follows the end.":
            of(lambda ends, T: T - ends[0] - 1 if ends else 0),
        "tokens that are no end, and one more, only if nothing follows the end.":
            of(lambda ends, T: T - len(ends) + 1)})
    hold(student, of(lambda ends, T: ends[0] + 1 if ends else T), [
        ("An end is one id, wherever others lie; and there may be one row.",
         (torch.tensor([[3, 0, 2, 5, 1]]), 5)),
        ("There may be one token.", *[(torch.tensor([[id]]), 5) for id in (5, 7)])])


def check_accumulated(student: Callable, seed: int | str = 0) -> None:
    """The loss of a whole batch from its micro-batches: mean_M of each, and count_M of
    labels in each. Where there is no label the mean is a number without a meaning."""
    def of(total: Callable) -> Callable:
        return lambda mean, count: total([*zip(mean.tolist(), count.tolist())])

    draw = Draw(seed)
    cases = [(draw.tensor(len(n), low=0.2, high=3), torch.tensor(n)) for n in (
        [3, 40, *draw.integers(1, 1, 30)], [*draw.integers(3, 1, 30), 0])]
    right = of(lambda parts: sum(m * n for m, n in parts) / sum(n for _, n in parts))
    hold(student, right, [("Every label weighs alike.", *cases)], {
        "a mean of means: a label of a small micro-batch weighs more.":
            (of(lambda parts: fmean(m for m, _ in parts)),
             of(lambda parts: fmean(m for m, n in parts if n))),
        "every step halves what came before: the last weighs most.":
            of(lambda parts: reduce(lambda a, b: (a + b) / 2, [m for m, _ in parts])),
        "divides as if all were as large as the largest.":
            of(lambda parts: fmean(m * n for m, n in parts) / max(n for _, n in parts)),
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
        "that is the first micro-batch alone.": of(lambda parts: parts[0][0]),
        "that is the largest micro-batch alone.":
            of(lambda parts: max(parts, key=lambda part: part[1])[0]),
        "an empty micro-batch counts nothing: yours leaves it a vote.":
            of(lambda parts: sum(m * max(n, 1) for m, n in parts)
               / sum(max(n, 1) for _, n in parts))})
    hold(student, right, [
        ("An empty micro-batch may come first.",
         (draw.tensor(3, low=0.2, high=3), torch.tensor([0, 4, 2]))),
        ("There may be many, and a mean may be 0.", (
            tensor([0.0, 2, 1, 0.5, 3]), torch.tensor([3, 1, 2, 5, 4])))])
