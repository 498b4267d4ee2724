"""Collecting rankings; the reward model's stage against a double loop over pairs on plain forward passes."""

import math
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from instructgpt_lite.config import Architecture, Collect, Reward
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training import reward as stage
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.reward import center, collect, rank_table, tokens, train_reward
from instructgpt_lite.training.sft import demonstrated
from tests.training.conftest import (
    EOS,
    LINE_END,
    Ranker,
    Updates,
    backward,
    demonstrations,
    digest,
    first_gradient,
    ids,
    new_reward,
    rankings,
    reopened,
    row_score,
    same,
    with_dropout,
)

CONFIG = Reward(batch_size=4, lr=1e-2)
SIZES = [4, 9, 5, 6, 7, 8, 4, 9, 2, 4]
RANKED = rankings(SIZES)


def row_of(prompt: str, completion: str) -> list[int]:
    return [*ids(prompt), LINE_END, *ids(completion), EOS]


def loop(reward, ranked) -> tuple[torch.Tensor, float]:
    """Eq. (1) and the accuracy: each prompt's pairs one by one, their mean, then the mean over prompts."""
    losses, right = [], []
    for ranking in ranked:
        r = [row_score(reward, row_of(ranking.prompt, text)) for text in ranking.completions]
        K, ranks = range(len(r)), ranking.ranks
        pairs = [(r[w], r[l]) for w in K for l in K if ranks[w] < ranks[l]]
        losses.append(sum(F.softplus(worse - better) for better, worse in pairs) / len(pairs))
        right.append(sum(float(better > worse) for better, worse in pairs) / len(pairs))
    return sum(losses) / len(losses), sum(right) / len(right)


def in_order(monkeypatch) -> None:
    monkeypatch.setattr(stage.loop, "passes", lambda step, count, size, *_: torch.arange(count).split(size)[step])


def test_tokens_are_prompt_and_line_end_and_responses_that_end(reward):
    prompts, responses = tokens(reward, RANKED)
    assert prompts == [[*ids(ranking.prompt), LINE_END] for ranking in RANKED]
    assert responses == [[[*ids(text), EOS] for text in ranking.completions] for ranking in RANKED]


def test_one_prompt_is_one_batch_element(reward, monkeypatch):
    """K from 2 to 9 in one batch, ties among them: mean over prompts of the mean over a prompt's pairs."""
    in_order(monkeypatch)
    updates, twin = Updates(monkeypatch, stage), new_reward()
    row = next(train_reward(reward, RANKED, replace(CONFIG, batch_size=9)))
    loss, right = loop(twin, RANKED[:9])
    assert row["loss"] == pytest.approx(loss.item(), rel=1e-10)
    assert row["accuracy"] == pytest.approx(right, rel=1e-12)
    same(updates.seen[0]["gradient"], backward(loss, twin))


def test_K_responses_are_scored_K_times(reward, monkeypatch):
    """Not K (K - 1) / 2 pairs, which would score each response K - 1 times (§3.5)."""
    in_order(monkeypatch)
    scores, head = [], reward.model.score.forward
    monkeypatch.setattr(reward.model.score, "forward", lambda state_MD: (
        scores.append(len(state_MD)), head(state_MD))[1])
    list(train_reward(reward, RANKED, CONFIG))
    assert scores == [sum(SIZES[:4]), sum(SIZES[4:8]), sum(SIZES[8:])]


def test_each_batch_of_prompts_makes_one_update_and_an_epoch_takes_each_prompt_once(reward, monkeypatch):
    updates, drawn = Updates(monkeypatch, stage), []
    scores = ScalarModel.scores
    monkeypatch.setattr(ScalarModel, "scores", lambda self, prompts, responses: (
        drawn.extend(responses), scores(self, prompts, responses))[1])
    rows = list(train_reward(reward, RANKED, CONFIG))
    assert len(rows) == len(updates.seen) == 3 and [row["step"] for row in rows] == [1, 2, 3]
    assert [row["prompts"] for row in rows] == [4, 8, 10]
    everything = tokens(reward, RANKED)[1]
    assert sorted(drawn) == sorted(everything) and drawn != everything


