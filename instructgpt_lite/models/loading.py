"""Folders of transformers as people bring them: opened right, or refused in a sentence.

Nothing is unpickled and no code of a folder is run. Weights become float32, the
precision of training.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from instructgpt_lite.models import forward

SCORE = "score.weight"               # of a scalar head: 1 x D


@contextmanager
def quiet(folder: str | Path = "") -> Iterator[None]:
    """transformers without progress bars, or warnings of what we raise as errors.

    folder: what it opens; all that it stumbles over there becomes a ValueError.
    """
    from transformers.utils import logging
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    except Exception as error:           # of any kind: files may hold anything
        if not folder or isinstance(error, MemoryError) or getattr(error, "errno", 0):
            raise
        raise ValueError(f"{folder} cannot be opened ({error!r:.200}): fetch or save it"
                         " anew, or take another") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def open_config(folder: str | Path) -> tuple[Any, str, bool]:
    """Configuration, class that was saved, and whether that one scores; checked before.

    Of a folder, or of a name on the Hub.
    """
    from transformers import AutoConfig
    check_folder(Path(folder))
    with quiet(folder):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kind = next(iter(config.architectures or []), "")
    scores = "SequenceClassification" in kind or hasattr(config, "score_bias")
    return config, kind, scores


def open_model(auto: Any, folder: str | Path,
               surplus: tuple[str, ...] = ()) -> nn.Module:
    """The model of a folder or a name on the Hub, every weight as stored, in float32.

    auto: the class of transformers that opens it. surplus: weights that it need not
    have a place for. ValueError says which are missing, too many, damaged or misshapen.
    """
    with quiet(folder):
        model, info = auto.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, trust_remote_code=False,
            ignore_mismatched_sizes=True, output_loading_info=True)
    faults = {
        "misses the weights": info["missing_keys"],
        "has weights too many:": set(info["unexpected_keys"]) - set(surplus),
        "has weights of another shape:": [key for key, *_ in info["mismatched_keys"]]}
    said = [f"{what} {some(keys)}" for what, keys in faults.items() if keys]
    if said:
        raise ValueError(f"{folder} {' and '.join(said)}; it is not what a "
                         f"{type(model).__name__} saves: save that model anew with "
                         "save_pretrained of transformers")
    damaged = [name for name, w in model.named_parameters() if not w.isfinite().all()]
    if damaged:
        raise ValueError(f"{folder}: NaN or infinity in the weights {some(damaged)}: "
                         "fetch or train them anew")
    return model


def check_folder(path: Path) -> None:
    """ValueError for what files tell by themselves; names on the Hub are left alone."""
    from transformers import CONFIG_MAPPING
    if not path.is_dir():
        return
    if (path / "adapter_config.json").exists():
        raise ValueError(f"{path} holds an adapter, not a model: load both with peft, "
                         "then save merge_and_unload() with save_pretrained")
    if not (path / "config.json").exists():
        raise ValueError(f"{path}: no config.json, so it is no folder of a model")
    with quiet(path):
        family = json.loads((path / "config.json").read_bytes()).get("model_type")
        known = family in CONFIG_MAPPING
        named = [name for index in path.glob("*.index.json")
                 for name in json.loads(index.read_bytes())["weight_map"].values()]
    if not known:
        raise ValueError(f"{path}: transformers has no {family}. If the folder has "
                         "code of its own, it is never run: choose an architecture of "
                         "transformers")
    weights = sorted(path.glob("*.safetensors"))
    if not weights or {path / name for name in named} - {*weights}:
        raise ValueError(f"{path}: no .safetensors file, or an index that names others."
                         " Weights in other formats are never opened, as unpickling can"
                         " run code: save them again with save_pretrained")
    for file in weights:
        try:
            safe_open(file, "pt")
        except SafetensorError as error:
            raise ValueError(f"{file} is cut short or damaged ({error}): fetch it anew "
                             "(git lfs pull, if it is a pointer)") from error


def open_language_model(folder: str | Path) -> nn.Module:
    """A causal language model. ValueError for another kind, even if its weights fit."""
    from transformers import AutoModelForCausalLM
    config, kind, scores = open_config(folder)
    if scores:
        raise ValueError(f"{folder} holds a reward model ({kind}), no language model: "
                         "ScalarModel.load opens it")
    if config.is_encoder_decoder:
        raise ValueError(f"{folder} holds an encoder-decoder ({kind}), which reads "
                         "prompt and response in two networks: choose a decoder")
    return open_model(AutoModelForCausalLM, folder)


def some(keys: Iterable[str]) -> str:
    """The first three of many."""
    keys = sorted(keys)
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def open_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a folder; ValueError where it has none."""
    from transformers import AutoTokenizer
    path, found = Path(folder), None
    names = ("*token*", "vocab*", "*.model")
    files = [file for name in names for file in path.glob(name)]
    if files or not path.is_dir():
        with quiet(folder):
            found = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if found is None or len(found) == 0:
        raise ValueError(f"{folder}: no tokenizer: save the model's own beside it with "
                         "tokenizer.save_pretrained")
    return found


