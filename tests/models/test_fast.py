"""What is there for speed alone against the plain way, which is all there is when the file is deleted."""

import copy
import math
import re
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from instructgpt_lite.models import fast, fast_rows, forward, sampling, self_test
from instructgpt_lite.models.fast import is_plain, shared_prefix_attention, shared_prefix_mask
from instructgpt_lite.models.fast_rows import attention_by_length
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from tests.models import families
from tests.models.conftest import EOS, PAD, WORDS, new_tokenizer, stirred
from tests.models.families import FAST, MIXTURE, mistral
from tests.models.test_families import ACCEPTED, policy_of, reward_of

EXACT = dict(rtol=1e-10, atol=1e-10)
GROUPS = [(2, 2), (4, 2), (6, 1)]            # heads, and heads of keys and values
SIZE = 3                                     # of a head
RESPONSES = [[[20, EOS], [21, 22, 23, EOS], [EOS]], [[24, 25, EOS]], [[26, EOS], [5, 6, 7]]]


def like_llama(tied: bool = False, kind: str = "Llama", **settings) -> Policy:
    """A random model of transformers' modules, 4 heads on 2; in Qwen2 queries, keys and values have biases."""
    import transformers
    sizes = dict(vocab_size=WORDS, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied, bos_token_id=EOS,
                 eos_token_id=EOS, pad_token_id=PAD)
    config = getattr(transformers, f"{kind}Config")(**sizes | settings)
    return stirred(Policy(getattr(transformers, f"{kind}ForCausalLM")(config), new_tokenizer()))


LLAMAS = {
    "llama": {}, "tied": dict(tied=True), "qwen2": dict(kind="Qwen2"),
    "biases": dict(attention_bias=True, mlp_bias=True), "one head of keys": dict(num_key_value_heads=1),
    "wide heads": dict(head_dim=6),
    "llama3 rope": dict(rope_parameters=dict(rope_type="llama3", rope_theta=1e4, factor=4.0, low_freq_factor=1.0,
                                             high_freq_factor=4.0, original_max_position_embeddings=16)),
    "yarn": dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0,
                                      original_max_position_embeddings=16))}


@pytest.fixture(params=["gpt2", *LLAMAS])
def both(request, made) -> tuple[Policy, Policy]:
    """A policy twice, the second the plain way."""
    policy = made["gpt2"] if request.param == "gpt2" else like_llama(**LLAMAS[request.param])
    assert is_plain(policy.model)
    quick, plain = (copy.deepcopy(policy) for _ in range(2))
    plain.fast = False
    return quick, plain


@pytest.fixture
def rollout(prompts) -> Rollout:
    random = torch.Generator().manual_seed(3)
    responses = [torch.randint(2, WORDS, (n % 6 + 1,), generator=random).tolist() for n in range(len(prompts))]
    return Rollout.of(prompts, responses, pad=PAD, eos=EOS)


def scalars(both) -> list[ScalarModel]:
    found = [ScalarModel.on(policy) for policy in both]
    for model, policy in zip(found, both):
        model.fast = policy.fast
        model.bias.fill_(0.75)
    return found


def grads(model) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def same(one: torch.Tensor, other: torch.Tensor, model) -> None:
    rounded = model.model.config.model_type != "gpt2"               # norms compute in float32
    torch.testing.assert_close(one, other, **(dict(rtol=1e-5, atol=1e-5) if rounded else EXACT))


# With and without

def test_log_probs_and_their_gradients_are_those_of_the_plain_way(both, rollout):
    weight_BT = torch.linspace(-1, 1, rollout.mask_BT.numel(), dtype=torch.float64).view_as(rollout.mask_BT)
    logps = [policy.logp(rollout, 0.7) for policy in both]
    same(*logps, both[0])
    for _policy, logp_BT in zip(both, logps):
        (logp_BT * weight_BT).sum().backward()
    same(*map(grads, both), both[0])


def test_values_scores_and_their_gradients_are_those_of_the_plain_way(both, rollout, prompts):
    quick, plain = models = scalars(both)
    for read in (lambda model: model.values(rollout), lambda model: model(rollout),
                 lambda model: model.scores(prompts[:3], RESPONSES)[0]):
        same(read(quick), read(plain), quick)
        for model in models:
            model.zero_grad()
            (found := read(model)).mul(torch.linspace(1, 2, found.numel()).view_as(found)).sum().backward()
        same(grads(quick), grads(plain), quick)


