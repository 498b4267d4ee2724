"""Supervised fine-tuning: what counts in the loss, the pretraining mix, dropout, steps, and resuming."""

import math
from dataclasses import replace

import pytest
import torch

from instructgpt_lite.config import SFT, RLInit
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training import sft as stage
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.sft import demonstrated, finetune
from tests.training.conftest import (
    EOS,
    LINE_END,
    PAD,
    Updates,
    backward,
    demonstrations,
    digest,
    first_gradient,
    ids,
    new_policy,
    ptx,
    reopened,
    row_logp,
    same,
    with_dropout,
)

CONFIG = SFT(epochs=2, batch_size=4, lr=1e-2, dropout=0.0, mix_length=7)
SHOWN = demonstrations(10)


def batch_loss(policy, shown) -> torch.Tensor:
    """Mean surprise over the tokens of all completions and the EOS after each."""
    logp = [row_logp(policy, [*ids(each.prompt), LINE_END], [*ids(each.completion), EOS]) for each in shown]
    return -torch.cat(logp).mean()


def first_batch(monkeypatch) -> list:
    """The demonstrations of step 0, by fixing the order."""
    monkeypatch.setattr(stage.loop, "passes", lambda step, count, size, *_: torch.arange(count).split(size)[step])
    return SHOWN[:4]


def test_a_row_is_prompt_line_end_completion_eos_padding(policy):
    rollout = demonstrated(policy, SHOWN)
    rows = zip(SHOWN, rollout.token_BS.tolist(), rollout.prompt_B, rollout.mask_BT, strict=True)
    for shown, tokens, start, mask in rows:
        prompt, completion = [*ids(shown.prompt), LINE_END], [*ids(shown.completion), EOS]
        assert tokens == prompt + completion + [PAD] * (len(tokens) - len(prompt) - len(completion))
        assert start == len(prompt) and mask.sum() == len(completion)
    assert rollout.ended_B.all()


def test_loss_and_gradient_are_of_response_tokens_and_their_end_only(policy, monkeypatch):
    """Ragged rows: neither prompt nor padding counts, EOS does, and a token weighs the same in every row."""
    shown, updates, twin = first_batch(monkeypatch), Updates(monkeypatch, stage), new_policy()
    row = next(finetune(policy, SHOWN, CONFIG))
    loss = batch_loss(twin, shown)
    assert row["loss"] == pytest.approx(loss.item(), rel=1e-10)
    same(updates.seen[0]["gradient"], backward(loss, twin))


@pytest.mark.parametrize("mix, rows", [(0.1, 1), (0.2, 1), (0.5, 4), (0.75, 12)])
def test_pretraining_rows_have_their_share_of_rows_and_gradient(mix, rows, policy, corpus, monkeypatch):
    """Of the rows of a step, 4 demonstrations are the share 1 - mix; so are they of the gradient."""
    shown, updates, twin = first_batch(monkeypatch), Updates(monkeypatch, stage), new_policy()
    row = next(finetune(policy, SHOWN, replace(CONFIG, pretraining_mix=mix), corpus))
    assert [tuple(given.shape) for given in corpus.given] == [(rows, 7)]
    supervised, pretraining = batch_loss(twin, shown), ptx(twin, corpus.given[0])
    assert row["ptx_loss"] == pytest.approx(pretraining.item(), rel=1e-10)
    same(updates.seen[0]["gradient"], backward((1 - mix) * supervised + mix * pretraining, twin))


def test_the_mix_of_the_start_of_rl_is_a_tenth():
    """App. C.3: 32 demonstrations a step, so 32 / 9, about 4, pretraining rows."""
    config = RLInit()
    assert round(config.batch_size * config.pretraining_mix / (1 - config.pretraining_mix)) == 4


def test_a_mix_without_a_corpus_is_refused_and_without_a_mix_none_is_read(policy, corpus):
    with pytest.raises(ValueError, match="pretraining_mix is 0.1: give a corpus, or set it to 0"):
        next(finetune(policy, SHOWN, replace(CONFIG, pretraining_mix=0.1)))
    assert "ptx_loss" not in next(finetune(policy, SHOWN, CONFIG, corpus)) and not corpus.given


def test_without_demonstrations_there_is_nothing_to_learn(policy):
    with pytest.raises(ValueError, match="there are no demonstrations: give one at least"):
        next(finetune(policy, [], CONFIG))