def special_ids(tokenizer: Any) -> tuple[int, int]:
    """Ids of EOS and padding. ValueError unless both exist and differ."""
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if eos is None or pad is None or eos == pad:
        raise ValueError(f"the tokenizer's eos id is {eos} and its pad id {pad}: they "
                         "must be two ids, or the end looks like padding; "
                         "add_special_tokens({'pad_token': '<|pad|>'})")
    return eos, pad


def end_ids(model: nn.Module, tokenizer: Any) -> tuple[int, ...]:
    """EOS, and other ends that generation_config lists or has as a special token."""
    others = getattr(model.generation_config, "eos_token_id", None)
    if isinstance(others, int):
        others = [others] if others in tokenizer.all_special_ids else []
    unlike = (tokenizer.eos_token_id, tokenizer.pad_token_id)
    return (tokenizer.eos_token_id, *(end for end in others or [] if end not in unlike
                                      and isinstance(end, int)))


def check_same_tokenizer(**networks: Any) -> None:
    """ValueError unless all that have a tokenizer read and write the same ids."""
    found = [(name, each.tokenizer) for name, each in networks.items()
             if hasattr(each, "tokenizer")]
    for (first, a), (second, b) in pairwise(found):
        if a is not b and (a.get_vocab() != b.get_vocab()
                           or special_ids(a) != special_ids(b)):
            raise ValueError(f"{first} and {second} have different tokenizers "
                             f"({len(a)} and {len(b)} tokens), so one would read "
                             "foreign ids: take models that share one")


def give_pad(model: nn.Module, tokenizer: Any) -> None:
    """A padding token of its own, where the tokenizer has none or pads with EOS.

    If the embedding has no row left for it, it gets one: the mean of all others, which
    is unlikely. ValueError where tokenizer and model do not fit to begin with.
    """
    rows = model.get_input_embeddings().num_embeddings
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no end token, so no response would end: "
                         "set its eos_token")
    if len(tokenizer) > rows:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the model {rows}:"
                         " they were not made for each other, or tokens were added "
                         "without resize_token_embeddings")
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        with torch.no_grad():
            for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
                layer.weight[-1] = layer.weight[:-1].mean(dim=0)
    model.config.pad_token_id = tokenizer.pad_token_id


def scored(model: nn.Module, pad: int) -> nn.Module:
    """A copy of a causal language model's trunk, under a new linear output `.score`.

    An AutoModelForSequenceClassification where transformers has one for the family;
    elsewhere the language model itself, whose unembedding then lies idle.
    """
    import transformers
    config = copy.deepcopy(model.config)
    config.num_labels, config.pad_token_id = 1, pad
    if type(config) in transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        classifier = transformers.AutoModelForSequenceClassification.from_config(config)
        classifier.to(device=model.device, dtype=model.dtype)
        head, trunk = getattr(classifier, "score", None), forward.trunk(classifier)
        if isinstance(head, nn.Linear) and type(trunk) is type(forward.trunk(model)):
            trunk.load_state_dict(forward.trunk(model).state_dict())
            return classifier
    copied = copy.deepcopy(model).requires_grad_(True)
    copied.config.num_labels = 1
    return with_head(copied)


def with_head(model: nn.Module) -> nn.Module:
    """A causal language model with a `.score` as wide as its hidden states."""
    score = nn.Linear(model.get_output_embeddings().in_features, 1, bias=False)
    model.score = score.to(model.device, model.dtype)
    return model


def open_scored(folder: str | Path) -> nn.Module:
    """A saved scalar model. ValueError where there is no trained head for one score."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    config, kind, scores = open_config(folder)
    if not scores:
        raise ValueError(f"{folder}: no trained head for one score ({kind}); start one "
                         "by ScalarModel.on(policy)")
    if config.num_labels != 1:
        raise ValueError(f"{folder}: a head for one score is needed, this one has "
                         f"{config.num_labels} labels")
    if "SequenceClassification" in kind:
        return open_model(AutoModelForSequenceClassification, folder)
    model = with_head(open_model(AutoModelForCausalLM, folder, surplus=(SCORE,)))
    for file in Path(folder).glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            if SCORE in weights.keys():
                model.score.load_state_dict({"weight": weights.get_tensor(SCORE)})
                return model
    raise ValueError(f"{folder} misses the weights {SCORE}")


def folded(model: nn.Module, bias: Tensor) -> tuple[dict[str, Tensor], float]:
    """Weights of a classifier with `bias` in its final norm, and what of it is left.

    score . (h + b w / |w|^2) = score . h + b, so GPT-2's norm, which has a bias, takes
    all of it.
    """
    weights = model.state_dict()
    name, w_D = f"{model.base_model_prefix}.ln_f.bias", weights["score.weight"][0]
    if name not in weights:
        return weights, bias.item()
    return weights | {name: weights[name] + bias * w_D / w_D.square().sum()}, 0.0