def test_the_same_uniforms_draw_the_same_tokens(both, prompts):
    options = dict(copies=3, max_new_tokens=9, temperature=0.9)
    one, other = (policy.sample(prompts, generator=torch.Generator().manual_seed(4), **options) for policy in both)
    assert torch.equal(one.token_BS, other.token_BS) and torch.equal(one.mask_BT, other.mask_BT)
    torch.testing.assert_close(one.logp_BT, other.logp_BT, **EXACT)


def test_the_package_works_without_the_file():
    """In an interpreter in which it cannot be imported."""
    code = ("import sys; sys.modules['instructgpt_lite.models.fast'] = None\n"
            "import instructgpt_lite.models.networks as networks\n"
            "from tests.models.conftest import new_gpt2\n"
            "policy = new_gpt2()\n"
            "assert networks.fast is None and not policy.fast\n"
            "print(policy.sample([[5, 6]], max_new_tokens=5, top_k=1).token_BS.tolist())")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    from tests.models.conftest import new_gpt2
    assert found.strip() == str(new_gpt2().sample([[5, 6]], max_new_tokens=5, top_k=1).token_BS.tolist())


# Which models

@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh"])
def test_the_short_way_is_gpt2_with_any_gelu(gpt2, activation):
    from transformers import GPT2LMHeadModel
    config = copy.deepcopy(gpt2.model.config)
    config.activation_function = activation
    model = GPT2LMHeadModel(config).double().eval()
    model.load_state_dict(gpt2.model.state_dict())
    token_BS = torch.arange(24)[None]
    assert is_plain(model)
    ours = Policy(model, gpt2.tokenizer).logits(token_BS)
    torch.testing.assert_close(ours, model(token_BS).logits, **EXACT)


def double(module, inputs, output):
    return (2 * output[0], *output[1:]) if isinstance(output, tuple) else 2 * output


def hooked(name):
    return lambda gpt2: gpt2.model.get_submodule(name).register_forward_hook(double)


def pre_hooked(gpt2):
    gpt2.model.transformer.h[0].register_forward_pre_hook(lambda module, inputs: (2 * inputs[0], *inputs[1:]))


def patched(gpt2):
    mlp = gpt2.model.transformer.h[1].mlp
    original = mlp.forward
    mlp.forward = lambda x: 3 * original(x)


def swapped(gpt2):
    gpt2.model.transformer.h[1].mlp.c_fc = torch.nn.Linear(16, 64).double()


def own_norm(gpt2):
    gpt2.model.transformer.h[0].ln_1 = torch.nn.RMSNorm(16).double()


def own_activation(gpt2):
    gpt2.model.transformer.h[0].mlp.act = torch.nn.ReLU()


def own_class(gpt2):
    class Conv1D(type(gpt2.model.transformer.h[0].mlp.c_fc)):
        def forward(self, x):
            return 2 * super().forward(x)
    gpt2.model.transformer.h[0].mlp.c_fc.__class__ = Conv1D


CHANGES = [hooked("transformer.h.0.mlp.c_fc"), hooked("transformer.h.1.attn"), hooked("transformer.h.0.ln_2"),
           hooked("transformer.wte"), hooked("transformer.h.0"), pre_hooked, patched, swapped, own_norm,
           own_activation, own_class]


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES)
def test_a_gpt2_changed_anywhere_is_read_by_itself(gpt2, change):
    """Even if it is changed after it was loaded."""
    token_BS, before = torch.arange(24)[None], gpt2.logits(torch.arange(24)[None])
    change(gpt2)
    assert gpt2.fast and not is_plain(gpt2.model)
    expected = gpt2.model(token_BS).logits
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(gpt2.logits(token_BS), expected, **EXACT)
    greedy = gpt2.sample([[5, 6, 7]], max_new_tokens=1, top_k=1)
    assert greedy.token_BS[0, 3] == gpt2.model(torch.tensor([[5, 6, 7]])).logits[0, -1].argmax()


LLAMA_CHANGES = {
    "hook on a projection": lambda trunk: trunk.layers[0].self_attn.k_proj.register_forward_hook(double),
    "hook on the rotation": lambda trunk: trunk.rotary_emb.register_forward_hook(lambda _, inputs, out: out[::-1]),
    "another norm": lambda trunk: setattr(trunk.layers[1], "input_layernorm", torch.nn.LayerNorm(16).double()),
    "another activation": lambda trunk: setattr(trunk.layers[0].mlp, "act_fn", torch.nn.ReLU())}


