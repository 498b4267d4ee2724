"""The usual mistakes of students about data: each is refused, and by the sentence it deserves."""

from statistics import fmean

import pytest
import torch

from instructgpt_lite import checks
from instructgpt_lite.checks.data import PASSES


def refused(check, mistake, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(mistake)


# What a split by author lets through

TRUE = {"two authors ask the same", "one person has two accounts", "an author rewrites what another asked",
        "one labeler ranks on both sides"}


@pytest.mark.parametrize("name", sorted(PASSES))
def test_each_leak_that_is_taken_for_its_opposite_gets_its_sentence(name):
    checks.check_leaks(lambda: TRUE)
    checks.check_leaks(lambda: sorted(TRUE))
    refused(checks.check_leaks, lambda: TRUE ^ {name}, name)


@pytest.mark.parametrize("said, sentence", [("two authors", "a set of names"), ({"noise"}, "is not among")])
def test_what_is_no_set_of_these_names_is_told_so(said, sentence):
    refused(checks.check_leaks, lambda: said, sentence)


# The best accuracy

def ceiling(q_IP):
    q_P = q_IP.mean(dim=0)
    return torch.maximum(q_P, 1 - q_P).mean()


def by_majority(q_IP):
    up_P = (q_IP > 0.5).double().mean(dim=0) > 0.5
    return torch.where(up_P, q_IP, 1 - q_IP).mean()


@pytest.mark.parametrize("mistake, sentence", [
    (lambda q: torch.maximum(q, 1 - q).mean(), "average over people first"), (lambda q: q.mean(), "likelier side"),
    (lambda q: torch.maximum(q.mean(), 1 - q.mean()), "hides them"),
    (lambda q: (q.mean(dim=0) ** 2 + (1 - q.mean(dim=0)) ** 2).mean(), "two people agree"),
    (lambda q: 1 - ceiling(q), "least error"), (by_majority, "a majority"),
    (lambda q: torch.maximum(q, 1 - q).max(dim=0).values.mean(), "surest person"),
    (lambda q: ceiling(q) * q.size(1), "that is a sum"), (lambda q: ceiling(q.T), "two axes"),
    (lambda q: 1.0, "no more")])
def test_mistakes_in_the_ceiling_get_their_sentence(mistake, sentence):
    checks.check_ceiling(ceiling)
    checks.check_ceiling(lambda q_IP: fmean(max(fmean(c), 1 - fmean(c)) for c in zip(*q_IP.tolist())))
    refused(checks.check_ceiling, mistake, sentence)


# Prompts that begin alike

def dedup(prompts, length, key=str.casefold):
    seen, kept = set(), []
    for place, prompt in enumerate(prompts):
        start = key(prompt)[:length]
        if start not in seen:
            seen.add(start)
            kept.append(place)
    return tuple(kept)


@pytest.mark.parametrize("mistake, sentence", [
    (lambda p, n: dedup(p, n, str), "case does not count"),
    (lambda p, n: tuple(sorted({x.casefold()[:n]: i for i, x in enumerate(p)}.values())), "not the last"),
    (lambda p, n: dedup(p, 999), "not the whole prompt"),
    (lambda p, n: dedup(p, n, lambda x: x.casefold()[-n:]), "signs, not the last"),
    (lambda p, n: tuple(sorted({*range(len(p))} - {*dedup(p, n)})), "ones to drop"),
    (lambda p, n: tuple(i for i in dedup(p, n) if len(p[i]) >= n), "shorter than"),
    (lambda p, n: tuple(i + 1 for i in dedup(p, n)), "from 0"),
    (lambda p, n: tuple(i for i, x in enumerate(p) if sum(x.casefold()[:n] == y.casefold()[:n] for y in p) == 1),
     "the first too"),
    (lambda p, n: len(dedup(p, n)), "give their places"), (lambda p, n: tuple(range(len(p))), "nothing was dropped"),
    (lambda p, n: (0, 1, 2), "Go along")])
def test_mistakes_in_deduplication_get_their_sentence(mistake, sentence):
    checks.check_dedup(dedup)
    checks.check_dedup(lambda prompts, length: torch.tensor(dedup(prompts, length)))
    refused(checks.check_dedup, mistake, sentence)


# Authors on both sides

@pytest.mark.parametrize("mistake, sentence", [
    (lambda t, o: fmean(x in o for x in t), "not of training prompts"),
    (lambda t, o: fmean(x in t for x in set(o)), "not of authors"),
    (lambda t, o: fmean(x not in t for x in o), "without one"),
    (lambda t, o: sum(x in t for x in o), "that is their number"),
    (lambda t, o: sum(x in t for x in o) / (len(t) + len(o)), "not of all"),
    (lambda t, o: sum(x in t for x in o) / len(t), "not by those of training"),
    (lambda t, o: len({*t} & {*o}) / len({*t} | {*o}), "on both sides"),
    (lambda t, o: fmean(t.count(x) > 1 for x in o), "once in training"), (lambda t, o: 0.5, "how many")])
def test_mistakes_in_the_leak_get_their_sentence(mistake, sentence):
    checks.check_author_leak(lambda train, out: sum(x in set(train) for x in out) / len(out))
    refused(checks.check_author_leak, mistake, sentence)


# The most uncertain pairs

def uncertain(margin_P, count):
    return tuple(margin_P.abs().argsort()[:count].tolist())


@pytest.mark.parametrize("mistake, sentence", [
    (lambda m, c: tuple(m.argsort()[:c].tolist()), "as sure as"),
    (lambda m, c: tuple(m.abs().argsort(descending=True)[:c].tolist()), "the surest"),
    (lambda m, c: tuple(m[list(uncertain(m, c))].tolist()), "not their margins"),
    (lambda m, c: uncertain(m, c)[::-1], "nearest first"),
    (lambda m, c: tuple(sorted(uncertain(m, c))), "not of their places"),
    (lambda m, c: uncertain(m, len(m)), "no more"), (lambda m, c: tuple(n + 1 for n in uncertain(m, c)), "from 0"),
    (lambda m, c: tuple(n for n in uncertain(m, len(m)) if m[n] > 0)[:c], "two signs"), (lambda m, c: (), "one half")])
def test_mistakes_in_what_is_uncertain_get_their_sentence(mistake, sentence):
    checks.check_uncertain(uncertain)
    checks.check_uncertain(lambda margin_P, count: tuple(sorted(range(len(margin_P)),
                                                                key=lambda n: abs(margin_P[n]))[:count]))
    refused(checks.check_uncertain, mistake, sentence)


# A share and its interval

def share(count, n, times=1.96, far=lambda p, n: p * (1 - p) / n):
    p = count / n
    return p, p - times * far(p, n) ** 0.5, p + times * far(p, n) ** 0.5


@pytest.mark.parametrize("mistake, sentence", [
    (lambda c, n: share(c, n, 1.0), "not one"),
    (lambda c, n: share(c, n, far=lambda p, n: p * (1 - p)), "of one prompt"),
    (lambda c, n: share(c, n, far=lambda p, n: p / n), "not p alone"),
    (lambda c, n: share(c, n, far=lambda p, n: (p * (1 - p) / n) ** 2), "root is missing"),
    (lambda c, n: share(c, n, far=lambda p, n: p * (1 - p) / n ** 2), "not outside"),
    (lambda c, n: tuple(100 * x for x in share(c, n)), "not a percentage"),
    (lambda c, n: (share(c, n)[1], share(c, n)[0], share(c, n)[2]), "share first"),
    (lambda c, n: (share(c, n)[0], share(c, n)[0], share(c, n)[2]), "each side"),
    (lambda c, n: (c / n, share(c, n)[2] - c / n, share(c, n)[2] - c / n), "half width"),
    (lambda c, n: share(c, n, far=lambda p, n: 0.25 / n), "widest there is"),
    (lambda c, n: c / n, "a tuple or|returned")])
def test_mistakes_in_the_interval_of_a_share_get_their_sentence(mistake, sentence):
    checks.check_share(share)
    checks.check_share(lambda count, n: torch.tensor(share(count, n), dtype=torch.float64))
    refused(checks.check_share, mistake, sentence)
