"""A policy that is told how it is asked, and that nothing ends its responses."""

import pytest
import torch

from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.training.sft import demonstrated
from tests.training.conftest import demonstrations, letters, new_policy, new_reward

PROMPTS = letters(6, 1)


def told(template: str = "{prompt}\n", fixed_length: bool = True) -> Policy:
    policy = new_policy()
    policy.speak(template, fixed_length)
    return policy


def test_every_response_has_the_length_asked_for_and_counts_as_ended():
    rollout = told().sample(PROMPTS, max_new_tokens=9, copies=20, generator=torch.Generator().manual_seed(0))
    assert rollout.mask_BT.shape == (120, 9) and rollout.mask_BT.all() and rollout.ended_B.all()
    assert (rollout.response_BT == new_policy().eos).any()         # an end may be drawn, and ends nothing


def test_without_it_the_same_draws_stop_at_the_end():
    free, fixed = (policy.sample(PROMPTS, max_new_tokens=9, generator=torch.Generator().manual_seed(0))
                   for policy in (new_policy(), told()))
    eos = new_policy().eos
    for mine, mask, whole in zip(free.response_BT, free.mask_BT, fixed.response_BT):
        said = mine[mask].tolist()
        assert said == whole[:len(said)].tolist() and (len(said) == 9 or said[-1] == eos)


def test_a_response_that_nothing_ends_is_scored_at_an_end_put_after_it():
    reward, policy = new_reward(), told()
    rollout = policy.sample(PROMPTS, max_new_tokens=5, generator=torch.Generator().manual_seed(1))
    ended = Rollout.of([row[:n].tolist() for row, n in zip(rollout.token_BS, rollout.prompt_B)],
                       [[*row.tolist(), reward.eos] for row in rollout.response_BT], rollout.pad, reward.eos)
    with torch.no_grad():
        assert torch.equal(reward(rollout), reward(ended))
        assert not torch.equal(reward(rollout), reward._at(rollout, rollout.last_B))


def test_what_is_shown_to_such_a_policy_has_no_end():
    free, fixed = (demonstrated(policy, demonstrations(4)) for policy in (new_policy(), told()))
    assert fixed.eos == () and torch.equal(fixed.mask_BT.sum(1), free.mask_BT.sum(1) - 1)
    assert free.ended_B.all() and not (fixed.response_BT == new_policy().eos).any()


def test_a_reward_model_is_shown_ends_whatever_the_policy_says():
    assert demonstrated(new_reward(), demonstrations(4)).ended_B.all()


@pytest.mark.parametrize("template, ids", [("{prompt}", ["a"]), ("{prompt}\n", ["a", "\n"]),
                                           ("b {prompt} c", ["b", "a", "c"])])
def test_a_prompt_is_read_in_its_template(template, ids):
    policy = told(template)
    assert [policy.tokenizer.convert_ids_to_tokens(row) for row in policy.encode(["a"])] == [ids]


def test_templates_and_lengths_are_saved_and_handed_on(tmp_path):
    policy = told("b {prompt} c")
    policy.save(tmp_path / "model")
    again = Policy.load(tmp_path / "model")
    assert again.ends == () and again.encode(["a"]) == policy.encode(["a"]) == ScalarModel.on(again).encode(["a"])
    ScalarModel.on(policy).save(tmp_path / "reward")
    assert ScalarModel.load(tmp_path / "reward").encode(["a"]) == policy.encode(["a"])
    assert policy.frozen().ends == ()


def test_a_policy_can_be_told_to_end_again():
    policy = told()
    policy.speak("{prompt}\n", fixed_length=False)
    assert policy.ends == new_policy().ends


@pytest.mark.parametrize("template", ["", "prompt", "{prompt}{prompt}"])
def test_a_template_without_its_prompt_is_refused(template):
    with pytest.raises(ValueError, match="write {prompt} where the prompt goes, once"):
        new_policy().speak(template, False)
