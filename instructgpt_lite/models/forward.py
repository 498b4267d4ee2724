"""What a Hugging Face decoder computes at the places asked for, by its own forward.

Rows are right-padded, so causal attention needs no more of a mask than where tokens
are, and a token's position is its place in the row. Dropout is off; what is asked for
is drawn by us.

Shapes: B rows, S places of a row, M kept places, D width, V vocabulary.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

UNLIMITED = 2**30                    # tokens

_falling: ContextVar["Dropout | None"] = ContextVar("dropout", default=None)


def logits(model: nn.Module, token_BS: Tensor, real_BS: Tensor, keep_M: Tensor,
           drop: "Dropout | None" = None) -> Tensor:
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


@dataclass
class Dropout:
    """Inverted dropout at `rate`, drawn from `generator`."""

    rate: float
    generator: torch.Generator | None

    def __call__(self, x: Tensor) -> Tensor:
        """x with some entries 0, and the others larger for it."""
        kept = torch.empty_like(x).bernoulli_(1 - self.rate, generator=self.generator)
        return x * kept / (1 - self.rate)


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
    return Dropout(rate, generator)


@contextmanager
def residual_dropout(model: nn.Module, drop: Dropout | None) -> Iterator[None]:
    """Within, `drop` falls on what layers of a GPT-2 add. ValueError for others."""
    if drop is not None and model.config.model_type != "gpt2":
        raise ValueError("residual dropout is written for GPT-2 only, not for "
                         f"{type(model).__name__}: set dropout to 0")
    before = _falling.set(drop)
    try:
        with _hooked(model, drop):
            yield
    finally:
        _falling.reset(before)


@contextmanager
def _hooked(module: nn.Module, drop: Dropout | None) -> Iterator[None]:
    added = ("attn.resid_dropout", "mlp.dropout")
    hooks = [part.register_forward_hook(lambda _, inputs, output: drop(output))
             for name, part in module.named_modules() if drop and name.endswith(added)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def checkpoint_blocks(model: nn.Module) -> None:
    """Keep only what goes into each block, and compute it again going backward.

    Once, however often it is asked for. Modules keep their names, so that checkpoints
    of a run fit with it and without.
    """
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList)]
    for block in max(lists, key=len):
        if isinstance(block.forward, partial):
            continue
        block.forward = partial(_recomputed, block, block.forward)


def _recomputed(block: nn.Module, forward: Callable, *inputs: Any, **more: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs, **more)
    return checkpoint(forward, *inputs, use_reentrant=False,
                      context_fn=partial(_twice, block), **more)


def _twice(block: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Around the first pass of a block, and around the second: the same dropout."""
    drop = _falling.get()
    if drop is None or drop.generator is None:      # torch repeats its own generator
        return nullcontext(), _hooked(block, drop)
    return nullcontext(), _again(block, drop, drop.generator.get_state())


@contextmanager
def _again(block: nn.Module, drop: Dropout, state: Tensor) -> Iterator[None]:
    later = drop.generator.get_state()
    drop.generator.set_state(state)
    try:
        with _hooked(block, drop):
            yield
    finally:
        drop.generator.set_state(later)
