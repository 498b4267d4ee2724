"""PPO and PPO-ptx on a micro model: what is sampled, scored and updated, against one-row forward passes."""

import math
from dataclasses import replace

import pytest
import torch

from instructgpt_lite.checks import oracles
from instructgpt_lite.config import PPO
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.theory.objective import adapted_beta
from instructgpt_lite.training import ppo_ptx as stage
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.resume import ResumeState
from tests.training.conftest import (
    EOS,
    REL,
    Updates,
    backward,
    digest,
    halves,
    letters,
    new_policy,
    new_reward,
    ptx,
    ragged,
    reopened,
    row_logp,
    row_score,
    row_values,
    same,
    tensors_of,
    weights,
    with_dropout,
)

CONFIG = PPO(episodes=48, batch_size=12, minibatch_size=4, lr=1e-2, value_lr=1e-2, warmup=0, beta=0.3,
             gamma=0.0, ptx_ratio=1.5, ptx_length=7, missing_eos=0.75, max_new_tokens=6, ema=0.9)
PROMPTS = letters(24, 1)


class Watch:
    """Runs the stage and writes down what it samples, looks back on and learns from."""

    def __init__(self, monkeypatch) -> None:
        self.rollouts, self.policies, self.values = [], [], []
        self.known, self.rewards, self.parts = [], [], []
        look_back, token_rewards = stage.look_back, stage.token_rewards

        def watched_look_back(rollout, reference, reward, value, config, iteration):
            self.values.append(value)
            self.policies.append(self.policy.frozen())
            self.rollouts.append(rollout)
            self.known.append(vars(look_back(rollout, reference, reward, value, config, iteration)))
            return stage.Experience(**self.known[-1])

        def watched_rewards(*arguments):
            self.rewards.append(token_rewards(*arguments))
            return self.rewards[-1]

        monkeypatch.setattr(stage, "look_back", watched_look_back)
        monkeypatch.setattr(stage, "token_rewards", watched_rewards)

    def logp(self, part, temperature):
        """The policy is asked for each minibatch, before its update."""
        self.parts.append((len(self.rollouts) - 1, part, ratios(self.policy, part, temperature)))
        return Policy.logp(self.policy, part, temperature)

    def run(self, policy, reward, config, corpus=None) -> list[dict]:
        self.policy, self.sft = policy, policy.frozen()
        policy.logp = self.logp
        return list(ppo_ptx(policy, self.sft, reward, PROMPTS, config, corpus))


def doubles(numbers) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.fixture
def watch(monkeypatch) -> Watch:
    return Watch(monkeypatch)


@torch.no_grad()
def ratios(policy, part, temperature) -> torch.Tensor:
    """log of policy over sampler at every token that was drawn, by hand."""
    rows = zip(halves(part), part.logp_BT)
    return torch.cat([row_logp(policy, *row, temperature) - old[:len(row[1])] for row, old in rows])


@torch.no_grad()
def sums(model, rollout, temperature=1.0) -> torch.Tensor:
    """log pi(y|x) of every row."""
    return torch.stack([row_logp(model, *row, temperature).sum() for row in halves(rollout)])


# Before the first update, and without any

@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_without_learning_sampler_and_policy_agree_in_every_minibatch(temperature, policy, reward, watch):
    """trlx #508: positions, masks, dropout, temperature: whatever is wrong shows as a ratio other than 1."""
    config = replace(CONFIG, lr=0.0, value_lr=0.0, inner_epochs=2, temperature=temperature, gamma=0.0)
    rows = watch.run(policy, reward, config)
    assert len(watch.parts) == 4 * 2 * 3
    for _, _, log_ratio in watch.parts:
        assert log_ratio.abs().max() < 1e-10
    for row in rows:
        assert row["clip_fraction"] == 0 and row["max_log_ratio"] < 1e-10 and abs(row["kl"]) < 1e-10


def test_in_single_precision_too_the_ratio_is_one_to_five_digits(policy, reward):
    config = replace(CONFIG, lr=0.0, value_lr=0.0)
    policy, reward = policy.float(), reward.float()
    for row in ppo_ptx(policy, policy.frozen(), reward, PROMPTS, config):
        assert row["max_log_ratio"] < 1e-5 and row["clip_fraction"] == 0


