"""Models and prompts to measure with: the tiny preset as it is when RL starts, random GPT-2s and a SmolLM2."""

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from instructgpt_lite import World, presets
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.run import BASES
from instructgpt_lite.training.sft import finetune

WORDS = 508                          # with a line end and three special tokens: a vocabulary of 512


def tiny(base: str | None = None) -> tuple[World, Policy]:
    """World 0 and a policy of the tiny preset that answers and ends: its base after the RL start's SFT.

    base: a Hugging Face folder. By default the base that ships with the package or, where there is none,
    random weights, which the SFT teaches little more than to end.
    """
    world, config = World(0), presets.tiny
    folder = base or BASES / "tiny"
    if base or folder.is_dir():
        policy = Policy.load(folder)
    else:
        policy = Policy.new(config.architecture, world.tokenizer(), seed=0)
    sft = replace(config.rl_init, pretraining_mix=0.0)
    for _ in finetune(policy, world.demonstrations(sft.demonstrations), sft):
        pass
    return world, policy


def random_gpt2(ends: float = 0.0, layers: int = 4, width: int = 128, context: int = 256, heads: int = 4,
                count: int = WORDS) -> Policy:
    """A GPT-2 as transformers makes it (GPT-2's own activation), random, without dropout.

    ends: the probability of EOS at each token; 0 is so rarely that no response ends. PAD never comes.
    """
    tokenizer, special = vocabulary(count)
    torch.manual_seed(0)
    return ending(Policy(GPT2LMHeadModel(GPT2Config(
        vocab_size=len(tokenizer), n_positions=context, n_embd=width, n_layer=layers, n_head=heads, resid_pdrop=0,
        embd_pdrop=0, attn_pdrop=0, **special)), tokenizer), ends)


def random_smollm2(ends: float = 0.0) -> Policy:
    """SmolLM2-135M by its configuration, random; as `random_gpt2`. Its head has a bias, by which responses end."""
    tokenizer, special = vocabulary(49_148)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0}, **special))
    model.lm_head.bias = nn.Parameter(torch.zeros(len(tokenizer)))
    return ending(Policy(model, tokenizer), ends)


GPT2_124M = partial(random_gpt2, layers=12, width=768, context=1024, heads=12, count=50_253)
RANDOM = {"gpt2": random_gpt2, "smollm2": random_smollm2, "gpt2-124m": GPT2_124M}


def vocabulary(count: int) -> tuple[PreTrainedTokenizerFast, dict[str, int]]:
    """A tokenizer of a line end, `count` words and three special tokens, and what a configuration says of those."""
    tokenizer = word_tokenizer(["\n", *(f"w{n}" for n in range(count))])
    return tokenizer, {"bos_token_id": 0, "eos_token_id": tokenizer.eos_token_id,
                       "pad_token_id": tokenizer.pad_token_id}


def ending(policy: Policy, ends: float) -> Policy:
    """The policy, whose EOS has that probability and whose PAD never comes."""
    for _ in range(4):
        make_likely(policy, policy.pad, 1e-9)
        make_likely(policy, policy.eos, ends or 1e-9)
    return policy


@torch.no_grad()
def make_likely(policy: Policy, token: int, p: float) -> None:
    """Give a token probability p on average: by the head's bias, or the final norm's along the token's embedding."""
    rows = torch.randint(3, WORDS, (8, 32), generator=torch.Generator().manual_seed(0))
    now = policy.logits(rows).softmax(dim=-1)[..., token].mean().item()
    w_D, bias_V = policy.model.lm_head.weight[token], policy.model.lm_head.bias
    shift = math.log(p / (1 - p)) - math.log(now / (1 - now))
    if bias_V is not None:
        bias_V[token] += shift
        return
    policy.model.transformer.ln_f.bias += shift * w_D / w_D.square().sum()


def words(length_N: Tensor, generator: torch.Generator) -> list[list[int]]:
    """Random words of the random GPT-2, as token ids, of these lengths."""
    return [torch.randint(4, WORDS + 4, (length,), generator=generator).tolist() for length in length_N.tolist()]


def uniform(count: int, low: int, high: int, generator: torch.Generator) -> Tensor:
    """Lengths between low and high, both included."""
    return torch.randint(low, high + 1, (count,), generator=generator)


def ragged(count: int, median: float = 36, mean: float = 42, longest: int = 192) -> Tensor:
    """Lengths as people's prompts have them, lognormal and cut at the longest: its quantiles, without luck."""
    sigma = math.sqrt(2 * math.log(mean / median))
    z_N = torch.special.ndtri((torch.arange(count) + 0.5) / count)
    return (median * (sigma * z_N).exp()).round().long().clamp(2, longest)
