"""Sampling y ~ pi(.|x) with a key-value cache, and the rollout that comes of it.

A row is prompt, response, padding, without a hole: a token's position is its place in the row and in
the cache. Prompts go in order of length, chunk by chunk; copies of a prompt are read once; a row that
has ended gives its place in the cache to the last one. Every row draws by inverse CDF from its own
uniforms, drawn before anything else, so neither order nor company changes what is drawn.

Shapes: B sequences, S tokens of whole rows, T response tokens, V vocabulary.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from instructgpt_lite.models.decoding import Cache, read, step
from instructgpt_lite.models.trunk import Rows
from instructgpt_lite.theory.objective import tempered, token_logp

GROUP = 16    # prompts read at once: their activations stay in a core's second-level cache


@dataclass(frozen=True)
class Rollout:
    """Prompts and responses with the log-probabilities under which the responses were drawn.

    token_BS: rows of prompt, response, padding. prompt_B: prompt lengths in tokens.
    mask_BT: True where a response token counts, EOS included; column t is token prompt_B + t.
    logp_BT: as drawn; 0 where the mask is False.
    """

    token_BS: Tensor
    prompt_B: Tensor
    mask_BT: Tensor
    logp_BT: Tensor
    pad: int
    eos: int

    @classmethod
    def of(cls, prompts: list[list[int]], responses: list[list[int]], pad: int, eos: int) -> "Rollout":
        """A rollout of given responses; its log-probabilities are 0."""
        if len(prompts) != len(responses):
            raise ValueError(f"{len(prompts)} prompts but {len(responses)} responses: give one for each")
        empty = [row for row, prompt in enumerate(prompts) if not len(prompt)]
        if empty or not prompts:
            raise ValueError(f"prompt {empty[0] if empty else 0} has no tokens: give it one (EOS will do)")
        token_BS = padded([[*x, *y] for x, y in zip(prompts, responses)], pad)
        length_B = torch.tensor([len(y) for y in responses])
        mask_BT = torch.arange(max(1, int(length_B.max()))) < length_B[:, None]
        return cls(token_BS, torch.tensor([len(x) for x in prompts]), mask_BT,
                   torch.zeros(mask_BT.shape), pad, eos)

    def __len__(self) -> int:
        return len(self.token_BS)

    def __getitem__(self, rows: Tensor | slice | list[int]) -> "Rollout":
        """The rows picked by an index tensor, a list or a slice."""
        return replace(self, token_BS=self.token_BS[rows], prompt_B=self.prompt_B[rows],
                       mask_BT=self.mask_BT[rows], logp_BT=self.logp_BT[rows])

    def to(self, device: torch.device | str) -> "Rollout":
        """The same rollout on another device."""
        tensors = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **tensors)

    @property
    def length_B(self) -> Tensor:
        """Tokens of each row up to its last counted one."""
        end_BT = torch.arange(1, self.mask_BT.size(1) + 1, device=self.mask_BT.device) * self.mask_BT
        return self.prompt_B + end_BT.amax(dim=1)

    @property
    def rows(self) -> Rows:
        """What the models read."""
        column_S = torch.arange(self.token_BS.size(1), device=self.token_BS.device)
        return Rows(self.token_BS, column_S < self.length_B[:, None])

    @property
    def response_BT(self) -> Tensor:
        """The response tokens, pad where the mask is False."""
        column_BT = self.prompt_B[:, None] + torch.arange(self.mask_BT.size(1), device=self.mask_BT.device)
        token_BT = self.token_BS.gather(1, column_BT.clamp(max=self.token_BS.size(1) - 1))
        return token_BT.masked_fill(~self.mask_BT, self.pad)

    @property
    def ended_B(self) -> Tensor:
        """True where the last counted token is EOS, False where the response was cut off."""
        last_B = self.token_BS.gather(1, self.length_B[:, None] - 1)[:, 0]
        return (last_B == self.eos) & self.mask_BT.any(dim=1)


def padded(rows: list[list[int]], pad: int) -> Tensor:
    """Lists of token ids as one right-padded tensor (len(rows), longest)."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])


