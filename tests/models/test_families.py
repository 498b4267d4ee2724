"""Every family of decoders: what is sampled, read, scored and saved is right, or the model is refused.

What is right is what transformers computes from one row at a time, alone, without mask and cache.
"""

import copy
from functools import cache

import pytest
import torch

from instructgpt_lite.models import forward, self_test
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from tests.models import families
from tests.models.conftest import EOS, PAD, WORDS, new_tokenizer
from tests.models.families import FAST, MIXTURE, PLAIN, REFUSED

PROMPTS = [[5, 6, 7], [8, 9, 3, 4, 11, 12, 13, 5, 9, 21, 22, 7, 8], [17, 18, 19, 20, 4, 5, 6]]
NEW = 7
ACCEPTED = [*FAST, *PLAIN, *MIXTURE]
FLOAT = dict(rtol=1e-3, atol=1e-3)


@cache
def policy_of(name: str) -> Policy:
    return Policy(families.model(name), new_tokenizer())


@cache
def reward_of(name: str) -> ScalarModel:
    return ScalarModel.on(policy_of(name))


def rollout() -> Rollout:
    """Rows of 4 to 20 tokens."""
    random = torch.Generator().manual_seed(3)
    responses = [[*torch.randint(2, WORDS, (n,), generator=random).tolist(), EOS] for n in (0, 6, 3)]
    return Rollout.of(PROMPTS, responses, pad=PAD, eos=EOS)


@torch.no_grad()
def alone(model, row: list[int]):
    return model(torch.tensor([row]), use_cache=False)


def logp_alone(policy: Policy, found: Rollout) -> torch.Tensor:
    """logp of every counted token, each row read alone."""
    logps = []
    for row, start, length in zip(found.token_BS.tolist(), found.prompt_B, found.length_B):
        logits_SV = alone(policy.model, row[:length]).logits[0].log_softmax(-1)
        logps += [logits_SV[column - 1, row[column]] for column in range(start, length)]
    return torch.stack(logps)


def reads_alone(reward: ScalarModel, row: list[int]) -> torch.Tensor:
    """The score after every token of a row read alone."""
    state_SD = alone(forward.trunk(reward.model), row).last_hidden_state[0]
    return (state_SD @ reward.model.score.weight[0]).detach() + reward.bias


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_sampled_and_what_is_read_has_the_log_probs_of_each_row_alone(name):
    policy = policy_of(name)
    drawn = policy.sample(PROMPTS, max_new_tokens=NEW, copies=2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.logp_BT[drawn.mask_BT], logp_alone(policy, drawn), **FLOAT)
    given = rollout()
    torch.testing.assert_close(policy.logp(given)[given.mask_BT], logp_alone(policy, given), **FLOAT)


@pytest.mark.parametrize("name", ACCEPTED)
def test_scores_beside_others_and_values_are_those_of_each_row_alone(name):
    reward = reward_of(name)
    responses = [[[3, 4, EOS], [7, EOS], [9, 9, 9, 8, EOS]], [[5, EOS], [6, 7, 8, EOS]], [[EOS]]]
    r_BK, mask_BK = reward.scores(PROMPTS, responses)
    expected = [reads_alone(reward, [*prompt, *response])[-1]
                for prompt, group in zip(PROMPTS, responses) for response in group]
    torch.testing.assert_close(r_BK[mask_BK], torch.stack(expected), **FLOAT)
    given = rollout()
    value_BT = reward.values(given)
    for row, start, length, value_T in zip(given.token_BS.tolist(), given.prompt_B, given.length_B, value_BT):
        expected = reads_alone(reward, row[:length])[start - 1:length - 1]
        torch.testing.assert_close(value_T[:length - start], expected, **FLOAT)


@pytest.mark.parametrize("name", ACCEPTED)
def test_saved_and_loaded_equal(name, tmp_path, monkeypatch):
    for road in ("policy_road", "scalar_road"):
        monkeypatch.setattr(self_test, road, lambda model, fast: 0)      # tried above already
    policy, reward, given = policy_of(name), copy.deepcopy(reward_of(name)), rollout()
    reward.bias.fill_(0.75)
    policy.save(tmp_path / "policy")
    reward.save(tmp_path / "reward")
    loaded, scored = Policy.load(tmp_path / "policy"), ScalarModel.load(tmp_path / "reward")
    torch.testing.assert_close(loaded.logp(given), policy.logp(given), **FLOAT)
    torch.testing.assert_close(scored(given), reward(given), **FLOAT)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_road_reads_right_is_refused_in_a_sentence(name):
    with pytest.raises(ValueError, match=REFUSED[name][1]):
        Policy(families.model(name), new_tokenizer())
