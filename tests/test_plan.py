"""What a run needs of a card: known counts of weights, sums that add up, flags that fit, and what was measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from instructgpt_lite.__main__ import main
from instructgpt_lite.config import Hardware
from instructgpt_lite.presets import gpt2, offline, reviews, tiny
from instructgpt_lite.run.plan import CARDS, KNOWN, Card, activations, fitting, of_json, plan, shape_of

T4 = CARDS["t4"]


@pytest.mark.parametrize("model", [
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=48, n_head=4, vocab_size=90, n_positions=32)),
    LlamaForCausalLM(LlamaConfig(num_hidden_layers=2, hidden_size=48, num_attention_heads=4, num_key_value_heads=2,
                                 intermediate_size=100, vocab_size=90, tie_word_embeddings=True))],
                         ids=["gpt2", "llama"])
def test_weights_are_counted_as_transformers_has_them_up_to_biases_and_norms(model):
    shape = of_json(json.loads(model.config.to_json_string(use_diff=False)))
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    assert shape.weights == matrices


@pytest.mark.parametrize("name, millions", [("gpt2", 124.4), ("gpt2-medium", 354.8), ("smollm2", 134.5)])
def test_known_models_have_their_published_size(name, millions):
    assert KNOWN[name].weights / 1e6 == pytest.approx(millions, rel=2e-3)


def test_a_model_is_known_by_name_folder_or_architecture(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"n_embd": 8, "n_layer": 1, "vocab_size": 10, "n_positions": 4}))
    assert shape_of(gpt2) is KNOWN["gpt2"] and shape_of(reviews) is KNOWN["smollm2"]
    assert shape_of(replace(gpt2, base_model=str(tmp_path))).weights == 12 * 8 * 8 + 14 * 8
    assert shape_of(tiny).layers == tiny.architecture.layers
    with pytest.raises(ValueError, match="somebody/model: its size is not known before it is there; known are gpt2"):
        shape_of(replace(gpt2, base_model="somebody/model@abc"))


def test_networks_of_each_stage_in_bytes_a_weight():
    """Training 4 + 4 + 8; PPO has two of these, and average, reference and reward model at 4."""
    N = KNOWN["gpt2"].weights
    assert {need.stage: need.weights / N for need in plan(gpt2, T4)} == {
        "sft": 16, "rl_init": 16, "collect": 4, "reward": 16, "ppo_ptx": 2 * 16 + 3 * 4}


def test_micro_batches_and_checkpointing_need_less_and_precision_half():
    def learning(**how):
        return {need.stage: need.learning for need in plan(gpt2, T4, Hardware(**how))}["ppo_ptx"]

    assert learning(micro_batch=8) < learning(micro_batch=16) < learning() == learning(micro_batch=10**6)
    assert learning(checkpointing=True) < learning() < learning(precision="fp32")


def test_activations_by_hand():
    """One token, one layer of width 2, mlp 8, keys 2: (9 2 + 2 2 + 2 8) 4 bytes; a logit of 5 words is 3 x 4 x 5."""
    shape = replace(KNOWN["gpt2"], layers=1, width=2, mlp=8, kv=2, vocabulary=5)
    assert activations(shape, 1, 0, half=False, checkpointing=False) == 38 * 4
    assert activations(shape, 0, 1, half=False, checkpointing=False) == 60
    assert activations(shape, 1, 0, half=True, checkpointing=True) == 38 * 2 + 8


def test_gpt2_with_pretraining_gradients_fits_a_t4_by_flags_that_the_plan_names():
    how = fitting(gpt2, T4)
    assert max(need.total for need in plan(gpt2, T4, how)) <= 14e9
    assert how.micro_batch and not how.checkpointing


def test_flags_go_from_cheap_to_dear_and_may_not_be_enough():
    assert fitting(reviews, CARDS["h200"]) == reviews.hardware
    short = replace(gpt2, collect=replace(gpt2.collect, max_new_tokens=1), ppo=replace(gpt2.ppo, ptx_length=1024))
    assert fitting(short, Card(7.3, 65, 320)) == Hardware(micro_batch=1, checkpointing=True)
    assert fitting(gpt2, Card(4, 65, 320)) is None


def test_a_faster_card_takes_less_time_and_more_episodes_more():
    minutes = [sum(need.seconds for need in plan(gpt2, CARDS[name])) for name in ("t4", "a100", "h100")]
    assert minutes == sorted(minutes, reverse=True)
    longer = replace(gpt2, ppo=replace(gpt2.ppo, episodes=2 * gpt2.ppo.episodes))
    once, twice = (plan(each, T4)[-1].seconds for each in (gpt2, longer))
    assert twice == pytest.approx(2 * once)


def test_the_plan_is_within_15_percent_of_what_was_measured():
    """results/memory.json, by tools/measure_memory.py: GPT-2 of 124M weights on a CPU."""
    found = json.loads((Path(__file__).parent.parent / "results" / "memory.json").read_text())["stages"]
    assert set(found) == {"sft", "reward", "ppo_ptx"}
    assert all(abs(each["planned"] / each["measured"] - 1) < 0.15 for each in found.values())


def test_the_command_prints_a_row_a_stage_and_the_flags(capsys):
    assert main(["plan", "--preset", "gpt2", "--gpu", "t4"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines()[1:6]] == ["sft", "rl_init", "collect", "reward", "ppo_ptx"]
    assert "with --hardware.micro-batch" in told and max(map(len, told.splitlines())) <= 80
    assert main(["plan", "--preset", "gpt2", "--memory", "4", "--tflops", "65", "--bandwidth", "320"]) == 1
    assert "It does not fit 4 GB" in capsys.readouterr().out
    assert main(["plan", "--gpu", "abacus"]) == 1 and "no such card; there are t4, l4" in capsys.readouterr().err


def test_every_preset_can_be_planned():
    for preset in (tiny, gpt2, reviews, offline):
        assert all(need.total > 0 and need.seconds >= 0 for need in plan(preset, T4))
