"""Where networks read, and in what pieces: other hardware, the same numbers."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from instructgpt_lite.config import PPO, SFT, Hardware, Pretrain, Reward
from instructgpt_lite.models import hardware, networks
from instructgpt_lite.models.hardware import LossScale, device_of, dtype_of, placed
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.training import loop
from instructgpt_lite.training.ppo_ptx import ppo_ptx
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.resume import ResumeState
from instructgpt_lite.training.reward import train_reward
from instructgpt_lite.training.sft import finetune
from tests.training.conftest import Corpus, demonstrations, letters, new_policy, new_reward, rankings

SHOWN, RANKED, PROMPTS = demonstrations(10), rankings([4, 5, 2, 3, 6]), letters(24, 1)
SMALL = PPO(episodes=24, batch_size=12, minibatch_size=6, lr=1e-2, value_lr=1e-2, warmup=1, beta=0.3, gamma=0.5,
            ptx_ratio=0.5, ptx_length=6, max_new_tokens=5, clip_norm=0.5)


def pretraining(policy, reward):
    return pretrain(policy, Corpus(), Pretrain(tokens=60, batch_size=5, length=6, lr=1e-2))


def supervised_with_a_mix(policy, reward):
    return finetune(policy, SHOWN, SFT(epochs=1, batch_size=5, lr=1e-2, dropout=0.0, pretraining_mix=0.5,
                                       mix_length=7), Corpus())


def reward_training(policy, reward):
    return train_reward(reward, RANKED, Reward(batch_size=5, lr=1e-2))


def reinforcing(policy, reward):
    return ppo_ptx(policy, policy.frozen(), reward, PROMPTS, SMALL, Corpus())


STAGES = [pretraining, supervised_with_a_mix, reward_training, reinforcing]


def trained(stage, how: Hardware):
    """Rows and weights of a stage on networks placed so."""
    policy, reward = placed(new_policy(), how), placed(new_reward(), how)
    return list(stage(policy, reward)), [*policy.parameters(), *reward.parameters()]


# Where and in what

def test_on_a_cpu_auto_is_float32():
    assert device_of(Hardware()) == torch.device("cpu") and dtype_of(Hardware(), torch.device("cpu")) is None


@pytest.mark.parametrize("real, dtype", [(True, torch.bfloat16), (False, torch.float16)])
def test_on_a_gpu_auto_is_bf16_only_where_it_is_not_emulated(monkeypatch, real, dtype):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or real)
    assert device_of(Hardware()) == torch.device("cuda:0")
    assert dtype_of(Hardware(), torch.device("cuda")) is dtype


@pytest.mark.parametrize("how, says", [
    (Hardware(device="cuda"), "hardware.device is cuda, but torch sees no such GPU: take auto, or cpu"),
    (Hardware(precision="int8"), "hardware.precision is 'int8': take auto, fp32, bf16, fp16"),
    (Hardware(precision="fp16"), "hardware.precision is fp16, which a CPU is slow in: take fp32"),
    (Hardware(device="gpu"), "hardware.device is 'gpu', which torch does not know: take auto, cpu, or cuda"),
    (Hardware(micro_batch=-1), "hardware.micro_batch is -1: give a number of rows, or 0 for all"),
])
def test_what_cannot_be_is_refused_with_the_way_out(how, says):
    with pytest.raises(ValueError, match=says):
        placed(new_policy(), how)


GPU, CPU = torch.OutOfMemoryError("CUDA out of memory. Tried"), RuntimeError("[enforce fail] can't allocate memory: 9")


@pytest.mark.parametrize("error", [GPU, CPU])
@pytest.mark.parametrize("how, way", [
    (Hardware(), "with --hardware.micro-batch 16 --hardware.checkpointing"),
    (Hardware(micro_batch=8, checkpointing=True), "with --hardware.micro-batch 4 [(]"),
    (Hardware(micro_batch=1), "command with --hardware.checkpointing [(]"),
    (Hardware(micro_batch=1, checkpointing=True), "with shorter texts, a smaller model, or a larger card"),
])
def test_memory_that_runs_out_names_the_flags_that_need_less(error, how, way):
    with pytest.raises(MemoryError, match=f"out of memory .*{way}.* goes on from the last checkpoint"):
        with hardware.sparing(how):
            raise error


def test_another_error_is_left_as_it_is():
    with pytest.raises(RuntimeError, match="^size mismatch$"), hardware.sparing(Hardware()):
        raise RuntimeError("size mismatch")


# Micro-batches

@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_micro_batches_have_the_gradient_of_the_whole_batch(stage, size):
    (rows, weights), (others, theirs) = trained(stage, Hardware()), trained(stage, Hardware(micro_batch=size))
    assert others == [pytest.approx(row, rel=1e-9, abs=1e-12) for row in rows]
    for p, q in zip(weights, theirs, strict=True):
        torch.testing.assert_close(q, p, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_no_network_reads_more_rows_than_a_micro_batch_with_a_gradient(stage, monkeypatch):
    read = []
    for kind, name in ((Policy, "logits"), (Policy, "logp"), (ScalarModel, "scores"), (ScalarModel, "values")):
        def counting(self, first, *rest, original=getattr(kind, name), **more):
            read.append(len(first)) if torch.is_grad_enabled() else None
            return original(self, first, *rest, **more)
        monkeypatch.setattr(kind, name, counting)
    trained(stage, Hardware(micro_batch=2))
    assert read and max(read) == 2


def test_without_gradients_rows_are_read_in_pieces_with_the_same_numbers():
    whole, split = new_policy(), placed(new_policy(), Hardware(micro_batch=5))
    rollout = whole.sample(PROMPTS, max_new_tokens=6, generator=torch.Generator().manual_seed(0))
    reward, pieces = new_reward(), placed(new_reward(), Hardware(micro_batch=5))
    with torch.no_grad():
        torch.testing.assert_close(split.logp(rollout), whole.logp(rollout), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(pieces(rollout), reward(rollout), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(pieces.values(rollout), reward.values(rollout), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("words, micro_batch", [(12, 0), (5_000, 0), (5_000, 3)])
@pytest.mark.parametrize("kind, read", [(new_policy, Policy.logp), (new_reward, ScalarModel.values),
                                        (new_reward, ScalarModel.forward)])
def test_without_gradients_few_rows_are_read_at_once_where_each_has_many_numbers(kind, read, words, micro_batch,
                                                                                 monkeypatch):
    """A row here has 6 x 12 logits and 4 x 16 numbers a token in a block; of 5,000 words, logits would be more."""
    network, sizes = placed(kind(), Hardware(micro_batch=micro_batch)), []
    rollout = new_policy().sample(PROMPTS, max_new_tokens=6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = read(network, rollout)
        most = max(6 * words, rollout.token_BS.size(1) * 4 * 16)
        told = SimpleNamespace(num_embeddings=words, embedding_dim=16)
        monkeypatch.setattr(network.model, "get_input_embeddings", lambda: told)
        monkeypatch.setattr(networks, "READ", 2 * most + 1)
        monkeypatch.setattr(network, "_road", lambda road=network._road(): counted(road, sizes))
        torch.testing.assert_close(read(network, rollout), whole, rtol=1e-9, atol=1e-12)
    assert max(sizes) == 2 and sum(sizes) == len(rollout)


def counted(road, sizes):
    """A road that notes how many rows it reads."""
    def noting(read):
        def reading(model, token_BS, *rest):
            sizes.append(len(token_BS))
            return read(model, token_BS, *rest)
        return reading
    return SimpleNamespace(logits=noting(road.logits), states=noting(road.states))


# Activations

@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_checkpointing_changes_no_number(stage):
    (rows, weights), (others, theirs) = trained(stage, Hardware()), trained(stage, Hardware(checkpointing=True))
    assert others == [pytest.approx(row, rel=1e-8, abs=1e-10) for row in rows]
    for p, q in zip(weights, theirs, strict=True):
        torch.testing.assert_close(q, p, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("made", [lambda policy: policy, lambda policy: copy.deepcopy(policy), ScalarModel.on,
                                  lambda policy: ScalarModel.on(ScalarModel.on(policy)),
                                  lambda policy: placed(policy, Hardware(checkpointing=True))])
def test_checkpointed_blocks_are_computed_twice_by_whatever_was_made_of_the_network(made):
    network = made(placed(new_policy(), Hardware(checkpointing=True)))
    rollout, reads = new_policy().sample([[3, 4]], max_new_tokens=3, generator=torch.Generator().manual_seed(0)), []
    network.model.base_model.h[0].ln_1.register_forward_hook(lambda *_: reads.append(1))
    read = network.logp if isinstance(network, Policy) else network.values
    read(rollout).sum().backward()
    assert len(reads) == 2


@pytest.mark.parametrize("seeded", [True, False])
def test_dropout_of_a_checkpointed_block_is_the_same_both_times(seeded):
    """So is what the generator gives next: pretraining text is drawn from it."""
    plain, policy = new_policy(), placed(new_policy(), Hardware(checkpointing=True))
    plain.fast = 0                                    # by transformers' own forward, as a checkpointed one
    rollout, after = plain.sample(PROMPTS, max_new_tokens=6, generator=torch.Generator().manual_seed(0)), []
    for network in (plain, policy):
        torch.manual_seed(3)
        random = torch.Generator().manual_seed(3) if seeded else None
        network.logp(rollout, dropout=0.3, generator=random).square().sum().backward()
        after.append(torch.rand((), generator=random).item())
    assert after[0] == after[1]
    for p, q in zip(plain.parameters(), policy.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("before, after", [(False, True), (True, False)])
def test_a_stage_goes_on_with_or_without_checkpointing(before, after, tmp_path):
    config, resume = SFT(epochs=1, batch_size=5, lr=1e-2, dropout=0.0), ResumeState()
    next(finetune(placed(new_policy(), Hardware(checkpointing=before)), SHOWN, config, resume=resume))
    resume.save(tmp_path)
    rest = finetune(placed(new_policy(), Hardware(checkpointing=after)), SHOWN, config,
                    resume=ResumeState.newest(tmp_path))
    wanted = list(finetune(new_policy(), SHOWN, config))
    assert list(rest) == [pytest.approx(row, rel=1e-8) for row in wanted[1:]] and len(wanted) == 2


def test_a_checkpointed_model_is_saved_as_any_other(tmp_path):
    policy = placed(new_policy(), Hardware(checkpointing=True))
    policy.save(tmp_path / "model")
    again = Policy.load(tmp_path / "model")
    text = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(again.logits(text).double(), policy.logits(text), rtol=1e-4, atol=1e-5)


# 16 bits

def test_bf16_reads_in_16_bits_and_hands_on_float32():
    policy, half = new_policy().float(), placed(new_policy().float(), Hardware(precision="bf16"))
    text = torch.tensor([[1, 2, 3, 4]])
    exact, rounded = policy.logits(text), half.logits(text)
    assert rounded.dtype == torch.float32 and not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.05 * exact.std().item() + 0.02)
    rounded.sum().backward()
    assert {p.grad.dtype for p in half.parameters() if p.grad is not None} == {torch.float32}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_every_stage_learns_the_same_in_bf16_up_to_rounding(stage):
    def rows_of(how):
        policy, reward = placed(new_policy().float(), how), placed(new_reward().float(), how)
        return list(stage(policy, reward))

    exact, rounded = rows_of(Hardware()), rows_of(Hardware(precision="bf16"))
    assert len(exact) == len(rounded)
    name = next(name for name in exact[0] if name.endswith("loss"))
    assert rounded[0][name] == pytest.approx(exact[0][name], rel=0.05, abs=0.05)
    assert rounded != exact


def test_networks_made_of_one_another_read_alike():
    policy = placed(new_policy().float(), Hardware(precision="bf16", micro_batch=3))
    for made in (policy.frozen(), ScalarModel.on(policy), ScalarModel.on(ScalarModel.on(policy))):
        assert made.autocast is torch.bfloat16 and made.micro_batch == 3


def scaled(scale: float, **options):
    policy = new_policy()
    policy.loss_scale = LossScale(scale, **options)
    return policy


def test_a_loss_scale_leaves_no_trace_in_the_gradient():
    plain, policy = new_policy(), scaled(2.0**10)
    text = torch.tensor([[1, 2, 3]])
    for network in (plain, policy):
        network.logits(text).square().sum().backward()
    assert policy.loss_scale.unscale(policy)
    for p, q in zip(plain.parameters(), policy.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-12, atol=1e-15)


def test_a_head_outside_of_the_network_s_precision_is_scaled_too():
    plain, reward = new_reward(), new_reward()
    reward.loss_scale = LossScale(2.0**10)
    for network in (plain, reward):
        network.scores([[1, 2]], [[[3], [4, 5]]])[0].square().sum().backward()
    assert reward.loss_scale.unscale(reward)
    torch.testing.assert_close(reward.model.score.weight.grad, plain.model.score.weight.grad, rtol=1e-12, atol=1e-15)


def overflowing(policy):
    policy.logits(torch.tensor([[1, 2, 3]])).sum().backward()
    next(policy.parameters()).grad[0] = torch.inf


def test_an_overflow_costs_the_update_and_halves_the_scale():
    policy = scaled(1024.0)
    optimizers, before = loop.make_optimizers(policy, 1e-2), copy.deepcopy(policy.state_dict())
    overflowing(policy)
    loop.update("sft", 0, {policy: optimizers}, clip_norm=1.0)
    assert policy.loss_scale.scale == 512.0
    assert all(torch.equal(before[name], weight) for name, weight in policy.state_dict().items())
    assert not any(p.grad.any() for p in policy.parameters())
    policy.logits(torch.tensor([[1, 2, 3]])).square().sum().backward()
    loop.update("sft", 1, {policy: optimizers}, clip_norm=1.0)
    assert not all(torch.equal(before[name], weight) for name, weight in policy.state_dict().items())


def test_a_run_that_goes_on_has_the_scale_it_had(tmp_path):
    policy, again = scaled(1024.0), scaled(2.0**15)
    resume = ResumeState()
    resume.track(policy=policy)
    overflowing(policy)
    assert not policy.loss_scale.unscale(policy)
    resume.step = 1
    resume.save(tmp_path)
    ResumeState.newest(tmp_path).track(policy=again)
    assert vars(again.loss_scale) == vars(policy.loss_scale) and again.loss_scale.scale == 512.0


def test_overflow_after_overflow_is_an_error_with_the_way_out():
    policy = scaled(1024.0, patience=2)
    optimizers = loop.make_optimizers(policy, 1e-2)
    with pytest.raises(FloatingPointError, match="overflowed fp16 in 3 updates in a row: take hardware.precision fp32"):
        for step in range(3):
            overflowing(policy)
            loop.update("sft", step, {policy: optimizers})
    assert policy.loss_scale.scale == 128.0


def test_overflows_with_a_good_update_between_them_are_no_row():
    policy = scaled(1024.0, patience=1)
    for _ in range(3):
        overflowing(policy)
        assert not policy.loss_scale.unscale(policy)
        policy.zero_grad()
        assert policy.loss_scale.unscale(good(policy))


def good(policy):
    for p in policy.parameters():
        p.grad = torch.ones_like(p)
    return policy


def test_an_overflow_begins_the_count_of_two_hundred_anew():
    policy = scaled(8.0)
    for _ in range(150):
        policy.loss_scale.unscale(good(policy))
    overflowing(policy)
    policy.loss_scale.unscale(policy)
    for _ in range(199):
        policy.loss_scale.unscale(good(policy))
    assert policy.loss_scale.scale == 4.0
    assert policy.loss_scale.unscale(policy) and policy.loss_scale.scale == 8.0


def test_the_scale_doubles_after_two_hundred_good_updates():
    policy = scaled(8.0)
    for p in policy.parameters():
        p.grad = torch.ones_like(p)
    for _ in range(199):
        assert policy.loss_scale.unscale(policy)
    assert policy.loss_scale.scale == 8.0
    assert policy.loss_scale.unscale(policy) and policy.loss_scale.scale == 16.0


def test_what_is_no_overflow_is_still_refused_at_once():
    """Without fp16 a gradient that is not finite is an error of the run."""
    policy = new_policy()
    overflowing(policy)
    with pytest.raises(FloatingPointError, match="gradient_norm of Policy is inf"):
        loop.update("sft", 0, {policy: loop.make_optimizers(policy, 1e-2)})


def test_every_field_is_known_to_place():
    told = {name: replace(Hardware(), **{name: value}) for name, value in
            {"precision": "bf16", "micro_batch": 7, "checkpointing": True, "device": "meta"}.items()}
    assert placed(new_policy(), told["precision"]).autocast is torch.bfloat16
    assert placed(new_policy(), told["micro_batch"]).micro_batch == 7
    assert placed(new_policy(), told["device"]).device.type == "meta"
    assert placed(new_policy(), told["checkpointing"]).checkpointing
    assert hardware.AUTO == Hardware().device == Hardware().precision


@pytest.mark.parametrize("how", [Hardware(precision="bf16"), Hardware(precision="bf16", checkpointing=True)])
def test_a_llama_samples_in_16_bits_on_either_road(how):
    """Its rotations make keys of 32 bits, and values stay in 16: one cache holds both."""
    words = new_policy().tokenizer
    size = LlamaConfig(vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                       num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
    policy = placed(Policy(LlamaForCausalLM(size), words), how)
    rollout = policy.sample(PROMPTS, max_new_tokens=6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(rollout.logp_BT, policy.logp(rollout), rtol=0, atol=0.05)