def inverse_cdf(p_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """The token where each row's cumulative probability passes its uniform in [0, 1)."""
    cdf_BV = p_BV.cumsum(dim=-1, dtype=torch.float64)
    return torch.searchsorted(cdf_BV, uniform_B[:, None] * cdf_BV[:, -1:], right=True)[:, 0]


def top(logits_BV: Tensor, k: int) -> Tensor:
    """The logits with all but each row's k largest at -inf; k = 0 changes nothing, k = 1 is greedy."""
    if k == 0:
        return logits_BV
    kept = logits_BV.topk(k, dim=-1)
    return torch.full_like(logits_BV, -torch.inf).scatter(-1, kept.indices, kept.values)


@torch.no_grad()
def sample(model: nn.Module, prompts: list[list[int]], *, eos: int, pad: int, max_new_tokens: int,
           temperature: float = 1.0, generator: torch.Generator | None = None,
           copies: int | list[int] = 1, top_k: int = 0, places: int = 128) -> Rollout:
    """Draw `copies` responses to every prompt, in the order given, copies of one prompt side by side.

    temperature: of `theory.objective.tempered`, in the draw and in the log-probs that are recorded.
    generator: on the CPU; its state alone decides the tokens, whatever `places` is.
    top_k: draw from the k likeliest tokens only, with log-probs of that law; 1 is greedy, 0 is all.
    places: rows decoded side by side; a row that ends makes room for the next.
    Raises ValueError where a prompt and max_new_tokens do not fit the model's context.
    """
    _check(model, prompts, max_new_tokens)
    model.eval()
    counts = [copies] * len(prompts) if isinstance(copies, int) else copies
    prompts = [prompt for prompt, count in zip(prompts, counts, strict=True) for _ in range(count)]
    device, shape = model.device, (len(prompts), max_new_tokens)
    uniform_BT = torch.rand(shape, generator=generator, dtype=torch.float64).to(device)
    token_BT = torch.full(shape, eos, device=device)
    logp_BT = torch.zeros(shape, device=device, dtype=model.dtype)
    length_B = torch.tensor([len(prompt) for prompt in prompts], device=device)
    cache = Cache(places, int(length_B.max()) + max_new_tokens)
    waiting = _groups(prompts, places)
    row_A, t_A, logits_AV = length_B[:0], length_B[:0], logp_BT.new_zeros(0, model.config.vocab_size)
    while waiting or len(row_A):
        while waiting and len(row_A) + len(waiting[-1]) <= places:
            group = waiting.pop()
            new_RV = _read(model, [prompts[row] for row in group], cache, start=len(row_A))
            logits_AV = torch.cat([logits_AV, new_RV])
            row_A = torch.cat([row_A, torch.tensor(group, device=device)])
            t_A = torch.cat([t_A, torch.zeros_like(row_A[len(t_A):])])
        token_A, logp_A = _draw(top(logits_AV, top_k), uniform_BT[row_A, t_A], temperature)
        token_BT[row_A, t_A], logp_BT[row_A, t_A] = token_A, logp_A
        stay_A = cache.close_ranks((token_A != eos) & (t_A + 1 < max_new_tokens))
        row_A, t_A, token_A = row_A[stay_A], t_A[stay_A], token_A[stay_A]
        logits_AV = step(model, token_A, cache.at(length_B[row_A] + t_A)) if len(row_A) else logits_AV[:0]
        t_A = t_A + 1
    return _rollout(prompts, token_BT.tolist(), logp_BT, pad, eos)


def _draw(logits_BV: Tensor, uniform_B: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """One token a row, and its log-prob."""
    token_B = inverse_cdf(tempered(logits_BV, temperature).softmax(dim=-1), uniform_B)
    return token_B, token_logp(logits_BV[:, None], token_B[:, None], temperature)[:, 0]


def _rollout(prompts: list, tokens: list[list[int]], logp_BT: Tensor, pad: int, eos: int) -> Rollout:
    ended = [row[:row.index(eos) + 1] if eos in row else row for row in tokens]
    rollout = Rollout.of(prompts, ended, pad, eos).to(logp_BT.device)
    return replace(rollout, logp_BT=logp_BT[:, :rollout.mask_BT.size(1)])


def _groups(prompts: list[list[int]], places: int) -> list[list[int]]:
    """Rows to read together, the shortest last; all rows of one prompt in one group, if places allow."""
    groups: list[list[int]] = []
    for row in sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), prompts[row])):
        same = groups and prompts[groups[-1][-1]] == prompts[row]
        if groups and len(groups[-1]) < (places if same else min(GROUP, places)):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _read(model: nn.Module, prompts: list[list[int]], cache: Cache, start: int) -> Tensor:
    """Logits (R, V) after each prompt, read into the places from `start` on; equal prompts are read once."""
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    parent_R: Tensor | slice = slice(None)
    if len(distinct) < len(prompts):
        index = {prompt: i for i, prompt in enumerate(distinct)}
        parent_R = torch.tensor([index[tuple(prompt)] for prompt in prompts], device=model.device)
    length_U = torch.tensor([len(prompt) for prompt in distinct])
    rows = Rows(padded(distinct, 0), torch.arange(int(length_U.max())) < length_U[:, None]).to(model.device)
    return read(model, rows, cache.reading(start, start + len(prompts), parent_R))[parent_R]


def _check(model: nn.Module, prompts: list[list[int]], max_new_tokens: int) -> None:
    context, V = model.config.max_position_embeddings, model.config.vocab_size
    if not prompts or not all(map(len, prompts)):
        raise ValueError("no prompt, or one without tokens: give each one token at least (EOS will do)")
    for index, prompt in enumerate(prompts):
        total = len(prompt) + max_new_tokens
        if total > context:
            raise ValueError(f"prompt {index}: {len(prompt)} tokens + {max_new_tokens} new ones = {total}, "
                             f"{total - context} more than the model's context of {context}: shorten one")
        wrong = [token for token in prompt if not 0 <= token < V]
        if wrong:
            raise ValueError(f"prompt {index}: token id {wrong[0]} is outside the vocabulary of {V}: "
                             "encode with the model's own tokenizer")