def test_dropout_is_off_in_every_forward(policy, reward, watch):
    for model in (policy, reward):
        with_dropout(model).model.train()
    rows = watch.run(policy, reward, replace(CONFIG, lr=0.0, value_lr=0.0))
    assert all(row["max_log_ratio"] < 1e-10 and abs(row["kl"]) < 1e-10 for row in rows)


def test_in_the_first_iteration_there_is_no_kl_and_the_return_is_the_score(policy, reward, watch):
    rows = watch.run(policy, reward, CONFIG)
    rollout = watch.rollouts[0]
    assert abs(rows[0]["kl"]) < 1e-10 and rows[-1]["kl"] > 1e-3
    score_B = watch.known[0]["score_B"] - 0.75 * ~rollout.ended_B
    torch.testing.assert_close(watch.rewards[0].sum(dim=1), score_B, **REL)
    last_B = rollout.mask_BT.sum(dim=1, keepdim=True) - 1
    torch.testing.assert_close(watch.rewards[0].gather(1, last_B)[:, 0], score_B, **REL)


# Experience

def test_scores_are_read_at_the_end_and_values_before_each_token(policy, reward, watch):
    watch.run(policy, reward, CONFIG)
    assert len({len(y) for _, y in halves(watch.rollouts[0])}) > 2, "responses must be ragged"
    rollout, known, first = watch.rollouts[0], watch.known[0], new_reward().frozen()
    torch.testing.assert_close(
        known["score_B"], torch.stack([row_score(first, [*x, *y]) for x, y in halves(rollout)]), **REL)
    values = ragged([row_values(first, *row) for row in halves(rollout)], rollout.mask_BT)
    torch.testing.assert_close(known["value_BT"], values, **REL)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_token_rewards_sum_to_score_minus_beta_times_the_log_ratio(temperature, policy, reward, watch):
    """In every iteration, with the policy of that iteration; a response without EOS pays 0.75."""
    watch.run(policy, reward, replace(CONFIG, temperature=temperature))
    unended = 0
    for rollout, actor, rewards in zip(watch.rollouts, watch.policies, watch.rewards, strict=True):
        r_B = [row_score(reward, [*x, *y]).item() - 0.75 * (y[-1] != EOS) for x, y in halves(rollout)]
        unended += sum(y[-1] != EOS for _, y in halves(rollout))
        kl_B = sums(actor, rollout, temperature) - sums(watch.sft, rollout, temperature)
        torch.testing.assert_close(rewards.sum(dim=1), doubles(r_B) - 0.3 * kl_B, **REL)
    assert 0 < unended < 48, "some responses must end, and some not"


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("lam", [0.95, 0.5])
def test_advantages_are_gae_and_whitened_if_asked_and_returns_are_not(lam, whiten, policy, reward, watch):
    watch.run(policy, reward, replace(CONFIG, lam=lam, whiten=whiten))
    for rollout, known, rewards in zip(watch.rollouts, watch.known, watch.rewards, strict=True):
        mask = rollout.mask_BT
        advantage = doubles(oracles.gae(rewards, known["value_BT"], mask, lam))
        torch.testing.assert_close(known["return_BT"], advantage + known["value_BT"], **REL)
        mean, variance = advantage[mask].mean(), advantage[mask].var(correction=0)
        white = torch.where(mask, (advantage - mean) / (variance + 1e-8).sqrt(), 0)
        expected = white if whiten else advantage
        torch.testing.assert_close(known["advantage_BT"], expected, **REL)