@torch.no_grad()
@pytest.mark.parametrize("change", LLAMA_CHANGES)
def test_a_llama_changed_anywhere_is_read_by_itself(change):
    policy, token_BS = like_llama(), torch.arange(24)[None]
    before = policy.logits(token_BS)
    LLAMA_CHANGES[change](policy.model.model)
    assert policy.fast and not is_plain(policy.model)
    expected = policy.model(token_BS).logits
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(policy.logits(token_BS), expected, **EXACT)


def test_llamas_whose_window_or_frequencies_change_with_length_are_not_plain():
    plain = {name for name in families.SETTINGS if is_plain(families.model(name))}
    assert plain == {"gpt2", "llama", "llama with yarn", "qwen2"}


def test_residual_dropout_of_a_llama_is_refused_on_either_road(rollout):
    with pytest.raises(ValueError, match="written for GPT-2 only, not for LlamaForCausalLM"):
        like_llama().logp(rollout, dropout=0.1)


def test_a_hook_on_the_head_is_met_and_sees_response_positions_only(gpt2, rollout):
    seen = []
    gpt2.model.lm_head.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    gpt2.logp(rollout)
    assert seen == [(int(rollout.mask_BT.sum()), WORDS)]


# GPT-2 without padding

def test_without_any_residual_branch_only_the_embeddings_are_left(gpt2):
    trunk = gpt2.model.transformer
    x_SD = trunk.ln_f(trunk.wte.weight[5:8] + trunk.wpe.weight[:3])
    attend = attention_by_length(torch.tensor([3]), (2, 2))
    left = fast_rows.flat_states(gpt2.model, torch.tensor([5, 6, 7]), torch.arange(3), attend, drop=lambda x: 0 * x)
    torch.testing.assert_close(left, x_SD, **EXACT)


def one_row(qkv: torch.Tensor, H: int, G: int) -> torch.Tensor:
    """Causal attention of one row (n, (H + 2 G) SIZE), head by head and query by query."""
    heads, out = qkv.unflatten(1, (-1, SIZE)), torch.zeros(len(qkv), H, SIZE, dtype=qkv.dtype)
    for head in range(H):
        shared = H + head // (H // G)
        q, k, v = heads[:, head], heads[:, shared], heads[:, shared + G]
        for t in range(len(qkv)):
            weight = (k[:t + 1] @ q[t] / math.sqrt(SIZE)).softmax(dim=0)
            out[t, head] = weight @ v[:t + 1]
    return out.flatten(1)


def random_qkv(tokens: int, heads: tuple[int, int]) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(tokens, (heads[0] + 2 * heads[1]) * SIZE, dtype=torch.float64)


@pytest.mark.parametrize("heads", GROUPS)
@pytest.mark.parametrize("lengths", [[3], [1, 1], [4, 2, 5, 1], list(range(1, 40))])
def test_grouped_by_length_each_row_attends_to_itself_alone(lengths, heads):
    qkv = random_qkv(sum(lengths), heads)
    wanted = torch.cat([one_row(part, *heads) for part in qkv.split(lengths)])
    attend = attention_by_length(torch.tensor(lengths), heads)
    assert torch.allclose(attend(0, qkv), wanted, rtol=1e-12, atol=1e-12)


# K responses that share their prompt

@pytest.mark.parametrize("heads", GROUPS)
@pytest.mark.parametrize("lengths", [[(2, [3, 3])], [(1, [1])], [(4, [2, 1, 3]), (1, [2]), (3, [1, 4])]])
def test_a_response_attends_as_in_a_row_of_its_prompt_and_itself(lengths, heads):
    sizes = [size for p, group in lengths for size in (p, *group)]
    qkv = random_qkv(sum(sizes), heads)
    wanted, rows = [], iter(qkv.split(sizes))
    for _, group in lengths:
        prompt = next(rows)
        wanted += [one_row(prompt, *heads),
                   *(one_row(torch.cat([prompt, next(rows)]), *heads)[len(prompt):] for _ in group)]
    attend = shared_prefix_attention(lengths, heads, torch.device("cpu"))
    assert torch.allclose(attend(0, qkv), torch.cat(wanted), rtol=1e-12, atol=1e-12)


