"""Sampling against a loop without cache, batch or trick."""

import pytest
import torch

from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.models.sampling import inverse_cdf, top
from tests.models.conftest import EOS, WORDS


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(policy, prompts, seed=0, **options) -> Rollout:
    options = {"max_new_tokens": 7, "generator": seeded(seed)} | options
    return policy.sample(prompts, **options)


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
def test_sampling_draws_what_a_loop_without_cache_draws(policy, prompts, temperature, seed):
    prompts = 3 * prompts
    responses, logps = naive(policy, prompts, temperature, seed)
    rollout = draw(policy, prompts, seed, temperature=temperature)
    assert responses_of(rollout) == responses
    assert rollout.logp_BT[rollout.mask_BT].tolist() == pytest.approx(sum(logps, []), rel=1e-10, abs=1e-10)
    assert (rollout.logp_BT[~rollout.mask_BT] == 0).all()
    assert len({len(response) for response in responses}) > 2, "rows must end at different steps"
    assert any(EOS not in response for response in responses), "some row must be cut off"


@torch.no_grad()
def test_a_response_ends_at_the_first_of_several_ends(policy, prompts):
    free, ends = responses_of(draw(policy, prompts, eos=())), (EOS, 9, 17)
    rollout = draw(policy, prompts, eos=ends)
    stops = [min([t for t, token in enumerate(row, 1) if token in ends], default=7) for row in free]
    assert responses_of(rollout) == [row[:stop] for row, stop in zip(free, stops)]
    assert rollout.ended_B.tolist() == [row[stop - 1] in ends for row, stop in zip(free, stops)]


def test_the_models_own_settings_of_generate_have_no_say(policy, prompts):
    before, settings = draw(policy, prompts), policy.model.generation_config
    settings.repetition_penalty, settings.suppress_tokens, settings.min_new_tokens = 5.0, [3, 4, 5], 6
    settings.num_beams = 2
    assert torch.equal(draw(policy, prompts).token_BS, before.token_BS)
    assert policy.model.generation_config is settings


def test_sampling_leaves_no_hook_on_the_model(policy, prompts):
    """One left at each call would keep the logits of every token that is ever drawn."""
    before = draw(policy, prompts)
    assert not policy.model._forward_hooks
    assert torch.equal(draw(policy, prompts).token_BS, before.token_BS)


class Wrapped(torch.nn.Module):
    """A model inside another, as torch.compile and adapters have it: `generate` is that of the inner one."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str):
        return super().__getattr__(name) if name == "inner" else getattr(self.inner, name)

    def forward(self, *inputs, **options):
        return self.inner(*inputs, **options)


def test_a_model_in_a_wrapper_draws_the_same(llama, prompts):
    expected = draw(llama.float(), prompts)
    llama.model, llama.fast = Wrapped(llama.model), 0
    found = draw(llama, prompts)
    assert torch.equal(found.token_BS, expected.token_BS)
    torch.testing.assert_close(found.logp_BT, expected.logp_BT)


def test_log_probs_of_a_half_precision_model_are_recorded_in_float32(policy, prompts):
    policy.bfloat16()
    rollout = draw(policy, prompts)
    assert rollout.logp_BT.dtype == policy.logp(rollout).dtype == torch.float32
    logits_V = policy.model(torch.tensor([prompts[0]])).logits[0, -1].float()
    first = rollout.response_BT[0, 0]
    assert rollout.logp_BT[0, 0].item() == pytest.approx(logits_V.log_softmax(-1)[first].item(), abs=0.03)
    assert (rollout.logp_BT != rollout.logp_BT.bfloat16())[rollout.mask_BT].any()


@torch.no_grad()
def test_greedy_sampling_equals_transformers_generate(policy, prompts):
    rollout = draw(policy, prompts, top_k=1)
    for prompt, response in zip(prompts, responses_of(rollout)):
        row = policy.model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)),
                                    max_new_tokens=7, do_sample=False)[0]
        assert response == row[len(prompt):].tolist()
    assert (rollout.logp_BT == 0).all(), "a distribution over one token is certain"


def test_copies_stand_side_by_side_in_the_order_of_the_prompts(gpt2, prompts):
    rollout = draw(gpt2, prompts, copies=[1, 0, 2, 3, 1, 1, 1, 2])
    expected = [0, 2, 2, 3, 3, 3, 4, 5, 6, 7, 7]
    starts = [row[:length].tolist() for row, length in zip(rollout.token_BS, rollout.prompt_B)]
    assert starts == [prompts[index] for index in expected]
    assert len(set(map(tuple, responses_of(rollout[3:6])))) > 1, "copies draw their own tokens"


def test_copies_equal_the_prompt_written_out(gpt2, prompts):
    copied, written = draw(gpt2, prompts, copies=3), draw(gpt2, [p for p in prompts for _ in range(3)])
    assert torch.equal(copied.token_BS, written.token_BS)


def test_the_generator_alone_decides(gpt2, prompts):
    torch.manual_seed(5)
    one, two, other = draw(gpt2, prompts), draw(gpt2, prompts), draw(gpt2, prompts, seed=1)
    assert torch.equal(one.token_BS, two.token_BS) and torch.equal(one.logp_BT, two.logp_BT)
    assert responses_of(one) != responses_of(other)


def test_tokens_come_as_often_as_the_model_says(gpt2):
    prompt, N = [5, 6, 7], 4000
    rollout = draw(gpt2, [prompt], copies=N, max_new_tokens=1)
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
