"""The plain forward: what it refuses, and dropout."""

import pytest
import torch

from instructgpt_lite.models import forward
from instructgpt_lite.models.rollout import Rollout
from tests.models.conftest import EOS, PAD

EXACT = dict(rtol=1e-10, atol=1e-10)
CPU = torch.device("cpu")


def test_rows_longer_than_the_context_are_refused(policy):
    with pytest.raises(ValueError, match="rows of 26 tokens, 2 more than the model's context of 24"):
        policy.logp(Rollout.of([[5] * 20], [[6] * 6], pad=PAD, eos=EOS))


def test_dropout_is_inverted_and_drawn_from_its_generator():
    drop = forward.dropout(0.2, torch.Generator().manual_seed(0), CPU)
    x = drop(torch.ones(10_000))
    assert set(x.unique().tolist()) == {0.0, 1.25} and x.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(forward.dropout(0.2, torch.Generator().manual_seed(0), CPU)(torch.ones(10_000)), x)
    assert forward.dropout(0.0, None, CPU) is None


def test_residual_dropout_falls_on_what_attention_and_mlp_add(gpt2):
    """Where nothing is added, the embeddings are left."""
    token_BS, trunk = torch.tensor([[5, 6, 7]]), gpt2.model.transformer
    x_SD = trunk.ln_f(trunk.wte.weight[5:8] + trunk.wpe.weight[:3])
    left = forward.logits(gpt2.model, token_BS, token_BS > 0, torch.arange(3), drop=lambda x: 0 * x)
    torch.testing.assert_close(left, gpt2.model.lm_head(x_SD), **EXACT)


def test_a_model_that_cannot_be_asked_for_some_places_gives_them_all_the_same(policy):
    token_BS, keep_M = torch.arange(2, 14).view(2, 6), torch.tensor([1, 4, 9])
    expected = forward.logits(policy.model, token_BS, token_BS > 0, keep_M)
    whole = policy.model.forward
    policy.model.forward = lambda input_ids, attention_mask, use_cache: whole(
        input_ids, attention_mask=attention_mask, use_cache=use_cache)
    found = forward.logits(policy.model, token_BS, token_BS > 0, keep_M)
    torch.testing.assert_close(found, expected, **EXACT)
    torch.testing.assert_close(found, whole(token_BS).logits.flatten(0, 1)[keep_M], **EXACT)
