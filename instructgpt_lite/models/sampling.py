"""Sampling y ~ pi(.|x) from any Hugging Face decoder.

Every row draws by inverse CDF from its own uniforms, drawn before anything else, so
neither order nor company nor the way of decoding changes what is drawn. `decode` leaves
the cache, of whatever kind, to `generate` of transformers; prompts of one length go
together, so that no row has padding.

Shapes: B sequences, R rows at once, P tokens of a prompt, S tokens so far, T response
tokens at most, V vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from instructgpt_lite.models import forward, ranks
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.objective import tempered, token_logp

ROWS = 128                           # decoded at once: what the cache must hold


class Draws:
    """Tokens of B rows as they are drawn, and their log-probs: token_BT, logp_BT."""

    def __init__(self, uniform_BT: Tensor, dtype: torch.dtype, temperature: float,
                 top_k: int) -> None:
        self.uniform_BT, self.temperature, self.top_k = uniform_BT, temperature, top_k
        self.token_BT = torch.zeros_like(uniform_BT, dtype=torch.long)
        dtype = torch.promote_types(dtype, torch.float32)
        self.logp_BT = torch.zeros_like(uniform_BT, dtype=dtype)

    def draw(self, logits_RV: Tensor, row_R: Tensor, t_R: Tensor | int) -> Tensor:
        """Token number t of each of the rows, under the logits for it."""
        logits_RV = top(logits_RV.to(self.logp_BT.dtype), self.top_k)
        p_RV = tempered(logits_RV, self.temperature).softmax(dim=-1)
        token_R = inverse_cdf(p_RV, self.uniform_BT[row_R, t_R])
        logp_1R = token_logp(logits_RV[None], token_R[None], self.temperature)
        self.token_BT[row_R, t_R] = token_R
        self.logp_BT[row_R, t_R] = logp_1R[0].to(self.logp_BT.dtype)
        return token_R


def inverse_cdf(p_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """The token where each row's cumulative probability passes its uniform, below 1."""
    cdf_BV = p_BV.cumsum(dim=-1, dtype=torch.float64)
    target_B1 = uniform_B[:, None] * cdf_BV[:, -1:]
    return torch.searchsorted(cdf_BV, target_B1, right=True)[:, 0]


def top(logits_BV: Tensor, k: int) -> Tensor:
    """The logits, all but each row's k largest at -inf; k = 0 is all, k = 1 greedy."""
    if k == 0:
        return logits_BV
    kept = logits_BV.topk(k, dim=-1)
    return torch.full_like(logits_BV, -torch.inf).scatter(-1, kept.indices, kept.values)


def decode(model: nn.Module, prompts: list[list[int]], draws: Draws,
           ends: tuple[int, ...]) -> None:
    """Draw a response to every prompt; what comes after a row's end is thrown away."""
    by_length: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(row)
    for rows in by_length.values():
        for row_R in torch.tensor(rows, device=model.device).split(ROWS):
            generate(model, prompts, draws, ends, row_R)


def generate(model: nn.Module, prompts: list[list[int]], draws: Draws,
             ends: tuple[int, ...], row_R: Tensor) -> None:
    """Rows of one length by `generate` of transformers, which takes the token drawn."""
    token_RP = torch.tensor([prompts[row] for row in row_R], device=model.device)
    P, T = token_RP.size(1), draws.token_BT.size(1)

    def only_the_drawn(token_RS: Tensor, rounded_RV: Tensor) -> Tensor:
        logits_RV = exact.pop() if exact else rounded_RV   # of what is wrapped: none
        token_R = draws.draw(logits_RV, row_R, token_RS.size(1) - P)
        return torch.full_like(rounded_RV, -torch.inf).scatter(1, token_R[:, None], 0.0)

    with undisturbed(model) as exact:
        model.generate(
            token_RP, attention_mask=torch.ones_like(token_RP), max_new_tokens=T,
            do_sample=False, use_cache=getattr(model.config, "use_cache", True),
            logits_processor=[only_the_drawn], eos_token_id=[*ends] or None,
            pad_token_id=0)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[list[Tensor]]:
    """Within, the model's generation_config (a penalty, a forced token) has no say.

    Gives the list to which each forward appends its last logits (R, V): those that
    `generate` hands on are rounded to float32.
    """
    from transformers import GenerationConfig
    exact: list[Tensor] = []
    hook = model.register_forward_hook(
        lambda model, inputs, output: exact.append(output.logits[:, -1]))
    settings, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield exact
    finally:
        hook.remove()
        model.generation_config = settings


@torch.no_grad()
def sample(model: nn.Module, prompts: list[list[int]], *, eos: int | tuple[int, ...],
           pad: int, max_new_tokens: int, temperature: float = 1.0,
           generator: torch.Generator | None = None, copies: int | list[int] = 1,
           top_k: int = 0, decode: Callable = decode) -> Rollout:
    """Draw `copies` responses to every prompt, in the order given, copies side by side.

    eos: the token, or tokens, that end a response. pad: what to put after it.
    temperature: of `theory.objective.tempered`, in the draw and in the log-probs that
    are recorded. generator: on the CPU; its state alone decides the tokens. top_k: draw
    from the k likeliest tokens only, and record their log-probs; 1 is greedy, 0 is all.
    ValueError where a prompt with max_new_tokens does not fit the model's context, or
    its ids the vocabulary.
    """
    check(model, prompts, max_new_tokens)
    counts = [copies] * len(prompts) if isinstance(copies, int) else copies
    prompts = [prompt for prompt, count in zip(prompts, counts, strict=True)
               for _ in range(count)]
    ends = (eos,) if isinstance(eos, int) else tuple(eos)
    uniform_BT = torch.rand(len(prompts), max_new_tokens, generator=generator,
                            dtype=torch.float64)
    rows = ranks.mine(torch.arange(len(prompts)))
    draws = Draws(uniform_BT[rows].to(model.device), model.dtype, temperature, top_k)
    model.eval()
    if len(rows):
        decode(model, [prompts[row] for row in rows], draws, ends)
    token_BT = ranks.together(draws.token_BT, rows, len(prompts))
    logp_BT = ranks.together(draws.logp_BT, rows, len(prompts))
    responses = [row[:next((t for t, each in enumerate(row, 1) if each in ends), None)]
                 for row in token_BT.tolist()]         # the first end is part of it
    rollout = Rollout.of(prompts, responses, pad, eos).to(model.device)
    logp_BT = logp_BT[:, :rollout.mask_BT.size(1)]
    return replace(rollout, logp_BT=logp_BT.masked_fill(~rollout.mask_BT, 0))


def check(model: nn.Module, prompts: list[list[int]], max_new_tokens: int) -> None:
    """ValueError unless each prompt has a token, room for a response and known ids."""
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}: ask for one at least")
    context = forward.context(model)
    V = model.get_input_embeddings().num_embeddings
    if not prompts or not all(map(len, prompts)):
        raise ValueError("no prompt, or one without tokens: give each one token at "
                         "least (EOS will do)")
    for index, prompt in enumerate(prompts):
        total = len(prompt) + max_new_tokens
        if total > context:
            raise ValueError(f"prompt {index}: {len(prompt)} tokens + {max_new_tokens} "
                             f"new ones = {total}, {total - context} more than the "
                             f"model's context of {context}: shorten one")
        wrong = [token for token in prompt if not 0 <= token < V]
        if wrong:
            raise ValueError(f"prompt {index}: token id {wrong[0]} is outside the "
                             f"vocabulary of {V}: encode with the model's own "
                             "tokenizer")
