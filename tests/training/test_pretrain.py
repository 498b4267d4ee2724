"""The base model's stage: its loss, its steps, its learning rates, and going on after an interruption."""

import math
from dataclasses import replace

import pytest
import torch

from instructgpt_lite.config import Pretrain
from instructgpt_lite.training import pretrain as stage
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.resume import ResumeState
from tests.training.conftest import (
    Updates,
    backward,
    digest,
    first_gradient,
    new_policy,
    ptx,
    reopened,
    same,
    with_dropout,
)

CONFIG = Pretrain(tokens=100, batch_size=4, length=6, lr=1e-2, warmup=0.0, clip_norm=0.0)


def test_loss_and_gradient_are_of_every_token_after_the_first(policy, corpus, monkeypatch):
    updates, twin = Updates(monkeypatch, stage), new_policy()
    row = next(pretrain(policy, corpus, CONFIG))
    loss = ptx(twin, corpus.given[0])
    assert row["loss"] == pytest.approx(loss.item(), rel=1e-10)
    same(updates.seen[0]["gradient"], backward(loss, twin))


def test_each_batch_makes_one_update_until_the_tokens_are_used(policy, corpus, monkeypatch):
    """100 tokens are four batches of 4 x 6; a fifth would go past them."""
    updates = Updates(monkeypatch, stage)
    rows = list(pretrain(policy, corpus, CONFIG))
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and {row["steps"] for row in rows} == {4}
    assert [row["tokens"] for row in rows] == [24, 48, 72, 96]
    assert [tuple(given.shape) for given in corpus.given] == [(4, 6)] * 4
    assert len(updates.seen) == 4


def test_no_text_comes_twice(policy, corpus):
    list(pretrain(policy, corpus, CONFIG))
    assert len({tuple(row) for given in corpus.given for row in given.tolist()}) == 16


def test_there_is_no_dropout(policy, corpus):
    with_dropout(policy).model.train()
    row = next(pretrain(policy, corpus, CONFIG))
    assert row["loss"] == pytest.approx(ptx(new_policy(), corpus.given[0]).item(), rel=1e-10)


def test_the_rate_warms_up_and_falls_in_a_cosine(policy, corpus, monkeypatch):
    updates = Updates(monkeypatch, stage)
    list(pretrain(policy, corpus, replace(CONFIG, tokens=240, lr=0.5, warmup=0.2, final_lr=0.1)))
    share = [1 / 3, 2 / 3] + [0.55 + 0.45 * math.cos(math.pi * k / 7) for k in range(8)]
    assert [entry["lr"] for entry in updates.seen] == [pytest.approx([0.5 * each]) for each in share]


def test_another_seed_reads_other_text(corpus):
    for seed in (0, 0, 1):
        next(pretrain(new_policy(), corpus, replace(CONFIG, seed=seed)))
    first, again, other = corpus.given
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_gradients_are_clipped_before_the_update(policy, corpus, tmp_path):
    for clip_norm in (0.1, 0.0):
        resume = ResumeState()
        next(pretrain(policy, corpus, replace(CONFIG, clip_norm=clip_norm), resume))
        norm = first_gradient(resume, tmp_path)
        assert norm == pytest.approx(0.1, rel=1e-5) if clip_norm else norm > 0.5


@pytest.mark.parametrize("k", [1, 3, 4])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(k, tmp_path, corpus):
    config = Pretrain(tokens=96, batch_size=4, length=6, lr=1e-2, matrix_lr=1e-2, warmup=0.3)
    whole, half, rest = new_policy(), new_policy(), new_policy(seed=9)
    rows = list(pretrain(whole, corpus, config))
    resume = ResumeState()
    stopped = pretrain(half, corpus, config, resume)
    seen = [next(stopped) for _ in range(k)]
    assert seen + list(pretrain(rest, corpus, config, reopened(resume, tmp_path))) == rows
    assert digest(rest) == digest(whole)


def test_a_policy_learns_to_count(policy):
    class Counting:
        def rows(self, count, length, generator):
            start = torch.randint(8, (count, 1), generator=generator)
            return 4 + (start + torch.arange(length)) % 8

    rows = list(pretrain(policy, Counting(), Pretrain(tokens=60 * 64, batch_size=8, length=8, lr=3e-2)))
    assert rows[0]["loss"] > 2 and rows[-1]["loss"] < 0.3
