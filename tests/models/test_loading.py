"""Saved folders open in transformers with equal numbers; folders that must not be opened are not."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from instructgpt_lite.models import loading
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
    with pytest.raises(ValueError, match="no trained head for one score .GPT2LMHeadModel.*ScalarModel.on"):
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


def rewritten(folder, change) -> None:
    """The weights of a folder after `change` of their dictionary."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors",
              metadata={"format": "pt"})


def without(weights: dict, name: str) -> dict:
    return {key: weight for key, weight in weights.items() if key != name}


WQ = "transformer.h.0.attn.c_attn.weight"
CHANGED = {                          # how the weights of a folder may be wrong, and what is said
    "one left out": (lambda w: without(w, WQ), rf"misses the weights {WQ}; it is not what a GPT2LMHeadModel"),
    "of torch.compile": (lambda w: {f"_orig_mod.{key}": x for key, x in w.items()},
                         r"misses the weights .* and 2\d more and has weights too many: _orig_mod"),
    "with a value head": (lambda w: {f"pretrained_model.{key}": x for key, x in w.items()}
                          | {"v_head.summary.weight": torch.ones(1, 16)}, "misses .*too many: pretrained_model"),
    "one too many": (lambda w: w | {"lora_A": torch.ones(2)}, "has weights too many: lora_A; it is not"),
    "of another width": (lambda w: w | {WQ: torch.ones(20, 60)}, f"has weights of another shape: {WQ}"),
    "NaN": (lambda w: w | {WQ: w[WQ] * torch.nan}, f"NaN or infinity in the weights {WQ}"),
    "infinite": (lambda w: w | {WQ: w[WQ] / 0}, f"NaN or infinity in the weights {WQ}")}


@pytest.mark.parametrize("kind", [Policy, ScalarModel])
@pytest.mark.parametrize("case", CHANGED)
def test_weights_other_than_the_models_are_named_and_refused(gpt2, tmp_path, case, kind):
    change, message = CHANGED[case]
    (gpt2 if kind is Policy else reward_on(gpt2)).save(tmp_path)
    rewritten(tmp_path, change)
    with pytest.raises(ValueError, match=message.replace("LMHeadModel", "" if kind is ScalarModel else "LMHeadModel")):
        kind.load(tmp_path)


def test_the_head_of_a_reward_model_is_missed(llama, tmp_path):
    reward_on(llama).save(tmp_path)
    rewritten(tmp_path, lambda weights: without(weights, "score.weight"))
    with pytest.raises(ValueError, match="misses the weights score.weight"):
        ScalarModel.load(tmp_path)


