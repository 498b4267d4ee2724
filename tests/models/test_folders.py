"""Saved folders open in transformers with equal numbers; folders that must not be opened are not."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from tests.models.conftest import EOS, PAD, new_tokenizer

ROLLOUT = Rollout.of([[5, 6, 7], [8]], [[9, EOS], [4, 5, 6, EOS]], pad=PAD, eos=EOS)
FLOAT = dict(rtol=1e-5, atol=1e-5)


def reward_on(policy: Policy) -> ScalarModel:
    reward = ScalarModel.on(policy)
    reward.bias.fill_(0.75)
    return reward


def scores_of_transformers(folder) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    mask = (ROLLOUT.token_BS != PAD).long()
    return model(ROLLOUT.token_BS, attention_mask=mask).logits[:, 0]


def test_a_saved_policy_opens_in_transformers_and_here(gpt2, tmp_path):
    policy = gpt2.float()
    policy.save(tmp_path)
    theirs, ours = AutoModelForCausalLM.from_pretrained(tmp_path), Policy.load(tmp_path)
    assert torch.equal(theirs(ROLLOUT.token_BS).logits, policy.model(ROLLOUT.token_BS).logits)
    assert torch.equal(ours.logp(ROLLOUT), policy.logp(ROLLOUT))
    assert AutoTokenizer.from_pretrained(tmp_path).encode("w0 w1\n") == [3, 4, 2]
    assert not list(tmp_path.glob("*.bin"))


def test_a_saved_reward_model_scores_alike_in_transformers_bias_included(gpt2, tmp_path):
    reward = reward_on(gpt2.float())
    before = {name: weight.clone() for name, weight in reward.state_dict().items()}
    reward.save(tmp_path)
    torch.testing.assert_close(scores_of_transformers(tmp_path), reward(ROLLOUT), **FLOAT)
    torch.testing.assert_close(ScalarModel.load(tmp_path)(ROLLOUT), reward(ROLLOUT), **FLOAT)
    assert all(torch.equal(weight, before[name]) for name, weight in reward.state_dict().items())


def test_a_norm_without_bias_leaves_the_bias_to_us(llama, tmp_path):
    reward = reward_on(llama.float())
    reward.save(tmp_path)
    torch.testing.assert_close(ScalarModel.load(tmp_path)(ROLLOUT), reward(ROLLOUT), **FLOAT)
    torch.testing.assert_close(scores_of_transformers(tmp_path), reward(ROLLOUT) - 0.75, **FLOAT)


@pytest.mark.parametrize("labels", [1, 2])
def test_a_language_model_is_no_reward_model(gpt2, tmp_path, labels):
    gpt2.model.config.num_labels = labels
    gpt2.save(tmp_path)
    with pytest.raises(ValueError, match="no trained head for one score .*score.weight.*ScalarModel.on"):
        ScalarModel.load(tmp_path)


def test_a_classifier_of_two_labels_is_no_reward_model(gpt2, tmp_path):
    reward = reward_on(gpt2)
    reward.model.config.num_labels = 2
    reward.model.score = torch.nn.Linear(16, 2, bias=False)
    reward.model.save_pretrained(tmp_path)
    reward.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="2 labels"):
        ScalarModel.load(tmp_path)


@pytest.mark.parametrize("kind", [Policy, ScalarModel])
def test_pickled_weights_are_never_opened(gpt2, tmp_path, kind):
    gpt2.save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(gpt2.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no .safetensors file"):
        kind.load(tmp_path)


def test_nothing_is_printed(gpt2, tmp_path, capfd):
    gpt2.save(tmp_path / "policy")
    Policy.load(tmp_path / "policy")
    reward_on(gpt2).save(tmp_path / "reward")
    ScalarModel.load(tmp_path / "reward")
    assert capfd.readouterr() == ("", "")


def test_padding_needs_an_id_of_its_own(gpt2):
    tokenizer = new_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    with pytest.raises(ValueError, match="eos id is 0 and its pad id 0"):
        Policy(gpt2.model, tokenizer)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_tokenizer_without_padding_gets_an_unlikely_token_for_it(family, request, tmp_path):
    policy = request.getfixturevalue(family).float()
    policy.model.save_pretrained(tmp_path)
    new_tokenizer(pad=None).save_pretrained(tmp_path)
    loaded = Policy.load(tmp_path)
    logits, before = loaded.logits(ROLLOUT.token_BS), policy.logits(ROLLOUT.token_BS)
    assert loaded.pad == loaded.model.config.pad_token_id == 30
    torch.testing.assert_close(logits[..., :30], before, **FLOAT)
    torch.testing.assert_close(logits[..., 30], before.mean(dim=-1), **FLOAT)


def test_a_tokenizer_that_pads_with_eos_gets_a_padding_token(gpt2, tmp_path):
    gpt2.tokenizer.pad_token = "<|endoftext|>"
    gpt2.save(tmp_path)
    assert Policy.load(tmp_path).pad == PAD != EOS


def test_a_tokenizer_larger_than_the_model_is_refused(gpt2, tmp_path):
    gpt2.tokenizer.add_tokens(["one more"])
    gpt2.save(tmp_path)
    with pytest.raises(ValueError, match="the tokenizer has 31 tokens, the model 30"):
        Policy.load(tmp_path)