def test_gradients_are_clipped_before_the_update(reward, tmp_path):
    for clip_norm in (0.01, 0.0):
        resume = ResumeState()
        next(train_reward(reward, RANKED, replace(CONFIG, clip_norm=clip_norm), resume))
        norm = first_gradient(resume, tmp_path)
        assert norm == pytest.approx(0.01, rel=1e-5) if clip_norm else norm > 0.1


def test_another_seed_takes_the_prompts_in_another_order():
    losses = [[row["loss"] for row in train_reward(new_reward(), RANKED, replace(CONFIG, lr=0.0, seed=seed))]
              for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_a_constant_added_to_all_rewards_changes_nothing(monkeypatch):
    rows = []
    for shift in (0.0, 100.0):
        reward = new_reward()
        reward.bias += shift
        rows.append(next(train_reward(reward, RANKED, CONFIG))["loss"])
    assert rows[0] == pytest.approx(rows[1], rel=1e-10)


def test_there_is_no_dropout(reward, monkeypatch):
    in_order(monkeypatch)
    with_dropout(reward).model.train()
    row = next(train_reward(reward, RANKED, CONFIG))
    assert row["loss"] == pytest.approx(loop(new_reward(), RANKED[:4])[0].item(), rel=1e-10)


def test_the_rate_starts_at_its_peak_and_falls_in_a_cosine_to_a_tenth(reward, monkeypatch):
    """App. C.2."""
    updates = Updates(monkeypatch, stage)
    list(train_reward(reward, RANKED, replace(CONFIG, lr=0.5, epochs=2)))
    expected = [0.5 * (0.55 + 0.45 * math.cos(math.pi * k / 5)) for k in range(6)]
    assert [entry["lr"] for entry in updates.seen] == [pytest.approx([lr]) for lr in expected]


def test_without_rankings_there_is_nothing_to_learn(reward):
    with pytest.raises(ValueError, match="there are no rankings: give one at least"):
        next(train_reward(reward, [], CONFIG))


def test_a_table_of_ranks_is_ragged_on_the_right():
    two = [Ranking("a", ("b", "c"), (2, 1)), Ranking("a", ("b", "c", "d"), (1, 1, 3))]
    assert rank_table(two).tolist() == [[2, 1, 0], [1, 1, 3]]


def test_centred_on_demonstrations_they_score_zero_on_average(reward, policy):
    """The loss cannot see the constant; PPO can (§3.5)."""
    shown = demonstrations(7)
    rows = [row_of(each.prompt, each.completion) for each in shown]
    before = [row_score(reward, row).item() for row in rows]
    bias = center(reward, policy, shown)
    after = [row_score(reward, row).item() for row in rows]
    assert abs(sum(before)) > 0.1 and sum(after) / 7 == pytest.approx(0, abs=1e-12)
    assert bias == pytest.approx(0.25 - sum(before) / 7, rel=1e-10) and reward.bias.item() == bias
    assert not reward.bias.requires_grad
    assert [b - a for a, b in zip(after, before)] == pytest.approx([sum(before) / 7] * 7, rel=1e-9)


def test_centring_is_a_mean_over_demonstrations_in_whatever_batches(policy):
    """257 demonstrations are read as 256 and 1; the last must weigh as one of 257."""
    def score(rollout):
        return rollout.length_B.double()

    reward = new_reward()
    reward.forward = score
    expected = 0.25 - score(demonstrated(policy, demonstrations(257))).mean().item()
    assert center(reward, policy, demonstrations(257)) == pytest.approx(expected, rel=1e-12)


def test_centring_twice_is_centring_once(reward, policy):
    once = center(reward, policy, demonstrations(7))
    assert center(reward, policy, demonstrations(7)) == pytest.approx(once, rel=1e-12)


def test_a_loss_that_is_not_finite_stops_with_the_weights_as_they_were(reward):
    running = train_reward(reward, RANKED, CONFIG)
    next(running)
    with torch.no_grad():
        reward.model.score.weight[0, 0] = math.inf
    before = digest(reward)
    with pytest.raises(FloatingPointError, match="^reward, step 1: loss is"):
        next(running)
    assert digest(reward) == before


@pytest.mark.parametrize("k", [1, 4, 6])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(k, tmp_path):
    config = replace(CONFIG, epochs=2, matrix_lr=1e-2, warmup=0.3)
    whole, half, rest = new_reward(), new_reward(), new_reward(seed=9)
    rows = list(train_reward(whole, RANKED, config))
    resume = ResumeState()
    stopped = train_reward(half, RANKED, config, resume)
    seen = [next(stopped) for _ in range(k)]
    assert seen + list(train_reward(rest, RANKED, config, reopened(resume, tmp_path))) == rows
    assert digest(rest) == digest(whole)


def test_a_reward_model_learns_an_order(reward):
    """Responses with more a's are better."""
    learned = [Ranking("h", tuple(" ".join("a" * n + "b" * (4 - n)) for n in range(5)), (5, 4, 3, 2, 1))] * 8
    rows = list(train_reward(reward, learned, replace(CONFIG, epochs=10)))
    assert rows[-1]["accuracy"] == 1 and rows[-1]["loss"] < 0.3


# Collecting

PROMPTS = [SimpleNamespace(prompt=f"a {letter}") for letter in "abcdefgh" * 8]
COLLECT = Collect(batch_size=24, max_new_tokens=5)


def test_each_prompt_of_a_batch_gets_four_to_nine_responses(policy):
    ranker = Ranker()
    for batch in range(3):
        ranked = collect(policy, PROMPTS, ranker, COLLECT, batch)
        assert 0 < len(ranked) <= len(PROMPTS[batch * 24:(batch + 1) * 24]) and None not in ranked
    assert [asked[0] for asked in ranker.asked] == [prompt.prompt for prompt in PROMPTS]
    assert set(Counter(len(asked[1]) for asked in ranker.asked)) == {4, 5, 6, 7, 8, 9}


def test_responses_are_those_that_the_policy_drew_for_their_prompt(policy):
    """With a response that repeats its prompt's last letter, a mix-up shows."""
    policy.sample = lambda texts, copies, **_: [
        (text[-1], n) for text, count in zip(texts, copies) for n in range(count)]
    policy.texts = lambda drawn: [f"{letter} {n}" for letter, n in drawn]
    ranker = Ranker()
    collect(policy, PROMPTS, ranker, COLLECT, 1)
    for prompt, texts, _ in ranker.asked:
        assert texts == [f"{prompt[-1]} {n}" for n in range(len(texts))]


def test_a_batch_depends_on_its_number_alone(policy):
    """A resumed run makes batch 1 without having made batch 0."""
    rankers = [Ranker() for _ in range(4)]
    for ranker, batch, config in zip(rankers, (1, 1, 0, 1), [COLLECT] * 3 + [replace(COLLECT, seed=1)]):
        collect(policy, PROMPTS, ranker, config, batch)
    one, two, other, seeded = [[(prompt, texts) for prompt, texts, _ in ranker.asked] for ranker in rankers]
    assert one == two and rankers[0].asked == rankers[1].asked
    assert [prompt for prompt, _ in one] == [prompt for prompt, _ in other] and one != other != seeded != one


def test_every_batch_has_labelers_and_noise_of_its_own(policy):
    rankers = [Ranker(), Ranker()]
    for batch, ranker in enumerate(rankers):
        collect(policy, PROMPTS, ranker, COLLECT, batch)
    assert len({noise for ranker in rankers for _, _, noise in ranker.asked}) == 48


def test_near_temperature_zero_all_responses_are_one_and_there_is_nothing_to_rank(policy):
    ranker = Ranker()
    assert collect(policy, PROMPTS, ranker, replace(COLLECT, temperature=1e-6), 0) == []
    assert all(len(set(texts)) == 1 for _, texts, _ in ranker.asked) and len(ranker.asked) == 24


def test_demonstrations_are_centred_with_the_reward_models_own_tokenizer():
    policy, reward = Policy.new(Architecture(1, 8, 2, 32), new_reward().tokenizer, seed=0), new_reward()
    reward.tokenizer.add_tokens(["one more"])
    with pytest.raises(ValueError, match="policy and reward have different tokenizers"):
        center(reward, policy, demonstrations(3))
