"""K responses in one row with their prompt score as in rows of their own."""

import pytest
import torch

from instructgpt_lite.models.networks import ScalarModel
from instructgpt_lite.models.prefix import plain_scores, shared_prefix_rows, shared_prefix_scores
from tests.models.conftest import EOS

PROMPTS = [[5, 6, 7, 8, 9], [10], [11, 12, 13]]
RESPONSES = [[[20, EOS], [21, 22, 23, EOS], [EOS], [20, 21, 22, EOS]],
             [[24, 25, EOS]],
             [[26, EOS], [5, 6, 7]]]
EXACT = dict(rtol=1e-10, atol=1e-10)


@pytest.fixture
def reward(policy) -> ScalarModel:
    model = ScalarModel.on(policy)
    model.bias.fill_(0.75)
    return model


def naive(reward) -> dict[tuple[int, int], torch.Tensor]:
    return {(b, k): reward.model.score(reward.model.base_model(torch.tensor([[*prompt, *response]]))
                                       .last_hidden_state)[0, -1, 0] + 0.75
            for b, prompt in enumerate(PROMPTS) for k, response in enumerate(RESPONSES[b])}


def grads(model) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("scores", [plain_scores, shared_prefix_scores])
def test_each_response_scores_as_if_alone_with_its_prompt(reward, scores):
    r_BK, mask_BK = scores(reward, PROMPTS, RESPONSES)
    assert mask_BK.tolist() == [[True] * 4, [True, False, False, False], [True, True, False, False]]
    for (b, k), expected in naive(reward).items():
        torch.testing.assert_close(r_BK[b, k], expected, **EXACT)
    assert (r_BK[~mask_BK] == 0).all()


def test_gradients_are_those_of_separate_rows(reward):
    weight = {place: 1.0 + n for n, place in enumerate(naive(reward))}
    r_BK, _ = reward.scores(PROMPTS, RESPONSES)
    sum(scale * r_BK[place] for place, scale in weight.items()).backward()
    ours = grads(reward)
    reward.zero_grad()
    sum(weight[place] * r for place, r in naive(reward).items()).backward()
    llama = reward.model.config.model_type == "llama"         # its norms compute in float32
    torch.testing.assert_close(ours, grads(reward), **(dict(rtol=1e-3, atol=1e-5) if llama else EXACT))


def test_positions_restart_after_the_prompt_and_no_response_sees_another():
    rows, last_M = shared_prefix_rows([[5, 6]], [[[7, 8], [9, 10]]])
    assert rows.token_BS.tolist() == [[5, 6, 7, 8, 9, 10]]
    assert rows.position_BS.tolist() == [[0, 1, 2, 3, 2, 3]]
    assert last_M.tolist() == [3, 5]
    assert rows.sees_BSS[0].int().tolist() == [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0],
                                               [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 1, 1]]


def test_a_row_may_be_longer_than_the_context_as_long_as_no_position_is(reward):
    many = [[[n, EOS] for n in range(5, 25)]]
    shared, plain = (scores(reward, [[5] * 20], many)[0] for scores in (shared_prefix_scores, plain_scores))
    torch.testing.assert_close(shared, plain, **EXACT)
    with pytest.raises(ValueError, match="25 tokens, 1 more than the model's context of 24"):
        reward.scores([[5] * 20], [[[6] * 5]])


def test_a_response_without_tokens_is_refused(reward):
    with pytest.raises(ValueError, match=r"prompt 1 has 1 tokens, its responses \[1, 0\]"):
        reward.scores([[5], [6]], [[[EOS]], [[EOS], []]])
