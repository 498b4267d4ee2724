"""Sampling: the draw, the cache and its tricks against a loop without any, and what a rollout says."""

import pytest
import torch

from instructgpt_lite.models import decoding, sampling
from instructgpt_lite.models.sampling import Rollout, inverse_cdf, sample, top
from tests.models.conftest import EOS, PAD, WORDS


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(policy, prompts, seed=0, **options) -> Rollout:
    options = {"max_new_tokens": 7, "generator": seeded(seed)} | options
    return sample(policy.model, prompts, eos=EOS, pad=PAD, **options)


def naive(policy, prompts, temperature, seed=0, T=7):
    """One row, one token, one whole forward at a time; no cache, no padding, no company."""
    uniform_BT = torch.rand((len(prompts), T), generator=seeded(seed), dtype=torch.float64)
    responses, logps = [], []
    for prompt, uniform_T in zip(prompts, uniform_BT):
        response, logp = [], []
        for u in uniform_T.tolist():
            logits_V = policy.model(torch.tensor([[*prompt, *response]])).logits[0, -1] / temperature
            logp_V = logits_V.log_softmax(-1)
            token = next(n for n, below in enumerate(logp_V.exp().cumsum(0).tolist()) if below > u)
            response.append(token)
            logp.append(logp_V[token].item())
            if token == EOS:
                break
        responses.append(response)
        logps.append(logp)
    return responses, logps


def responses_of(rollout: Rollout) -> list[list[int]]:
    return [row[mask].tolist() for row, mask in zip(rollout.response_BT, rollout.mask_BT)]


@torch.no_grad()
@pytest.mark.parametrize("temperature, seed", [(1.0, 0), (0.6, 0), (1.5, 2)])
def test_cached_sampling_draws_what_a_loop_without_cache_draws(policy, prompts, temperature, seed):
    prompts = 3 * prompts
    responses, logps = naive(policy, prompts, temperature, seed)
    for places in (3, 128):
        rollout = draw(policy, prompts, seed, temperature=temperature, places=places)
        assert responses_of(rollout) == responses
        assert rollout.logp_BT[rollout.mask_BT].tolist() == pytest.approx(sum(logps, []), rel=1e-10)
        assert (rollout.logp_BT[~rollout.mask_BT] == 0).all()
    assert len({len(response) for response in responses}) > 2, "rows must end at different steps"
    assert any(EOS not in response for response in responses), "some row must be cut off"


@torch.no_grad()
def test_greedy_sampling_equals_transformers_generate(policy, prompts):
    rollout = draw(policy, prompts, top_k=1)
    for prompt, response in zip(prompts, responses_of(rollout)):
        row = policy.model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)),
                                    max_new_tokens=7, do_sample=False)[0]
        assert response == row[len(prompt):].tolist()
    assert (rollout.logp_BT == 0).all(), "a law of one token is certain"


def test_copies_stand_side_by_side_in_the_order_of_the_prompts(gpt2, prompts):
    rollout = draw(gpt2, prompts, copies=[1, 0, 2, 3, 1, 1, 1, 2])
    expected = [0, 2, 2, 3, 3, 3, 4, 5, 6, 7, 7]
    starts = [row[:length].tolist() for row, length in zip(rollout.token_BS, rollout.prompt_B)]
    assert starts == [prompts[index] for index in expected]
    assert len(set(map(tuple, responses_of(rollout[3:6])))) > 1, "copies draw their own tokens"


def test_copies_equal_the_prompt_written_out(gpt2, prompts):
    copied, written = draw(gpt2, prompts, copies=3), draw(gpt2, [p for p in prompts for _ in range(3)])
    assert torch.equal(copied.token_BS, written.token_BS)


def test_a_prompt_is_read_once_however_many_copies_are_drawn(gpt2, prompts, monkeypatch):
    tokens = []
    monkeypatch.setattr(sampling, "read", lambda model, rows, cache: (
        tokens.append(int(rows.real_BS.sum())), decoding.read(model, rows, cache))[1])
    draw(gpt2, prompts, copies=9, places=40)
    assert sum(tokens) == sum(map(len, set(map(tuple, prompts))))