@pytest.mark.parametrize("content, message", [
    (lambda whole: whole[:len(whole) // 2], "model.safetensors is cut short or damaged"),
    (lambda whole: whole[:5], "model.safetensors is cut short or damaged"),
    (lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull")])
def test_files_that_are_not_the_weights_are_named(gpt2, tmp_path, content, message):
    gpt2.save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        Policy.load(tmp_path)


def changed_config(folder, **settings) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


def test_a_reward_model_is_no_language_model(gpt2, llama, tmp_path):
    for policy in (gpt2, llama):
        reward_on(policy).save(tmp_path / policy.model.config.model_type)
        with pytest.raises(ValueError, match="holds a reward model .*ScalarModel.load"):
            Policy.load(tmp_path / policy.model.config.model_type)


def test_code_of_a_folder_is_never_run(gpt2, tmp_path):
    gpt2.save(tmp_path)
    changed_config(tmp_path, model_type="mine", auto_map={"AutoModelForCausalLM": "mine.Mine"})
    (tmp_path / "mine.py").write_text("raise SystemExit")
    with pytest.raises(ValueError, match="transformers has no mine. .* code of its own, it is never run"):
        Policy.load(tmp_path)


def test_an_adapter_is_no_model(gpt2, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds an adapter, not a model: load both with peft"):
        Policy.load(tmp_path)


def test_a_folder_without_tokenizer_or_with_one_that_has_no_end(gpt2, tmp_path):
    gpt2.model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no tokenizer: save the model"):
        Policy.load(tmp_path)
    gpt2.tokenizer.eos_token = None
    gpt2.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no end token, so no response would end"):
        Policy.load(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_float32(llama, tmp_path, dtype):
    llama.to(dtype).save(tmp_path)
    loaded = Policy.load(tmp_path)
    for ours, stored in zip(loaded.parameters(), llama.parameters(), strict=True):
        assert ours.dtype == torch.float32 and torch.equal(ours, stored.float())


def test_all_ends_of_the_generation_config_end_a_response(llama, tmp_path):
    llama.model.generation_config.eos_token_id = [7, EOS, 9]
    llama.float().save(tmp_path)
    policy = Policy.load(tmp_path)
    assert policy.ends == (EOS, 7, 9)
    drawn = policy.sample([[5, 6]], max_new_tokens=20, copies=60, generator=torch.Generator().manual_seed(0))
    last_B = drawn.token_BS.gather(1, drawn.length_B[:, None] - 1)[:, 0]
    assert torch.equal(drawn.ended_B, torch.isin(last_B, torch.tensor([EOS, 7, 9])))
    assert {7, 9} <= set(last_B.tolist())


def test_padding_ends_nothing_where_the_generation_config_lists_it_among_the_ends(llama):
    llama.model.generation_config.eos_token_id = [PAD, 7, EOS]
    assert Policy(llama.model, llama.tokenizer).ends == (EOS, 7)


def test_a_default_end_that_is_an_ordinary_word_ends_nothing(llama):
    llama.model.generation_config.eos_token_id = 5
    assert Policy(llama.model, llama.tokenizer).ends == (EOS,)


def test_a_tokenizer_that_begins_with_bos_does_so_for_prompts(llama, tmp_path):
    from tokenizers.processors import TemplateProcessing
    tokenizer = new_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "w9"})
    assert Policy(llama.float().model, tokenizer).encode(["w0 w1"]) == [[3, 4, 2]]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("w9 $A <|endoftext|>", special_tokens=[
        ("w9", 12), ("<|endoftext|>", EOS)])
    policy = Policy(llama.float().model, tokenizer)
    assert policy.encode(["w0 w1", ""]) == ScalarModel.on(policy).encode(["w0 w1", ""]) == [[12, 3, 4, 2], [12, 2]]


def test_networks_must_read_the_same_ids(gpt2, llama):
    loading.check_same_tokenizer(policy=gpt2, reference=gpt2.frozen(), reward=lambda rollout: 0)
    llama.tokenizer = new_tokenizer()
    loading.check_same_tokenizer(policy=gpt2, reward=llama)
    llama.tokenizer.add_tokens(["one more"])
    with pytest.raises(ValueError, match="reference and reward have different tokenizers .30 and 31 tokens"):
        loading.check_same_tokenizer(policy=gpt2, reference=gpt2, reward=llama)


def test_tokenizers_of_one_size_with_another_word_are_different(gpt2, llama):
    llama.tokenizer = new_tokenizer("<|blank|>")
    with pytest.raises(ValueError, match="policy and reward have different tokenizers .30 and 30 tokens"):
        loading.check_same_tokenizer(policy=gpt2, reward=llama)


def test_a_function_has_no_trunk_for_the_value_to_start_from():
    with pytest.raises(ValueError, match=r"a function has no trunk .*value=ScalarModel.on\(policy\)"):
        ScalarModel.on(lambda rollout: rollout.length_B)


def broken(folder, **files) -> str:
    for name, data in files.items():
        path = folder / (name.replace("__", ".") + ".json")
        path.write_text(data if isinstance(data, str) else json.dumps(json.loads(path.read_text()) | data))
    return str(folder)


@pytest.mark.parametrize("files", [
    {"config": "[]"}, {"config": "{"}, {"config": {"model_type": ["gpt2"]}}, {"config": {"n_head": "four"}},
    {"config": {"activation_function": "none such"}}, {"tokenizer": "{"}, {"tokenizer_config": "{"},
    {"model__safetensors__index": "[]"}])
def test_whatever_transformers_stumbles_over_is_a_sentence_that_names_the_folder(gpt2, tmp_path, files):
    gpt2.float().save(tmp_path)
    with pytest.raises((ValueError, OSError), match=str(tmp_path)):
        Policy.load(broken(tmp_path, **files))


def test_an_index_that_names_a_pickle_is_refused_unopened(gpt2, tmp_path, monkeypatch):
    """transformers would hand such a file to torch.load, whatever use_safetensors says."""
    gpt2.float().save(tmp_path)
    weights = dict.fromkeys(load_file(tmp_path / "model.safetensors"), "../weights.bin")
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00001.safetensors")
    index = {"model__safetensors__index": json.dumps({"metadata": {}, "weight_map": weights})}
    monkeypatch.setattr(torch, "load", lambda *these, **those: pytest.fail("unpickled"))
    with pytest.raises(ValueError, match="an index that names others.* never opened"):
        Policy.load(broken(tmp_path, **index))


def test_other_ends_are_whole_numbers(gpt2, tmp_path):
    gpt2.float().save(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": "end"}')
    assert Policy.load(tmp_path).ends == (EOS,)
