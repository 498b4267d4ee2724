"""Policy and ScalarModel against the Hugging Face forward on one unpadded row at a time."""

import pytest
import torch

from instructgpt_lite.config import Architecture
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from tests.models.conftest import EOS, PAD, WORDS, new_tokenizer

EXACT = dict(rtol=1e-10, atol=1e-10)


@pytest.fixture
def rollout(prompts) -> Rollout:
    """Responses of 1 to 6 tokens to ragged prompts."""
    random = torch.Generator().manual_seed(3)
    responses = [[*torch.randint(2, WORDS, (n % 6,), generator=random).tolist(), EOS]
                 for n in range(len(prompts))]
    return Rollout.of(prompts, responses, pad=PAD, eos=EOS)


def scalar(policy, seed=0) -> ScalarModel:
    model = ScalarModel.on(policy, seed)
    model.bias.fill_(0.75)
    return model


def rows_of(rollout: Rollout):
    """Each row without padding (1, S), and the columns of its response."""
    for row, tokens in enumerate(rollout.token_BS):
        start, length = rollout.prompt_B[row].item(), rollout.length_B[row].item()
        yield tokens[None, :length], torch.arange(start, length)


def with_garbage(rollout: Rollout) -> Rollout:
    """The same rollout, wider, with ids in its padding that no vocabulary has."""
    real = rollout.real_BS
    wide = torch.nn.functional.pad(rollout.token_BS.masked_fill(~real, -7), (0, 3), value=10 ** 6)
    return Rollout(wide, rollout.prompt_B, rollout.mask_BT, rollout.logp_BT, rollout.pad, rollout.eos)


def grads(model) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def naive_logp(policy, rollout, temperature=1.0) -> list[torch.Tensor]:
    found = []
    for tokens, columns in rows_of(rollout):
        logp = (policy.model(tokens).logits[0] / temperature).log_softmax(-1)
        found.append(logp[columns - 1, tokens[0, columns]])
    return found


def test_logp_is_the_log_softmax_of_each_unpadded_row(policy, rollout):
    expected = torch.cat(naive_logp(policy, rollout, 0.7))
    torch.testing.assert_close(policy.logp(rollout, 0.7)[rollout.mask_BT], expected, **EXACT)
    assert (policy.logp(rollout)[~rollout.mask_BT] == 0).all()


def test_gradients_of_logp_are_those_of_unpadded_rows(policy, rollout):
    weight_BT = torch.linspace(-1, 1, rollout.mask_BT.numel(), dtype=torch.float64).view_as(rollout.mask_BT)
    (policy.logp(rollout) * weight_BT).sum().backward()
    ours = grads(policy)
    policy.zero_grad()
    (torch.cat(naive_logp(policy, rollout)) * weight_BT[rollout.mask_BT]).sum().backward()
    torch.testing.assert_close(ours, grads(policy), **EXACT)