def test_the_generator_alone_decides(gpt2, prompts):
    torch.manual_seed(5)
    one, two, other = draw(gpt2, prompts), draw(gpt2, prompts), draw(gpt2, prompts, seed=1)
    assert torch.equal(one.token_BS, two.token_BS) and torch.equal(one.logp_BT, two.logp_BT)
    assert responses_of(one) != responses_of(other)


def test_tokens_come_as_often_as_the_model_says(gpt2):
    prompt, N = [5, 6, 7], 4000
    rollout = draw(gpt2, [prompt], copies=N, max_new_tokens=1, places=1000)
    p_V = gpt2.model(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    count_V = torch.bincount(rollout.response_BT[:, 0], minlength=WORDS)
    chi_square = ((count_V - N * p_V).square() / (N * p_V)).sum().item()
    assert chi_square < 58.3                       # 29 degrees of freedom: passed by one seed in a thousand


def test_dropout_of_the_model_is_off_while_sampling(policy, prompts):
    before = draw(policy, prompts)
    for module in policy.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    policy.model.train()
    assert torch.equal(draw(policy, prompts).logp_BT, before.logp_BT)


def test_inverse_cdf_takes_the_token_whose_share_of_the_line_holds_the_uniform():
    p_BV = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64).expand(6, 3)
    uniform_B = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2 ** -53], dtype=torch.float64)
    assert inverse_cdf(p_BV, uniform_B).tolist() == [0, 0, 1, 1, 2, 2]


def test_inverse_cdf_never_draws_the_impossible():
    p_BV = torch.tensor([[0.0, 0.3, 0.0, 0.3, 0.3, 0.0]], dtype=torch.float32).expand(4, 6)
    uniform_B = torch.tensor([0.0, 1 / 3, 2 / 3, 1 - 2 ** -53], dtype=torch.float64)
    assert set(inverse_cdf(p_BV, uniform_B).tolist()) <= {1, 3, 4}


def test_top_keeps_the_k_largest_logits():
    logits_BV = torch.tensor([[1.0, 3.0, 2.0, 0.0]])
    assert top(logits_BV, 2).tolist() == [[-torch.inf, 3.0, 2.0, -torch.inf]]
    assert top(logits_BV, 0) is logits_BV


def test_a_prompt_too_long_for_the_context_is_refused_with_the_arithmetic(gpt2, prompts):
    with pytest.raises(ValueError, match=r"prompt 4: 12 tokens \+ 13 new ones = 25, 1 more than .* 24"):
        draw(gpt2, prompts, max_new_tokens=13)
    assert draw(gpt2, prompts, max_new_tokens=12).token_BS.size(1) <= 24


def test_a_token_outside_the_vocabulary_is_refused(gpt2):
    with pytest.raises(ValueError, match="prompt 1: token id 30 is outside the vocabulary of 30"):
        draw(gpt2, [[3], [4, 30]])


@pytest.mark.parametrize("prompts", [[], [[5], []]])
def test_sampling_needs_a_token_to_start_from(gpt2, prompts):
    with pytest.raises(ValueError, match="no prompt, or one without tokens"):
        draw(gpt2, prompts)


def test_a_rollout_of_given_responses_has_no_hole():
    rollout = Rollout.of([[5, 6, 7], [8]], [[9, EOS], [4, 5, 6, 7]], pad=PAD, eos=EOS)
    assert rollout.token_BS.tolist() == [[5, 6, 7, 9, EOS], [8, 4, 5, 6, 7]]
    assert rollout.mask_BT.tolist() == [[True, True, False, False], [True] * 4]
    assert rollout.response_BT.tolist() == [[9, EOS, PAD, PAD], [4, 5, 6, 7]]
    assert rollout.length_B.tolist() == [5, 5] and rollout.ended_B.tolist() == [True, False]
    assert rollout.logp_BT.tolist() == [[0.0] * 4] * 2 and len(rollout) == 2


def test_rows_of_a_rollout_are_picked_by_tensor_list_or_slice():
    rollout = Rollout.of([[5], [6], [7]], [[2], [3, 4], [EOS]], pad=PAD, eos=EOS)
    for pick in (torch.tensor([2, 1]), [2, 1]):
        assert rollout[pick].token_BS.tolist() == [[7, EOS, PAD], [6, 3, 4]]
    assert rollout[1:].prompt_B.tolist() == [1, 1]


def test_a_prompt_without_tokens_is_refused():
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        Rollout.of([[5], []], [[6], [7]], pad=PAD, eos=EOS)