def test_a_row_tells_what_happened(policy, reward, watch):
    rows = watch.run(policy, reward, CONFIG)
    for row, rollout, actor, known in zip(rows, watch.rollouts, watch.policies, watch.known, strict=True):
        lengths = [len(y) for _, y in halves(rollout)]
        assert row["length"] == pytest.approx(sum(lengths) / 12)
        assert row["ended"] == pytest.approx(sum(y[-1] == EOS for _, y in halves(rollout)) / 12)
        assert row["score"] == pytest.approx(known["score_B"].mean().item())
        logp, ref = sums(actor, rollout), sums(watch.sft, rollout)
        assert row["kl"] == pytest.approx((logp - ref).mean().item(), rel=1e-8, abs=1e-10)
        assert row["surprise"] == pytest.approx(-logp.sum().item() / sum(lengths), rel=1e-8)
        error, target = (known[name][rollout.mask_BT] for name in ("value_BT", "return_BT"))
        unexplained = (target - error).var(correction=0) / target.var(correction=0)
        assert row["explained_variance"] == pytest.approx(1 - unexplained.item(), rel=1e-8)


def test_another_seed_asks_other_prompts_first(reward, watch):
    for seed in (0, 0, 1):
        watch.run(new_policy(), reward, replace(CONFIG, episodes=12, seed=seed))
    first, again, other = ([x for x, _ in halves(rollout)] for rollout in watch.rollouts)
    assert first == again and sorted(first) != sorted(other)


def test_a_row_tells_the_largest_log_ratio_of_all_its_updates(policy, reward, watch):
    for n, row in enumerate(watch.run(policy, reward, replace(CONFIG, episodes=24, inner_epochs=2))):
        moved = [log_ratio.abs().max().item() for place, _, log_ratio in watch.parts if place == n]
        assert len(moved) == 6 and moved[0] < 1e-10
        assert row["max_log_ratio"] == pytest.approx(max(moved), rel=1e-8)


def test_beta_is_adapted_after_each_batch_and_charged_in_the_next(policy, reward, watch):
    """KL starts at 0, so beta falls by a fifth of 12 / 24 in the first batch; then it follows the KL of the row."""
    rows = watch.run(policy, reward, replace(CONFIG, kl_target=0.4, kl_horizon=24, lr=0.05))
    assert [row["beta"] for row in rows[:2]] == pytest.approx([0.3, 0.27]) and len({row["beta"] for row in rows}) == 4
    for before, row in zip(rows, rows[1:]):
        error = min(max(before["kl"] / 0.4 - 1, -0.2), 0.2)
        assert row["beta"] == pytest.approx(before["beta"] * (1 + error / 2), rel=1e-12)
    for row, rollout, known, reward_BT in zip(rows, watch.rollouts, watch.known, watch.rewards, strict=True):
        charged = known["score_B"] - 0.75 * ~rollout.ended_B - reward_BT.sum(dim=1)
        torch.testing.assert_close(charged, row["beta"] * (rollout.logp_BT - known["ref_logp_BT"]).sum(dim=1), **REL)


# Updates

@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_gradients_of_both_terms_are_added_before_one_step(gamma, policy, reward, corpus, watch, monkeypatch):
    """App. C.4. In one minibatch the ratio is 1, so PPO's gradient is that of -mean(advantage log pi)."""
    updates = Updates(monkeypatch, stage)
    config = replace(CONFIG, episodes=12, minibatch_size=12, gamma=gamma)
    watch.run(policy, reward, config, corpus)
    twin, rollout = new_policy(), watch.rollouts[0]
    logp = torch.cat([row_logp(twin, *row) for row in halves(rollout)])
    by_ppo = backward(-(watch.known[0]["advantage_BT"][rollout.mask_BT] * logp).mean(), twin)
    by_both = by_ppo
    if gamma:
        assert [tuple(given.shape) for given in corpus.given] == [(18, 7)], "1.5 rows an episode"
        by_ptx = backward(ptx(twin, corpus.given[0]), twin)
        by_both = {name: by_ppo[name] + gamma * by_ptx[name] for name in by_ppo}
    [update] = updates.of(policy)
    same(update["gradient"], by_both, rtol=1e-7)
    stepped = {name: update["before"][name] - 1e-2 * each / (each.abs() + 1e-8)
               for name, each in by_both.items()}
    same(update["after"], stepped, rtol=1e-5, atol=1e-6)