def test_no_response_sees_another():
    assert shared_prefix_mask(torch.tensor([[0, 0, 1, 1, 2, 2]]))[0].int().tolist() == [
        [1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 1, 1]]


def test_a_prompt_is_read_once_however_many_responses_it_has(gpt2, prompts):
    reward, tokens = ScalarModel.on(gpt2), []
    reads = fast_rows.flat_states
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_rows, "flat_states", lambda model, token_N, *rest: (
            tokens.append(len(token_N)), reads(model, token_N, *rest))[1])
        reward.scores(prompts[:3], RESPONSES)
    assert sum(tokens) == sum(map(len, prompts[:3])) + sum(len(y) for group in RESPONSES for y in group)


# Sampling

def responses_of(rollout: Rollout) -> list[list[int]]:
    return [row[mask].tolist() for row, mask in zip(rollout.response_BT, rollout.mask_BT)]


@torch.no_grad()
@pytest.mark.parametrize("places", [1, 3, 128])
def test_rows_that_make_room_for_others_draw_what_each_would_draw_alone(both, prompts, places):
    """Log-probs to ten digits, from whole forwards."""
    uniform_BT = torch.rand(24, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rollout = both[0].sample(3 * prompts, max_new_tokens=7, generator=torch.Generator().manual_seed(0),
                             decode=partial(fast.decode, places=places))
    lengths = set()
    for row, (prompt, response) in enumerate(zip(3 * prompts, responses_of(rollout))):
        logp_SV = both[0].model(torch.tensor([[*prompt, *response]])).logits[0].log_softmax(-1)
        for t, token in enumerate(response):
            logp_V, lengths = logp_SV[len(prompt) + t - 1], lengths | {len(response)}
            assert token == sampling.inverse_cdf(logp_V.exp()[None], uniform_BT[row, t, None]).item()
            assert rollout.logp_BT[row, t].item() == pytest.approx(logp_V[token].item(), rel=1e-10)
        assert EOS not in response[:-1] and (response[-1] == EOS or len(response) == 7)
    assert len(lengths) > 2, "rows must end at different steps"


def test_a_prompt_is_read_once_however_many_copies_are_drawn(gpt2, prompts, monkeypatch):
    tokens, logits = [], fast.logits
    monkeypatch.setattr(fast, "logits", lambda model, token_BS, real_BS, *rest, **cache: (
        tokens.append(int(real_BS.sum())), logits(model, token_BS, real_BS, *rest, **cache))[1])
    gpt2.sample(prompts, max_new_tokens=7, copies=9, decode=partial(fast.decode, places=40))
    assert sum(tokens) == sum(map(len, set(map(tuple, prompts))))


def test_the_cache_has_no_more_places_than_rows(gpt2, monkeypatch):
    made = []
    cache = fast.Cache
    monkeypatch.setattr(fast, "Cache", lambda *size: (made.append(size), cache(*size))[1])
    gpt2.sample([[5, 6], [7]], max_new_tokens=4)
    assert made == [(2, 6)]


class Waits(TorchDispatchMode):
    """Notes each time that the host would have to wait for a number of a card's."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self.events = events

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        masks = args[1] if "aten.index" in str(function) and isinstance(args[1], (list, tuple)) else []
        if any(mask is not None and mask.dtype == torch.bool for mask in masks) or re.search(
                "_local_scalar_dense|nonzero|masked_select|unique|equal.default", str(function)):
            self.events.append("w")
        return function(*args, **kwargs or {})


class Lists(TorchFunctionMode):
    """The same for what no dispatch mode sees."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self.events = events

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu):
            self.events.append("w")
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("waits", [lambda x: int(x[0]), lambda x: bool(x[0]), lambda x: x.tolist(), lambda x: x[x > 0],
                                   lambda x: x.nonzero(), lambda x: x[0].item()])
def test_a_wait_is_noticed(waits):
    events: list[str] = []
    with Waits(events), Lists(events):
        torch.ones(3) + 1
        assert not events
        waits(torch.ones(3))
    assert events


