"""What a Hugging Face decoder computes at the places asked for, by its own forward.

Rows are right-padded, so causal attention needs no more of a mask than where tokens
are, and a token's position is its place in the row. Dropout is off; what is asked for
is drawn by us.

Shapes: B rows, S places of a row, M kept places, D width, V vocabulary.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

UNLIMITED = 2**30                    # tokens

Dropout = Callable[[Tensor], Tensor]


def logits(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: Dropout | None = None) -> Tensor:
    """Next-token logits (M, V) at the flat places keep_M (row * S + column).

    real_BS: True where a token is, False at padding. The head runs on the columns
    between the first and the last kept, where the model can be asked for that.
    """
    inputs, S = _inputs(model, token_BS, real_BS), token_BS.size(1)
    row_M, column_M, first = keep_M // S, keep_M % S, 0
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        first, last = int(column_M.min()), int(column_M.max())
        inputs["logits_to_keep"] = torch.arange(first, last + 1, device=keep_M.device)
    with residual_dropout(model, drop):
        return model(**inputs).logits[row_M, column_M - first]


def states(model: nn.Module, token_BS: Tensor, real_BS: Tensor,
           keep_M: Tensor) -> Tensor:
    """Final hidden states (M, D) at the flat places keep_M, by `trunk`."""
    state_BSD = trunk(model)(**_inputs(model, token_BS, real_BS)).last_hidden_state
    return state_BSD.flatten(0, 1).index_select(0, keep_M)


def trunk(model: nn.Module) -> nn.Module:
    """The model without its head."""
    return model.model if model.base_model is model else model.base_model


def _inputs(model: nn.Module, token_BS: Tensor,
            real_BS: Tensor) -> dict[str, Tensor | bool]:
    """Padding, which may contain anything, as token 0, which every vocabulary has."""
    check_context(model, token_BS.size(1))
    model.eval()
    return {"input_ids": token_BS.masked_fill(~real_BS, 0),
            "attention_mask": real_BS.long(), "use_cache": False}


def context(model: nn.Module) -> int:
    """The longest row in tokens; UNLIMITED where there is no limit (ALiBi, recurrent).

    "longrope" reads the beginning of a row otherwise once the row is longer than the
    original context, so that is the limit.
    """
    config = model.config
    names = ("max_position_embeddings", "n_positions", "max_seq_len")
    limits = [getattr(config, name, None) for name in names]
    rope = getattr(config, "rope_parameters", None) or {}
    for each in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if each.get("rope_type") == "longrope":
            limits.append(each.get("original_max_position_embeddings"))
    return min((limit for limit in limits if limit and limit > 0), default=UNLIMITED)


def check_context(model: nn.Module, length: int) -> None:
    """ValueError where a row of `length` tokens has more positions than the model."""
    limit = context(model)
    if length > limit:
        raise ValueError(f"rows of {length} tokens, {length - limit} more than the "
                         f"model's context of {limit}: shorten prompt or response")


def dropout(rate: float, generator: torch.Generator | None,
            device: torch.device) -> Dropout | None:
    """Inverted dropout drawn from `generator`, so that a resumed run repeats it.

    On another device than the generator's, from one of that device which it seeds.
    """
    if rate == 0:
        return None
    if generator is not None and generator.device.type != device.type:
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        generator = torch.Generator(device).manual_seed(int(seed))
    return lambda x: (
        x * torch.empty_like(x).bernoulli_(1 - rate, generator=generator) / (1 - rate))


@contextmanager
def residual_dropout(model: nn.Module, drop: Dropout | None) -> Iterator[None]:
    """Within, `drop` falls on what layers of a GPT-2 add. ValueError for others."""
    if drop is not None and model.config.model_type != "gpt2":
        raise ValueError("residual dropout is written for GPT-2 only, not for "
                         f"{type(model).__name__}: set dropout to 0")
    added = (".attn.resid_dropout", ".mlp.dropout")
    hooks = [part.register_forward_hook(lambda _, inputs, output: drop(output))
             for name, part in model.named_modules() if drop and name.endswith(added)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
