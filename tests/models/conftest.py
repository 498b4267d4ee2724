"""Micro models with random float64 weights whose responses end: GPT-2 twice, and a rotary architecture."""

import copy

import pytest
import torch

from instructgpt_lite.config import Architecture
from instructgpt_lite.models import networks
from instructgpt_lite.models.networks import Policy

WORDS = 30
EOS, PAD = 0, 1


def new_tokenizer(pad: str | None = "<|pad|>"):
    """A word tokenizer with EOS 0, PAD 1 (a word, where pad is None), the line break 2."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    names = ["<|endoftext|>", pad or "spare", "\n", *(f"w{n}" for n in range(WORDS - 3))]
    words = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="\n"))
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|[^\s]+"), "removed", invert=True)
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|endoftext|>", pad_token=pad)


def new_gpt2() -> Policy:
    """Weights large enough that no symmetry hides a slip."""
    policy = Policy.new(Architecture(layers=2, width=16, heads=2, context=24), new_tokenizer(), seed=0)
    return stirred(policy)


def new_llama() -> Policy:
    """Rotary positions, grouped heads, RMSNorm: nothing that GPT-2 has."""
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(vocab_size=WORDS, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=24,
                         bos_token_id=EOS, eos_token_id=EOS, pad_token_id=PAD)
    return stirred(Policy(LlamaForCausalLM(config), new_tokenizer()))


def stirred(policy: Policy) -> Policy:
    """In float64, every weight redrawn from N(0, 0.3), around 1 for norms; EOS is often likely."""
    random = torch.Generator().manual_seed(1)
    policy.double()
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            around = 1.0 if "norm.weight" in name or "ln_" in name and "weight" in name else 0.0
            weight.copy_(around + 0.3 * torch.randn(weight.shape, generator=random, dtype=torch.float64))
        policy.model.get_output_embeddings().weight[EOS] *= 3
    return policy


@pytest.fixture(scope="session")
def made() -> dict[str, Policy]:
    """Each model once; tests that change one take a copy."""
    return {"gpt2": new_gpt2(), "llama": new_llama()}


@pytest.fixture
def gpt2(made) -> Policy:
    return copy.deepcopy(made["gpt2"])


@pytest.fixture
def llama(made) -> Policy:
    return copy.deepcopy(made["llama"])


@pytest.fixture(params=["gpt2", "gpt2 plainly", "llama", "llama plainly"])
def policy(request, made, monkeypatch) -> Policy:
    """Every architecture, and each as if it were any other model."""
    family, *plainly = request.param.split()
    policy = copy.deepcopy(made[family])
    if plainly:
        policy.fast = 0
        monkeypatch.setattr(networks, "fast", None)
    return policy


@pytest.fixture
def prompts() -> list[list[int]]:
    """Ragged, unsorted, one twice."""
    random = torch.Generator().manual_seed(2)
    lengths = (3, 9, 1, 6, 12, 4, 9)
    rows = [torch.randint(2, WORDS, (length,), generator=random).tolist() for length in lengths]
    return [*rows, rows[1]]
