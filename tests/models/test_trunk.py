"""GPT-2's short way against its own forward, and the context's limit."""

import copy

import pytest
import torch

from instructgpt_lite.models import trunk
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.models.sampling import Rollout
from tests.models.conftest import EOS, PAD

EXACT = dict(rtol=1e-10, atol=1e-10)


def test_without_any_residual_branch_only_the_embeddings_are_left(gpt2):
    rows = trunk.Rows(torch.tensor([[5, 6, 7]]), torch.ones(1, 3, dtype=torch.bool))
    gpt2_model = gpt2.model.transformer
    x_SD = gpt2_model.ln_f(gpt2_model.wte.weight[5:8] + gpt2_model.wpe.weight[:3])
    left = trunk.gpt2_states(gpt2_model, rows, torch.arange(3), drop=lambda x: 0 * x)
    torch.testing.assert_close(left, x_SD, **EXACT)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh"])
def test_the_short_way_is_gpt2_with_any_gelu(gpt2, activation):
    from transformers import GPT2LMHeadModel
    config = copy.deepcopy(gpt2.model.config)
    config.activation_function = activation
    model = GPT2LMHeadModel(config).double().eval()
    model.load_state_dict(gpt2.model.state_dict())
    token_BS = torch.arange(24)[None]
    assert trunk.is_plain_gpt2(model)
    ours = Policy(model, gpt2.tokenizer).logits(token_BS)
    torch.testing.assert_close(ours, model(token_BS).logits, **EXACT)


def test_a_changed_gpt2_goes_the_long_way(gpt2):
    gpt2.model.transformer.h[1].mlp.c_fc = torch.nn.Linear(16, 64).double()
    assert not trunk.is_plain_gpt2(gpt2.model)
    token_BS = torch.arange(24)[None]
    torch.testing.assert_close(gpt2.logits(token_BS), gpt2.model(token_BS).logits, **EXACT)


def test_rows_longer_than_the_context_are_refused(policy):
    with pytest.raises(ValueError, match="rows of 26 tokens, 2 more than the model's context of 24"):
        policy.logp(Rollout.of([[5] * 20], [[6] * 6], pad=PAD, eos=EOS))
