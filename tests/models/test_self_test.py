"""What the trial of a model rests on: how long its rows are, and what makes it fail."""

import copy
import time
from types import SimpleNamespace

import pytest
import torch
from transformers import Gemma3Config

from instructgpt_lite.models import fast, forward, self_test
from instructgpt_lite.models.networks import Policy, ScalarModel
from tests.models import families
from tests.models.conftest import new_tokenizer


def mistral(**settings):
    """A copy of the micro Mistral, as if its configuration said something else."""
    model = copy.deepcopy(families.model("mistral"))
    for name, value in settings.items():
        setattr(model.config, name, value)
    return model


def test_windows_are_found_in_nested_configurations_under_any_name():
    config = SimpleNamespace(to_dict=lambda: {
        "sliding_window": 7, "attention_chunk_size": None, "use_sliding_window": True,
        "text_config": {"local_attention": 9, "inner": {"max_window": 11}}, "hidden_size": 5})
    assert sorted(self_test.windows(config)) == [7, 9, 11]
    nested = Gemma3Config(text_config={"sliding_window": 13}, vision_config={"num_hidden_layers": 1})
    assert 13 in self_test.windows(nested)


def test_rows_are_longer_than_every_window_that_is_tried_and_fit_the_context():
    assert self_test.longest(mistral(sliding_window=30)) > 30 + self_test.DRAWN
    assert self_test.longest(mistral(sliding_window=256, max_position_embeddings=512)) > 256
    assert self_test.longest(mistral(sliding_window=257)) == 24
    assert self_test.longest(mistral(sliding_window=200, max_position_embeddings=50)) == 50


def test_a_huge_window_is_fast_up_to_its_length_and_plain_beyond(monkeypatch):
    model = copy.deepcopy(families.model("mistral without window"))
    model.config.sliding_window, model.config.max_position_embeddings = 300, 1_000
    policy = Policy(model, new_tokenizer())
    reward = ScalarModel.on(policy)
    assert policy.fast == reward.fast == 300
    taken = []
    for road in ("decode", "prefix_states"):
        monkeypatch.setattr(fast, road, lambda *inputs, way=getattr(fast, road): (taken.append(1), way(*inputs))[1])
    fast_calls = {}
    for length in (295, 296):
        taken.clear()
        policy.sample([[5] * length], max_new_tokens=5)
        reward.scores([[5] * length], [[[6, 7], [8, 9, 10]]])
        fast_calls[length] = len(taken)
    assert fast_calls == {295: 2, 296: 0}


def test_rows_up_to_a_window_go_the_fast_road_where_longer_ones_may_not():
    model = mistral(sliding_window=16)
    for layer in model.model.layers:
        layer.self_attn.sliding_window = 16
    policy = Policy(model, new_tokenizer())
    assert policy.fast == ScalarModel.on(policy).fast == 16


def test_lengths_end_where_frequencies_begin_to_change():
    dynamic, long = families.model("llama with dynamic rope"), families.model("phi3 with longrope")
    assert (forward.context(dynamic), forward.context(long)) == (64, 40)
    assert forward.context(families.model("mamba")) == forward.UNLIMITED
    assert forward.context(families.model("mpt")) == 64
    token_BS = torch.zeros(1, 41, dtype=torch.long)
    with pytest.raises(ValueError, match="rows of 41 tokens, 1 more than the model's context of 40"):
        Policy(long, new_tokenizer()).logits(token_BS)


def test_weights_that_are_not_finite_are_said_to_be_damaged():
    model = mistral()
    with torch.no_grad():
        model.lm_head.weight[3, 3] = torch.nan
    with pytest.raises(ValueError, match="numbers that are not finite: its weights are damaged"):
        Policy(model, new_tokenizer())


def with_positions(position_of):
    """A micro Llama whose positions are a function of where tokens are (B, S)."""
    model = copy.deepcopy(families.model("llama"))
    read = model.forward
    model.forward = lambda input_ids, attention_mask, **inputs: read(
        input_ids, attention_mask, position_ids=position_of(attention_mask), **inputs)
    return model


@pytest.mark.parametrize("position_of, message", [
    (lambda real_BS: real_BS.cumsum(1) * real_BS.sum(1, keepdim=True), "see those after it"),
    (lambda real_BS: real_BS.cumsum(1) * real_BS.size(1), "otherwise in company of longer ones"),
    (lambda real_BS: torch.randint(99, real_BS.shape), "other numbers when it reads the same again")])
def test_positions_that_are_not_the_tokens_own_are_refused(position_of, message):
    with pytest.raises(ValueError, match=message):
        self_test.refuse_unless_causal(with_positions(position_of), forward.logits)


def test_without_the_fast_file_every_road_is_plain():
    model = families.model("llama")
    assert self_test.policy_road(model, None) == self_test.scalar_road(model, None) == 0
    assert self_test.policy_road(model, fast) == self_test.scalar_road(model, fast) == forward.UNLIMITED


def test_the_models_of_the_book_are_not_tried(gpt2, monkeypatch):
    monkeypatch.setattr(self_test, "read_rows", None)
    ScalarModel.on(Policy(gpt2.model, gpt2.tokenizer))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_take_the_same_road(dtype):
    for name, road in ("llama", forward.UNLIMITED), ("mistral", 0):
        model = copy.deepcopy(families.model(name)).to(dtype)
        assert self_test.policy_road(model, fast) == self_test.scalar_road(model, fast) == road


def test_a_micro_model_is_tried_in_less_than_a_second():
    began = time.process_time()
    self_test.policy_road(families.model("llama"), fast)
    self_test.scalar_road(families.model("llama"), fast)
    assert time.process_time() - began < 1