def test_two_optimizer_steps_would_end_elsewhere():
    """Why the order matters: Adam normalises each step, so gamma would hardly count in one of its own."""
    def after(*gradients):
        module = torch.nn.ParameterList([torch.zeros(2, dtype=torch.float64)])
        [adam] = stage.loop.make_optimizers(module, lr=0.1)
        for gradient in gradients:
            module[0].grad = doubles(gradient)
            adam.step()
        return module[0].tolist()

    assert after([0.5, 2.0]) == pytest.approx([-0.1, -0.1], rel=1e-6)
    assert after([1.0, -1.0], [-0.5, 3.0]) == pytest.approx([-0.126837, 0.051070], abs=1e-6), "by hand"


def test_later_minibatches_are_clipped_against_the_sampler(policy, reward, watch, monkeypatch):
    """Gradient of the last minibatch by autograd through one-row forwards and the definition of the clip."""
    updates = Updates(monkeypatch, stage)
    rows = watch.run(policy, reward, replace(CONFIG, episodes=12, lr=0.1, clip=0.1))
    twin, last = new_policy(), updates.of(policy)[-1]
    twin.load_state_dict({**twin.state_dict(), **last["before"]})
    _, part, log_ratio = watch.parts[-1]
    where = [watch.rollouts[0].token_BS.tolist().index(row) for row in part.token_BS.tolist()]
    old_BT, advantage_BT = part.logp_BT, watch.known[0]["advantage_BT"][where]
    gains = []
    for n, (x, y) in enumerate(halves(part)):
        ratio, a = (row_logp(twin, x, y) - old_BT[n, :len(y)]).exp(), advantage_BT[n, :len(y)]
        gains.append(torch.where(a > 0, a * ratio.clamp(max=1.1), a * ratio.clamp(min=0.9)))
    same(last["gradient"], backward(-torch.cat(gains).mean(), twin), rtol=1e-7)
    assert (log_ratio.exp() - 1).abs().max() > 0.1 and rows[0]["clip_fraction"] > 0


def test_the_value_learns_the_returns(policy, reward, watch, monkeypatch):
    updates = Updates(monkeypatch, stage)
    watch.run(policy, reward, replace(CONFIG, episodes=12, minibatch_size=12))
    twin, rollout = new_reward(), watch.rollouts[0]
    value = torch.cat([row_values(twin, *row) for row in halves(rollout)])
    loss = 0.5 * (value - watch.known[0]["return_BT"][rollout.mask_BT]).square().mean()
    [update] = updates.of(watch.values[0])
    same(update["gradient"], backward(loss, twin), rtol=1e-7)


def test_the_value_is_clipped_only_if_asked(policy, reward, monkeypatch):
    clips, value_loss = [], stage.value_loss
    monkeypatch.setattr(stage, "value_loss", lambda *given: (clips.append(given[4]), value_loss(*given))[1])
    for clip in (0.3, 0.0):
        next(ppo_ptx(new_policy(), policy, reward, PROMPTS, replace(CONFIG, value_clip=clip)))
    assert set(clips[:3]) == {0.3} and set(clips[3:]) == {0.0}


def test_every_sample_is_used_once_in_each_inner_epoch(policy, reward, watch):
    watch.run(policy, reward, replace(CONFIG, inner_epochs=2))
    for iteration, rollout in enumerate(watch.rollouts):
        parts = [part.token_BS.tolist() for where, part, _ in watch.parts if where == iteration]
        assert [len(part) for part in parts] == [4, 4, 4] * 2
        everything = sorted(rollout.token_BS.tolist())
        assert sorted(sum(parts[:3], [])) == sorted(sum(parts[3:], [])) == everything
        assert parts[:3] != parts[3:] and sum(parts[:3], []) != rollout.token_BS.tolist()


def test_each_minibatch_makes_one_update_of_policy_and_value(policy, reward, watch, monkeypatch):
    updates = Updates(monkeypatch, stage)
    watch.run(policy, reward, CONFIG)
    assert len(updates.of(policy)) == len(updates.of(watch.values[0])) == 4 * 3


def test_each_pass_asks_every_prompt_once(policy, reward, watch):
    """24 prompts in batches of 12, twice."""
    watch.run(policy, reward, CONFIG)
    asked = [[tuple(x) for x, _ in halves(rollout)] for rollout in watch.rollouts]
    assert [len(batch) for batch in asked] == [12] * 4
    everything = sorted(map(tuple, policy.encode(PROMPTS)))
    assert sorted(asked[0] + asked[1]) == sorted(asked[2] + asked[3]) == everything and asked[0] != asked[2]