@pytest.mark.parametrize("look, runs", [(1, 9 * [1]), (4, [4, 4, 1]), (99, [9])])
def test_between_two_looks_the_host_waits_for_nothing(both, prompts, monkeypatch, look, runs):
    """d: a token of every row is drawn."""
    events, draw = [], sampling.Draws.draw
    monkeypatch.setattr(sampling.Draws, "draw", lambda *inputs: (events.append("d"), draw(*inputs))[1])
    draws = sampling.Draws(torch.rand(len(prompts), 9, dtype=torch.float64), torch.float64, 1.0, top_k=0)
    with Waits(events), Lists(events), torch.no_grad():
        fast.decode(both[0].model, prompts, draws, ends=(), look=look)
    assert [len(run) for run in re.findall("d+", "".join(events))] == runs


@pytest.mark.parametrize("places", [2, 5, 128])
def test_looking_seldom_draws_what_looking_always_does(both, prompts, places):
    """Rows end between looks, and others take their places."""
    always, seldom = (both[0].sample(3 * prompts, max_new_tokens=9, generator=torch.Generator().manual_seed(2),
                                     decode=partial(fast.decode, places=places, look=look)) for look in (1, 4))
    assert torch.equal(always.token_BS, seldom.token_BS) and torch.equal(always.mask_BT, seldom.mask_BT)
    torch.testing.assert_close(always.logp_BT, seldom.logp_BT, rtol=1e-6, atol=1e-6)
    assert len(set(always.length_B.tolist())) > 3


def test_a_row_that_ends_goes_on_no_longer_than_to_the_next_look(gpt2, prompts, monkeypatch):
    rows, draw = [], sampling.Draws.draw
    monkeypatch.setattr(sampling.Draws, "draw", lambda self, logits_RV, row_R, t_R: (
        rows.append(len(row_R)), draw(self, logits_RV, row_R, t_R))[1])
    found = gpt2.sample(3 * prompts, max_new_tokens=9, generator=torch.Generator().manual_seed(2),
                        decode=partial(fast.decode, look=4))
    assert sum(rows) == sum(min(9, 4 * math.ceil(len(y) / 4)) for y in responses_of(found))


# How long rows may be

def test_the_fast_road_is_taken_where_it_is_right():
    assert {name for name in ACCEPTED if policy_of(name).fast} == {*FAST, "mpt"}
    assert {name for name in ACCEPTED if reward_of(name).fast} == {*FAST, *MIXTURE} - {"mpt"}


def test_a_huge_window_is_fast_up_to_its_length_and_plain_beyond(monkeypatch):
    model = copy.deepcopy(families.model("mistral without window"))
    model.config.sliding_window, model.config.max_position_embeddings = 300, 1_000
    policy = Policy(model, new_tokenizer())
    reward = ScalarModel.on(policy)
    assert policy.fast == reward.fast == 300
    taken = []
    for road in ("decode", "prefix_states"):
        monkeypatch.setattr(fast, road, lambda *inputs, way=getattr(fast, road): (taken.append(1), way(*inputs))[1])
    fast_calls = {}
    for length in (295, 296):
        taken.clear()
        policy.sample([[5] * length], max_new_tokens=5)
        reward.scores([[5] * length], [[[6, 7], [8, 9, 10]]])
        fast_calls[length] = len(taken)
    assert fast_calls == {295: 2, 296: 0}


def test_rows_up_to_a_window_go_the_fast_road_where_longer_ones_may_not():
    model = mistral(sliding_window=16)
    for layer in model.model.layers:
        layer.self_attn.sliding_window = 16
    policy = Policy(model, new_tokenizer())
    assert policy.fast == ScalarModel.on(policy).fast == 16


def test_without_the_fast_file_every_road_is_plain():
    model = families.model("llama")
    assert self_test.policy_road(model, None) == self_test.scalar_road(model, None) == 0
    assert self_test.policy_road(model, fast) == self_test.scalar_road(model, fast) == forward.UNLIMITED


def test_the_models_of_the_book_are_not_tried(gpt2, monkeypatch):
    monkeypatch.setattr(self_test, "read_rows", None)
    ScalarModel.on(Policy(gpt2.model, gpt2.tokenizer))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_take_the_same_road(dtype):
    for name, road in ("llama", forward.UNLIMITED), ("mistral", 0):
        model = copy.deepcopy(families.model(name)).to(dtype)
        assert self_test.policy_road(model, fast) == self_test.scalar_road(model, fast) == road


def test_a_micro_model_is_tried_in_less_than_a_second():
    began = time.process_time()
    self_test.policy_road(families.model("llama"), fast)
    self_test.scalar_road(families.model("llama"), fast)
    assert time.process_time() - began < 1
