"""Hugging Face folders: what must hold before one is opened, and what is put right while it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without progress bars, and without warnings of what we raise as errors."""
    from transformers.utils import logging
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def refuse_pickle(folder: str | Path) -> None:
    """ValueError for a folder without safetensors; a name on the Hub is left to transformers."""
    path = Path(folder)
    if path.is_dir() and not any(path.glob("*.safetensors")):
        raise ValueError(f"{folder}: no .safetensors file. Weights in other formats are never opened, as "
                         "unpickling can run code: save them again with save_pretrained of transformers")


def special_ids(tokenizer) -> tuple[int, int]:
    """Ids of EOS and padding. ValueError unless both exist and differ."""
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if eos is None or pad is None or eos == pad:
        raise ValueError(f"the tokenizer's eos id is {eos} and its pad id {pad}: they must be two ids, or "
                         "the end looks like padding; add_special_tokens({'pad_token': '<|pad|>'})")
    return eos, pad


def give_pad(model: nn.Module, tokenizer) -> None:
    """A padding token of its own, where the tokenizer has none (as GPT-2's) or pads with EOS.

    If the embedding has no row left for it, it gets one: the mean of all others, so that the new token
    is an unlikely one. ValueError where the tokenizer does not fit the model to begin with.
    """
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the model {model.config.vocab_size}: "
                         "they were not made for each other; load both from one folder")
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    if len(tokenizer) > model.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        with torch.no_grad():
            for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
                layer.weight[-1] = layer.weight[:-1].mean(dim=0)
    model.config.pad_token_id = tokenizer.pad_token_id


def folded(model: nn.Module, bias: Tensor) -> tuple[dict[str, Tensor], float]:
    """The weights of a one-label classifier with `bias` in its final norm, and what found no place there.

    score . (h + b w / |w|^2) = score . h + b, so GPT-2's norm, which has a bias, takes all of it.
    """
    weights = model.state_dict()
    name, w_D = f"{model.base_model_prefix}.ln_f.bias", weights["score.weight"][0]
    if name not in weights:
        return weights, bias.item()
    return weights | {name: weights[name] + bias * w_D / w_D.square().sum()}, 0.0