def test_each_iteration_draws_anew(policy, reward, watch, monkeypatch):
    """The same policy, asked the same, says something else each time."""
    monkeypatch.setattr(stage.loop, "stream", lambda *_: torch.arange(12))
    watch.run(policy, reward, replace(CONFIG, lr=0.0))
    assert len({str(rollout.token_BS.tolist()) for rollout in watch.rollouts}) == 4
    assert len({str(part.token_BS.tolist()) for _, part, _ in watch.parts}) == 12


def test_reference_and_reward_never_change_and_the_value_is_another_network(policy, reward, watch):
    before = digest(reward), digest(policy)
    watch.run(policy, reward, CONFIG)
    assert (digest(reward), digest(watch.sft)) == before and digest(policy) != before[1]
    [value] = set(watch.values)
    assert digest(value) != digest(reward)
    assert not {p.data_ptr() for p in value.parameters()} & {p.data_ptr() for p in reward.parameters()}
    assert all(p.grad is None for model in (reward, watch.sft) for p in model.parameters())


def prompt_lengths(rollout) -> torch.Tensor:
    return rollout.prompt_B.double()


def test_the_value_starts_as_the_reward_model_or_as_what_is_given(policy, reward, monkeypatch):
    starts, look_back = [], stage.look_back
    monkeypatch.setattr(stage, "look_back", lambda rollout, sft, reward, value, *rest: (
        starts.append(digest(value)), look_back(rollout, sft, reward, value, *rest))[1])
    other = new_reward(seed=8)
    next(ppo_ptx(new_policy(), policy, reward, PROMPTS, CONFIG))
    next(ppo_ptx(new_policy(), policy, reward, PROMPTS, CONFIG, value=other))
    next(ppo_ptx(new_policy(), policy, prompt_lengths, PROMPTS, CONFIG, value=other))
    assert starts == [digest(reward), digest(other), digest(other)]


def test_at_the_end_the_policy_is_the_moving_average_of_all_its_weights(policy, reward, watch, monkeypatch):
    updates, mean = Updates(monkeypatch, stage), weights(policy)
    watch.run(policy, reward, CONFIG)
    for update in updates.of(policy):
        mean = {name: 0.9 * mean[name] + 0.1 * update["after"][name] for name in mean}
    same(weights(policy), mean)
    same(weights(watch.policies[-1]), updates.of(policy)[8]["after"], rtol=0, atol=0)


def test_rates_rise_from_a_tenth_over_the_first_iterations(policy, reward, watch, monkeypatch):
    updates = Updates(monkeypatch, stage)
    watch.run(policy, reward, replace(CONFIG, warmup=3, lr=0.02, value_lr=0.04))
    for module, peak in ((policy, 0.02), (watch.values[0], 0.04)):
        rates = [entry["lr"][0] for entry in updates.of(module)]
        assert rates == pytest.approx([peak * share for share in (0.1, 0.4, 0.7, 1.0) for _ in range(3)])


def test_ppo_without_ptx_needs_no_corpus_and_ptx_does(policy, reward, corpus):
    with pytest.raises(ValueError, match="gamma is 27.8: give a corpus, or set gamma to 0"):
        next(ppo_ptx(policy, policy.frozen(), reward, PROMPTS, replace(CONFIG, gamma=27.8)))
    row = next(ppo_ptx(policy, policy.frozen(), reward, PROMPTS, CONFIG, corpus))
    assert "ptx_loss" not in row and not corpus.given


# Faults

@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_not_finite_stops_before_the_update_and_names_the_step(bad, policy, reward):
    scores = []

    def broken(rollout):
        scores.append(reward(rollout))
        return scores[-1].index_fill(0, torch.tensor([3]), bad) if len(scores) == 2 else scores[-1]

    running = ppo_ptx(policy, policy.frozen(), broken, PROMPTS, CONFIG, value=reward)
    next(running)
    before = digest(policy)
    with pytest.raises(FloatingPointError, match=rf"^ppo, step 1: score\[3\] is {bad}"):
        next(running)
    assert digest(policy) == before