def test_logits_of_whole_rows_are_those_of_transformers(policy):
    token_BS = torch.randint(2, WORDS, (3, 24), generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(policy.logits(token_BS), policy.model(token_BS).logits, **EXACT)


def test_a_row_reads_the_same_in_any_company(policy, rollout):
    picked = [4, 1]
    torch.testing.assert_close(policy.logp(rollout[picked]), policy.logp(rollout)[picked], **EXACT)


def test_values_are_read_before_each_token_and_the_score_at_the_last(policy, rollout):
    model = scalar(policy)
    value_BT, r_B = model.values(rollout), model(rollout)
    for row, (tokens, columns) in enumerate(rows_of(rollout)):
        state_SD = model.model.base_model(tokens).last_hidden_state[0]
        read_S = model.model.score(state_SD)[:, 0] + 0.75
        torch.testing.assert_close(value_BT[row, :len(columns)], read_S[columns - 1], **EXACT)
        torch.testing.assert_close(r_B[row], read_S[-1], **EXACT)
        assert (value_BT[row, len(columns):] == 0).all()


def test_what_stands_in_padding_never_matters(policy, rollout):
    model, other = scalar(policy), with_garbage(rollout)
    for read in (policy.logp, model, model.values):
        torch.testing.assert_close(read(other), read(rollout), **EXACT)


def test_dropout_of_the_model_is_off_in_train_mode(policy, rollout):
    model = scalar(policy)
    before = [read(rollout) for read in (policy.logp, model, model.values)]
    for module in (*policy.model.modules(), *model.model.modules()):
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    policy.model.train(), model.model.train()
    after = [read(rollout) for read in (policy.logp, model, model.values)]
    assert all(map(torch.equal, before, after))


@pytest.mark.parametrize("way", ["as it is", "plainly"])
def test_residual_dropout_is_asked_for_and_repeats_with_its_generator(gpt2, rollout, way):
    gpt2.fast = gpt2.fast and way == "as it is"
    one, two, other = (gpt2.logp(rollout, dropout=0.5, generator=torch.Generator().manual_seed(seed))
                       for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(gpt2.logp(rollout, dropout=0.0), gpt2.logp(rollout))
    assert not torch.equal(gpt2.logp(rollout), one), "and off again"


def test_residual_dropout_is_refused_where_it_is_not_written(llama, rollout):
    with pytest.raises(ValueError, match="GPT-2 only, not for LlamaForCausalLM"):
        llama.logp(rollout, dropout=0.1)


def test_each_place_has_the_log_probs_that_the_tokens_before_it_give(policy, rollout):
    table = policy.next_token_logp(rollout)
    assert table.shape == (*rollout.mask_BT.shape, WORDS)
    for row, (tokens, columns) in enumerate(rows_of(rollout)):
        with torch.no_grad():
            logp = policy.model(tokens).logits[0, columns - 1].log_softmax(-1)
        torch.testing.assert_close(table[row, :len(columns)], logp, **EXACT)
    assert (table[~rollout.mask_BT] == 0).all()


PROMPTS = [[5, 6, 7, 8, 9], [10], [11, 12, 13]]
RESPONSES = [[[20, EOS], [21, 22, 23, EOS], [EOS], [20, 21, 22, EOS]],
             [[24, 25, EOS]],
             [[26, EOS], [5, 6, 7]]]


def alone(reward) -> dict[tuple[int, int], torch.Tensor]:
    """The score of each response in a row with its prompt."""
    return {(b, k): reward.model.score(reward.model.base_model(torch.tensor([[*prompt, *response]]))
                                       .last_hidden_state)[0, -1, 0] + 0.75
            for b, prompt in enumerate(PROMPTS) for k, response in enumerate(RESPONSES[b])}


def test_each_response_scores_as_if_alone_with_its_prompt(policy):
    reward = scalar(policy)
    r_BK, mask_BK = reward.scores(PROMPTS, RESPONSES)
    assert mask_BK.tolist() == [[True] * 4, [True, False, False, False], [True, True, False, False]]
    for (b, k), expected in alone(reward).items():
        torch.testing.assert_close(r_BK[b, k], expected, **EXACT)
    assert (r_BK[~mask_BK] == 0).all()


def test_gradients_of_scores_are_those_of_separate_rows(policy):
    reward = scalar(policy)
    weight = {place: 1.0 + n for n, place in enumerate(alone(reward))}
    r_BK, _ = reward.scores(PROMPTS, RESPONSES)
    sum(scale * r_BK[place] for place, scale in weight.items()).backward()
    ours = grads(reward)
    reward.zero_grad()
    sum(weight[place] * r for place, r in alone(reward).items()).backward()
    llama = reward.model.config.model_type == "llama"         # its norms compute in float32
    torch.testing.assert_close(ours, grads(reward), **(dict(rtol=1e-3, atol=1e-5) if llama else EXACT))


def test_many_responses_may_be_longer_together_than_the_context_but_none_alone(policy):
    reward = scalar(policy)
    many = [[[n, EOS] for n in range(5, 25)]]
    each = torch.stack([reward.scores([[5] * 20], [[response]])[0][0, 0] for response in many[0]])
    torch.testing.assert_close(reward.scores([[5] * 20], many)[0][0], each, **EXACT)
    with pytest.raises(ValueError, match="25 tokens, 1 more than the model's context of 24"):
        reward.scores([[5] * 20], [[[6] * 5]])


def test_a_response_without_tokens_is_refused(policy):
    with pytest.raises(ValueError, match=r"prompt 1 has 1 tokens, its responses \[1, 0\]"):
        scalar(policy).scores([[5], [6]], [[[EOS]], [[EOS], []]])


def test_a_seed_makes_one_model_and_leaves_the_global_generator_alone():
    size = Architecture(layers=1, width=8, heads=2, context=16)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, two, other = (Policy.new(size, new_tokenizer(), seed).model.lm_head.weight for seed in (7, 7, 8))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(torch.rand(1), expected)


def test_a_scalar_model_starts_as_the_trunk_under_a_small_random_head(gpt2):
    model = ScalarModel.on(gpt2, seed=3)
    trunks = (one.model.base_model.parameters() for one in (model, gpt2))
    for ours, theirs in zip(*trunks, strict=True):
        assert torch.equal(ours, theirs) and ours.data_ptr() != theirs.data_ptr()
    head = torch.cat([ScalarModel.on(gpt2, seed).model.score.weight.flatten() for seed in range(60)])
    assert head.std().item() == pytest.approx(17 ** -0.5, rel=0.1)
    assert model.bias == 0


def test_a_value_function_starts_as_a_copy_of_the_reward_model(gpt2, rollout):
    reward = scalar(gpt2).frozen()
    value = ScalarModel.on(reward)
    assert torch.equal(value(rollout), reward(rollout)) and all(w.requires_grad for w in value.parameters())
    with torch.no_grad():
        value.model.score.weight.zero_()
    assert not torch.equal(value(rollout), reward(rollout))


def test_a_frozen_copy_stays_as_it_was(gpt2, rollout):
    frozen = gpt2.frozen()
    before = frozen.logp(rollout)
    with torch.no_grad():
        gpt2.model.transformer.wte.weight.add_(0.1)
    assert torch.equal(frozen.logp(rollout), before) and not before.requires_grad


def test_prompts_end_with_a_line_break_and_texts_leave_special_tokens_out(gpt2):
    assert gpt2.encode(["w0 w1", "w2"]) == [[3, 4, 2], [5, 2]]
    rollout = Rollout.of([[3, 2], [4, 2]], [[5, 6, EOS], [7, EOS]], pad=PAD, eos=EOS)
    assert gpt2.texts(rollout) == ["w2 w3", "w4"]
    options = dict(max_new_tokens=3, top_k=1)
    texts, ids = (gpt2.sample(prompts, **options) for prompts in (["w0 w1"], [[3, 4, 2]]))
    assert torch.equal(texts.token_BS, ids.token_BS)


def test_no_response_holds_a_character_that_records_refuse(gpt2, monkeypatch):
    """A byte tokenizer has a token for NUL, and at temperature 1 everything is drawn at some time."""
    monkeypatch.setattr(gpt2.tokenizer, "batch_decode", lambda rows, **_: ["a\0b"] * len(rows), raising=False)
    assert gpt2.texts(gpt2.sample([[3]], max_new_tokens=2)) == ["a\ufffdb"]
