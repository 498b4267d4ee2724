"""What the trial of a model rests on: how long its rows are, and what makes it fail."""

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import Gemma3Config

from instructgpt_lite.models import forward, self_test
from instructgpt_lite.models.networks import Policy
from tests.models import families
from tests.models.conftest import new_tokenizer
from tests.models.families import mistral


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


def test_a_model_that_reads_blocks_both_ways_is_refused():
    """Blocks of 5 tokens, as many as the short row has: what is read of that one does not depend on later blocks."""
    model = copy.deepcopy(families.model("llama"))
    read = model.forward

    def forward_of_blocks(input_ids, attention_mask, **inputs):
        block_S = torch.arange(input_ids.size(1)) // 5
        mask_SS = torch.where(block_S <= block_S[:, None], 0.0, torch.finfo(torch.float32).min)
        return read(input_ids, attention_mask=mask_SS.expand(len(input_ids), 1, -1, -1), **inputs)

    model.forward = forward_of_blocks
    with pytest.raises(ValueError, match="lets a token see those after it"):
        self_test.refuse_unless_causal(model, forward.logits)