def test_a_value_that_is_not_finite_leaves_the_policy_as_it_was(policy, reward, monkeypatch):
    monkeypatch.setattr(stage, "value_loss", lambda value, *_: value.sum() * math.nan)
    before = digest(policy)
    with pytest.raises(FloatingPointError, match="^ppo, step 0: value_loss is nan"):
        next(ppo_ptx(policy, policy.frozen(), reward, PROMPTS, CONFIG))
    assert digest(policy) == before


def test_equal_scores_and_no_kl_leave_nothing_to_divide_by(policy):
    """A constant reward and a value that knows it: all advantages are 0, and nothing is nan."""
    knowing = new_reward()
    with torch.no_grad():
        knowing.model.score.weight.zero_()
        knowing.bias.fill_(1.0)
    config = replace(CONFIG, missing_eos=0.0, value_lr=0.0, lr=0.0)
    rows = list(ppo_ptx(policy, policy.frozen(), lambda rollout: torch.ones(len(rollout)).double(), PROMPTS,
                        config, value=knowing))
    assert all(row["policy_loss"] == pytest.approx(0, abs=1e-9) and row["value_loss"] < 1e-18 for row in rows)


@pytest.mark.parametrize("k", [1, 3, 4])
@pytest.mark.parametrize("target", [0.0, 0.4])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(target, k, tmp_path, reward, corpus):
    config = replace(CONFIG, gamma=0.5, warmup=3, inner_epochs=2, kl_target=target, kl_horizon=24)
    whole, half, rest, sft = new_policy(), new_policy(), new_policy(seed=9), new_policy()
    rows = list(ppo_ptx(whole, sft, reward, PROMPTS, config, corpus))
    resume = ResumeState()
    stopped = ppo_ptx(half, sft, reward, PROMPTS, config, corpus, resume)
    seen = [next(stopped) for _ in range(k)]
    resumed = ppo_ptx(rest, sft, reward, PROMPTS, config, corpus, reopened(resume, tmp_path))
    assert seen + list(resumed) == rows and digest(rest) == digest(whole)


def test_a_policy_learns_to_score(policy):
    """The reward counts a's: after twenty iterations the micro model says more of them."""
    def count(rollout):
        return (rollout.response_BT == 4).sum(dim=1).double()

    config = replace(CONFIG, episodes=20 * 64, batch_size=64, minibatch_size=32, lr=2e-2, beta=0.05)
    value = ScalarModel.on(policy).double()
    rows = list(ppo_ptx(policy, policy.frozen(), count, PROMPTS * 4, config, value=value))
    assert rows[-1]["score"] > rows[0]["score"] + 1


def test_a_gradient_of_the_value_that_is_not_finite_moves_neither_network(policy, reward):
    """Checked for both before either steps: the loss is finite, its gradient is not."""
    value = ScalarModel.on(reward)
    value.model.score.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScalarModel, "on", lambda source: source)
        before = digest(policy), digest(value)
        with pytest.raises(FloatingPointError, match="gradient_norm of ScalarModel is"):
            next(ppo_ptx(policy, policy.frozen(), reward, PROMPTS, CONFIG, value=value))
    assert (digest(policy), digest(value)) == before


@pytest.mark.parametrize("scores, told", [
    (lambda rollout: torch.zeros(len(rollout), 1), r"torch.float32 \[12, 1\]"),
    (lambda rollout: torch.zeros(len(rollout), dtype=torch.long), r"torch.int64 \[12\]"),
])
def test_scores_are_one_float_a_response(scores, told, policy, reward):
    with pytest.raises(ValueError, match=rf"the reward gave {told}: want one float for each of 12"):
        next(ppo_ptx(policy, policy.frozen(), scores, PROMPTS, CONFIG, value=reward))


