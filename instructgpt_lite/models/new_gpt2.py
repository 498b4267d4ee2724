"""A GPT-2 of any size with random weights, to pretrain."""

import math

import torch
from torch import Tensor, nn

from instructgpt_lite.config import Architecture


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
