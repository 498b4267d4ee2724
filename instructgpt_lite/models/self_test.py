"""Which road reads a model right, tried on random tokens when the model is handed in.

No list of architectures says what a mask, a cache or a padded row does to a model, so
it is tried. Plainly (`forward`, and `sampling.decode` by its log-probs): the same
twice, alone and in company, whatever comes later. A model that fails is refused, since
no road is right. Then as `fast` does it: where that is wrong, the road is plain.

Rows are longer than every window (sliding, chunked, local) that the configuration names
up to TRIED tokens. Rows longer than a larger one always go the plain road, where window
and cache are those of transformers.

Shapes: B rows, S places, T tokens drawn, M counted ones of all rows, D width, V
vocabulary, X what is read at a place.
"""

import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from instructgpt_lite.models import forward, sampling
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.objective import token_logp

TRIED = 256                          # tokens: larger windows are too dear to try
DRAWN = 6                            # fewer let two wrong caches pass
TOLERANCE = 3e-4                     # standard deviations; rounding 1e-5, faults 4e-3
HALF = 0.25                          # the same in 16 bits, which round by that much
CANNOT = (AttributeError, TypeError, ValueError, RuntimeError, LookupError,
          AssertionError)            # what models raise at a mask or cache not theirs


@torch.no_grad()
def policy_road(model: nn.Module, fast: ModuleType | None) -> int:
    """The longest row, in tokens, that `fast` decodes right: UNLIMITED, or 0 for none.

    ValueError where not even the plain road is right for this model.
    """
    if fast and fast.is_plain(model):              # which the tests hold to account
        return forward.UNLIMITED
    refuse_unless_causal(model, forward.logits)
    off = decoding_error(model, sampling.decode, longest(model))
    if not off < tolerance(model):
        raise ValueError(
            f"{type(model).__name__} draws from its cache under other probabilities "
            f"than it gives to whole rows (off by {off:.2g} standard deviations of its "
            "logits): set config.use_cache = False, which is slower and always right")
    return fast_up_to(model, decoding_error, fast and fast.decode)


@torch.no_grad()
def scalar_road(model: nn.Module, fast: ModuleType | None) -> int:
    """The longest row of a prompt and all its responses that `fast` reads right."""
    if fast and fast.is_plain(model):
        return forward.UNLIMITED
    refuse_unless_causal(model, forward.states)
    return fast_up_to(model, prefix_error, fast and fast.prefix_states)


def refuse_unless_causal(model: nn.Module, read: Callable) -> None:
    """ValueError unless what is read at a token is decided by the tokens up to it."""
    kind = type(model).__name__
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(f"{kind} is an encoder-decoder, which reads prompt and "
                         "response in two networks: choose a decoder")
    (row,) = random_rows(model, longest(model))
    short, same = row[:5], len(row) * 2 // 3
    changed = [*row[:same], *reversed(row[same - 1:-1])]
    try:
        read_BSX = read_rows(model, read, [row, short, changed])
        again_BSX = read_rows(model, read, [row, short, changed])
        alone_SX = read_rows(model, read, [short])[0]
    except CANNOT as error:
        raise ValueError(f"{kind} cannot be read as a causal language model ({error}): "
                         "choose one that makes text from text alone") from error
    if not read_BSX.isfinite().all():
        raise ValueError(f"{kind} gives numbers that are not finite: its weights are "
                         f"damaged, or too large for {model.dtype}")
    found = {
        "gives other numbers when it reads the same again": far(again_BSX, read_BSX),
        "lets a token see those after it, so it is no causal language model":
            max(far(read_BSX[2, :same], read_BSX[0, :same]),
                far(read_BSX[1, :5], read_BSX[0, :5])),
        "reads a row otherwise in company of longer ones":
            far(alone_SX, read_BSX[1, :5])}
    for what, off in found.items():
        if not off < tolerance(model):
            raise ValueError(f"{kind} {what} (off by {off:.2g} standard deviations): "
                             "choose another model")