def test_what_cannot_be_right_is_refused_in_a_sentence(policy, reward):
    with pytest.raises(ValueError, match="policy and reference share weights, so KL would stay 0"):
        next(ppo_ptx(policy, policy, reward, PROMPTS, CONFIG))
    with pytest.raises(ValueError, match="give value=ScalarModel.on"):
        next(ppo_ptx(policy, policy.frozen(), prompt_lengths, PROMPTS, CONFIG))
    with pytest.raises(ValueError, match="there are no prompts"):
        next(ppo_ptx(policy, policy.frozen(), reward, [], CONFIG))


@pytest.mark.parametrize("size", [5, 0, -4, 24])
def test_minibatches_that_do_not_divide_the_batch_are_refused(size):
    with pytest.raises(ValueError, match=f"minibatch_size is {size}, which does not divide batch_size, 12"):
        replace(CONFIG, minibatch_size=size)


def test_both_networks_are_clipped_and_have_the_betas_and_eps_of_the_configuration(policy, reward, tmp_path):
    """After one step Adam's averages are (1 - beta) g and (1 - beta) g^2, and it moved lr g / (g + eps)."""
    config = replace(CONFIG, episodes=12, minibatch_size=12, clip_norm=1e-3, adam_betas=(0.5, 0.75),
                     adam_eps=1e-2, ema=0.0)
    before = {"policy": weights(policy), "value": weights(reward)}
    resume = ResumeState()
    next(ppo_ptx(policy, policy.frozen(), reward, PROMPTS, config, resume=resume))
    tensors = tensors_of(resume, tmp_path)
    for name, start in before.items():
        first, second = ([tensors[f"{name}_optimizers.0:{n}.{kind}"] for n in range(len(start))]
                         for kind in ("exp_avg", "exp_avg_sq"))
        assert 2 * torch.cat([each.flatten() for each in first]).norm() == pytest.approx(1e-3, rel=1e-5)
        for (key, weight), m, v in zip(start.items(), first, second, strict=True):
            torch.testing.assert_close(v / 0.25, (m / 0.5).square(), rtol=1e-9, atol=1e-20)
            step = 1e-2 * (m / 0.5) / ((m / 0.5).abs() + 1e-2)
            torch.testing.assert_close(tensors[f"{name}:{key}"], weight - step, rtol=1e-9, atol=1e-12)


def test_batches_take_from_joined_passes(policy, reward, watch):
    """24 prompts, batches of 16: three batches ask each prompt twice, and none is short."""
    watch.run(policy, reward, replace(CONFIG, episodes=48, batch_size=16))
    asked = [tuple(x) for rollout in watch.rollouts for x, _ in halves(rollout)]
    assert [len(rollout) for rollout in watch.rollouts] == [16] * 3
    everything = sorted(map(tuple, policy.encode(PROMPTS)))
    assert sorted(asked[:24]) == sorted(asked[24:]) == everything


def test_policy_reference_reward_and_value_read_the_same_ids(policy, reward):
    foreign = {"reference": policy.frozen(), "reward": ScalarModel.on(reward), "value": ScalarModel.on(reward)}
    for name, network in foreign.items():
        network.tokenizer.add_tokens(["one more"])
        given = {"reference": policy.frozen(), "reward": reward, "value": ScalarModel.on(reward), name: network}
        with pytest.raises(ValueError, match=rf"{name} .*have different tokenizers|and {name} have different"):
            next(ppo_ptx(policy, prompts=PROMPTS, config=CONFIG, **given))


@pytest.mark.parametrize("horizon", [0, -1, 51, 102.4])
def test_a_horizon_so_short_that_a_batch_might_turn_beta_negative_is_refused(horizon):
    assert adapted_beta(1.0, 0.0, 1.0, 512, 102.5) > 0 >= adapted_beta(1.0, 0.0, 1.0, 512, 102.4)
    with pytest.raises(ValueError, match=f"kl_horizon is {horizon}: take more than a fifth of batch_size, 512"):
        PPO(batch_size=512, kl_target=6.0, kl_horizon=horizon)
    assert PPO(kl_target=6.0, kl_horizon=102.5).kl_horizon == 102.5
    assert PPO(kl_horizon=horizon).kl_target == 0                # a fixed beta has no horizon


def test_a_target_below_0_is_refused():
    with pytest.raises(ValueError, match="kl_target is -1.0: take 0 or more"):
        PPO(kl_target=-1.0)