def test_each_batch_makes_one_update_and_each_epoch_takes_every_row_once(policy, corpus, monkeypatch):
    parts, updates = [], Updates(monkeypatch, stage)
    pick = Rollout.__getitem__
    monkeypatch.setattr(Rollout, "__getitem__", lambda self, rows: (
        parts.append(rows.tolist()), pick(self, rows))[1])
    rows = list(finetune(policy, SHOWN, replace(CONFIG, pretraining_mix=0.5), corpus))
    assert len(rows) == len(updates.seen) == 6 and [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [len(part) for part in parts] == [4, 4, 2] * 2
    assert sorted(sum(parts[:3], [])) == sorted(sum(parts[3:], [])) == list(range(10))
    assert parts[:3] != parts[3:]
    assert rows[2]["epoch"] == 1 and rows[-1]["epoch"] == 2


def test_another_seed_takes_the_demonstrations_in_another_order():
    losses = [[row["loss"] for row in finetune(new_policy(), SHOWN, replace(CONFIG, lr=0.0, seed=seed))]
              for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_dropout_is_on_where_it_is_asked_for_and_nowhere_else(policy, monkeypatch):
    shown = first_batch(monkeypatch)
    plain = batch_loss(policy, shown).item()
    losses = [next(finetune(new_policy(), SHOWN, replace(CONFIG, dropout=rate)))["loss"]
              for rate in (0.0, 0.2, 0.2, 0.4)]
    assert losses[0] == pytest.approx(plain, rel=1e-10)
    assert losses[1] == losses[2] and len({round(loss, 6) for loss in losses}) == 3
    with_dropout(policy).model.train()
    assert next(finetune(policy, SHOWN, CONFIG))["loss"] == pytest.approx(plain, rel=1e-10)


def test_dropout_is_another_at_every_step(policy):
    """With a rate of 0 the same batch has the same loss twice; with dropout it has not."""
    one = SHOWN[:1]
    for rate, distinct in ((0.0, 1), (0.5, 4)):
        rows = finetune(policy, one, replace(CONFIG, dropout=rate, epochs=4, lr=0.0))
        assert len({row["loss"] for row in rows}) == distinct


def test_the_pretraining_mix_sees_no_dropout(policy, corpus):
    config = replace(CONFIG, dropout=0.5, pretraining_mix=0.5)
    row = next(finetune(policy, SHOWN, config, corpus))
    assert row["ptx_loss"] == pytest.approx(ptx(new_policy(), corpus.given[0]).item(), rel=1e-10)


def test_the_rate_starts_at_its_peak_and_falls_in_a_cosine_to_a_tenth(policy, monkeypatch):
    """App. C.1: no warm-up, cosine to 10 %."""
    updates = Updates(monkeypatch, stage)
    list(finetune(policy, SHOWN, replace(CONFIG, lr=0.5)))
    expected = [0.5 * (0.55 + 0.45 * math.cos(math.pi * k / 5)) for k in range(6)]
    assert [entry["lr"] for entry in updates.seen] == [pytest.approx([lr]) for lr in expected]


@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_gradients_are_clipped_before_the_update(mix, policy, corpus, tmp_path):
    for clip_norm in (0.1, 0.0):
        config, resume = replace(CONFIG, clip_norm=clip_norm, pretraining_mix=mix), ResumeState()
        next(finetune(policy, SHOWN, config, corpus, resume))
        norm = first_gradient(resume, tmp_path)
        assert norm == pytest.approx(0.1, rel=1e-5) if clip_norm else norm > 0.5


def test_a_loss_that_is_not_finite_stops_with_the_weights_as_they_were(policy):
    running = finetune(policy, SHOWN, CONFIG)
    next(running)
    with torch.no_grad():
        policy.model.transformer.ln_f.bias[0] = math.nan
    before = digest(policy)
    with pytest.raises(FloatingPointError, match="^sft, step 1: loss is nan"):
        next(running)
    assert digest(policy) == before


@pytest.mark.parametrize("k", [1, 3, 6])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(k, tmp_path, corpus):
    config = replace(CONFIG, dropout=0.3, pretraining_mix=0.3, matrix_lr=1e-2, warmup=0.3)
    whole, half, rest = new_policy(), new_policy(), new_policy(seed=9)
    rows = list(finetune(whole, SHOWN, config, corpus))
    resume = ResumeState()
    stopped = finetune(half, SHOWN, config, corpus, resume)
    seen = [next(stopped) for _ in range(k)]
    assert seen + list(finetune(rest, SHOWN, config, corpus, reopened(resume, tmp_path))) == rows
    assert digest(rest) == digest(whole)


def test_a_policy_learns_what_it_is_shown_and_where_to_stop(policy):
    shown = list({each.prompt: each for each in SHOWN}.values())[:4]
    list(finetune(policy, shown, replace(CONFIG, epochs=60, lr=2e-2)))
    rollout = policy.sample([each.prompt for each in shown], max_new_tokens=12, top_k=1)
    assert policy.texts(rollout) == [each.completion for each in shown] and rollout.ended_B.all()
