"""Best of n: the same responses drawn again and scored one by one, by transformers."""

import pytest
import torch

from instructgpt_lite.data.records import Prompt
from instructgpt_lite.training.best_of_n import best_of_n
from tests.training.conftest import halves, letters, row_score

PROMPTS = [Prompt(text, category=f"case {n}", key={"n": n}) for n, text in enumerate(letters(12, 1))]
N, LONGEST = 5, 6


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def drawn(policy) -> tuple:
    """All responses, the tokens of each prompt and response, N to a prompt."""
    rollout = policy.sample([each.prompt for each in PROMPTS], copies=N, max_new_tokens=LONGEST, generator=seeded())
    return rollout, halves(rollout), policy.texts(rollout)


def test_it_is_the_response_that_ends_with_the_highest_score(policy, reward, drawn):
    rollout, tokens, texts = drawn
    expected = {}
    for n, prompt in enumerate(PROMPTS):
        rows = [row for row in range(n * N, (n + 1) * N) if rollout.ended_B[row]]
        if rows:
            best = max(rows, key=lambda row: row_score(reward, tokens[row][0] + tokens[row][1]))
            expected[n] = (prompt.prompt, texts[best], prompt.category)
    found = best_of_n(policy, reward, PROMPTS, N, LONGEST, seeded())
    assert {each.key["n"]: (each.prompt, each.completion, each.category) for each in found} == expected
    assert 0 < rollout.ended_B.sum() < len(rollout)


def test_a_response_without_an_end_is_no_candidate_even_where_it_scores_best(policy, drawn):
    rollout, _, texts = drawn

    def likes_no_end(rollout):
        return (~rollout.ended_B).double()

    found = {each.key["n"]: each.completion for each in best_of_n(policy, likes_no_end, PROMPTS, N, LONGEST, seeded())}
    ended = rollout.ended_B.view(-1, N)
    assert set(found) == set(ended.any(dim=1).nonzero()[:, 0].tolist())
    for n, text in found.items():
        assert text == texts[n * N + ended[n].int().argmax()]


def test_a_policy_that_never_ends_is_refused(policy, reward):
    policy.ends = (999,)                # a token that it has not
    with pytest.raises(ValueError, match="no response ends within 6 tokens"):
        best_of_n(policy, reward, PROMPTS, N, LONGEST, seeded())


def test_a_reward_model_of_another_vocabulary_is_refused(policy, reward):
    from instructgpt_lite.data.tokenizers import word_tokenizer
    reward.tokenizer = word_tokenizer(["other"])
    with pytest.raises(ValueError, match="different tokenizers"):
        best_of_n(policy, reward, PROMPTS, N, LONGEST, seeded())