def fast_up_to(model: nn.Module, error: Callable, road: Callable | None) -> int:
    """The longest row for which a road, if there is one, has no `error`; else 0."""
    named = windows(model.config)
    smallest = min((w for w in named if w <= TRIED), default=0)
    untried = min((w for w in named if w > TRIED), default=forward.UNLIMITED)
    for tokens, limit in (longest(model), untried), (smallest, smallest):
        try:
            if road and tokens > 12 and error(model, road, tokens) < tolerance(model):
                return limit
        except CANNOT:
            continue
    return 0


def decoding_error(model: nn.Module, decode: Callable, tokens: int) -> float:
    """How far the log-probs that `decode` draws under are from those of whole rows."""
    row, short = random_rows(model, tokens - DRAWN, 4)
    prompts = [row, short, row[::-1]]
    random = torch.Generator().manual_seed(1)
    uniform_BT = torch.rand(3, DRAWN, dtype=torch.float64, generator=random)
    draws = sampling.Draws(uniform_BT.to(model.device), model.dtype, 1.0, top_k=0)
    decode(model, prompts, draws, ends=())
    whole = Rollout.of(prompts, draws.token_BT.tolist(), pad=0, eos=()).to(model.device)
    logits_MV = forward.logits(model, whole.token_BS, whole.real_BS, whole.before_M)
    logits_MV = logits_MV.float()
    logp_M = token_logp(logits_MV[None], draws.token_BT.view(1, -1))[0]
    return float((draws.logp_BT.flatten() - logp_M).abs().max() / logits_MV.std())


def prefix_error(model: nn.Module, prefix_states: Callable, tokens: int) -> float:
    """How far states of responses that share a prompt are from those of a row each."""
    row, short = random_rows(model, tokens, 9)
    prompts = [row[:-6], short[:3]]
    groups = [[row[-6:-4], row[-4:-1], row[-1:]], [short[3:5], short[5:]]]
    each = [(prompt, y) for prompt, group in zip(prompts, groups) for y in group]
    rows = Rollout.of(*zip(*each), pad=0, eos=()).to(model.device)
    last_BD = forward.states(model, rows.token_BS, rows.real_BS, rows.last_B).float()
    return far(prefix_states(model, prompts, groups), last_BD)


@torch.no_grad()
def read_rows(model: nn.Module, read: Callable, rows: list[list[int]]) -> Tensor:
    """What `read` finds at every place (B, S, X) of rows of unequal length."""
    found = Rollout.of(rows, [[]] * len(rows), pad=0, eos=()).to(model.device)
    every_M = torch.arange(found.token_BS.numel(), device=model.device)
    read_MX = read(model, found.token_BS, found.real_BS, every_M)
    return read_MX.view(*found.token_BS.shape, -1).float()


def far(a: Tensor, b: Tensor) -> float:
    """The largest distance of a from b, in standard deviations of b."""
    return float((a - b).abs().max() / b.std())


def tolerance(model: nn.Module) -> float:
    """Standard deviations that two right ways to compute may differ by."""
    return HALF if model.dtype.itemsize < 4 else TOLERANCE


def longest(model: nn.Module) -> int:
    """Tokens of the row to try: over every window up to TRIED, within the context."""
    tried = [w + 10 for w in windows(model.config) if w <= TRIED]
    return min(max([24, *tried]), forward.context(model))


def windows(config: Any) -> list[int]:
    """Tokens in what a configuration, or one in it, calls a window, chunk or local."""
    text = json.dumps(config.to_dict(), default=str)
    named = re.findall(r'"\w*(?:window|chunk|local)\w*": (\d+)[,}]', text)
    return [int(tokens) for tokens in named if int(tokens) > 1]


def random_rows(model: nn.Module, *lengths: int) -> list[list[int]]:
    """The same rows for the same vocabulary."""
    random = torch.Generator().manual_seed(0)
    V = model.get_input_embeddings().num_embeddings
    return [torch.randint(V, (n,), generator=random).tolist() for n in lengths]
