"""GPT-2: a new one of any size, to pretrain, and whether one is as it was made."""

import math

import torch
from torch import Tensor, nn

from instructgpt_lite.config import Architecture

GELU = {                             # of each name: transformers' class, torch's kind
    "gelu": ("GELUActivation", "none"), "gelu_new": ("NewGELUActivation", "tanh"),
    "gelu_pytorch_tanh": ("GELUTanh", "tanh")}


def new_gpt2(architecture: Architecture, vocabulary: int, eos: int,
             pad: int) -> nn.Module:
    """A `GPT2LMHeadModel` without dropout, drawn from torch's global generator.

    Its position embeddings start as sinusoids: at this size, heads that look a few
    tokens back form in half the pretraining tokens it takes from noise, and copying
    needs them.
    """
    from transformers import GPT2Config, GPT2LMHeadModel
    context, width = architecture.context, architecture.width
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=vocabulary, n_positions=context, n_embd=width,
        n_layer=architecture.layers, n_head=architecture.heads,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, activation_function="gelu",
        bos_token_id=eos, eos_token_id=eos, pad_token_id=pad))
    with torch.no_grad():
        model.transformer.wpe.weight.copy_(0.1 * sinusoids(context, width))
    return model


def sinusoids(context: int, width: int) -> Tensor:
    """(context, width): sines and cosines of the position, wavelengths from 2 pi up.

    Vaswani et al., 2017, §3.5.
    """
    frequency = torch.exp(-math.log(1000) * torch.arange(0, width, 2) / width)
    angle = torch.arange(context)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]


def is_plain(model: nn.Module) -> bool:
    """True for a GPT-2 of transformers' own modules, none of them hooked or patched."""
    config = model.config
    if not (config.model_type == "gpt2" and config.activation_function in GELU
            and config.scale_attn_weights and not config.add_cross_attention
            and not config.scale_attn_by_inverse_layer_idx):
        return False
    block = ("GPT2Block", "LayerNorm", "GPT2Attention", "Conv1D", "Conv1D", "Dropout",
             "Dropout", "LayerNorm", "GPT2MLP", "Conv1D", "Conv1D",
             GELU[config.activation_function][0], "Dropout")
    kinds = ("GPT2Model", "Embedding", "Embedding", "Dropout", "ModuleList",
             *config.n_layer * block, "LayerNorm")
    parts = tuple(model.base_model.modules())
    return (kinds == tuple(type(part).__name__ for part in parts)
            and all(map(untouched, (model, *parts))))


def untouched(part: nn.Module) -> bool:
    """True for a module of torch or transformers with its own forward and no hook."""
    return (type(part).__module__.startswith(("torch.nn.", "transformers."))
            and "forward" not in vars(part)
            and not (part._forward_pre_hooks or part._forward_hooks
                     or part._backward_pre_hooks or part._backward_hooks))
