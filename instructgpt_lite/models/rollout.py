"""Prompts and responses as rows of tokens: what is sampled, read, scored and learned from.

A row is prompt, response, padding, without a hole, so a token's position is its place in the row.

Shapes: B sequences, S tokens of whole rows, T response tokens, M counted response tokens of all rows.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """Prompts and responses with the log-probabilities under which the responses were drawn.

    token_BS: rows of prompt, response, padding. prompt_B: prompt lengths in tokens.
    mask_BT: True where a response token counts, the end included; column t is token prompt_B + t.
    logp_BT: as drawn; 0 where the mask is False.
    pad: what stands in padding, and never matters. eos: the token, or tokens, that end a response.
    """

    token_BS: Tensor
    prompt_B: Tensor
    mask_BT: Tensor
    logp_BT: Tensor
    pad: int
    eos: int | tuple[int, ...]

    @classmethod
    def of(cls, prompts: list[list[int]], responses: list[list[int]], pad: int,
           eos: int | tuple[int, ...]) -> "Rollout":
        """A rollout of given responses, on the CPU; its log-probabilities are 0.

        ValueError unless there is one response to each prompt, and a token in each prompt.
        """
        if len(prompts) != len(responses):
            raise ValueError(f"{len(prompts)} prompts but {len(responses)} responses: give one for each")
        empty = [row for row, prompt in enumerate(prompts) if not len(prompt)]
        if empty or not prompts:
            raise ValueError(f"prompt {empty[0] if empty else 0} has no tokens: "
                             "give it one (EOS will do)")
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
        end_BT = self._column(self.mask_BT, first=1) * self.mask_BT
        return self.prompt_B + end_BT.amax(dim=1)

    @property
    def real_BS(self) -> Tensor:
        """True where a token of prompt or response is, False at padding."""
        return self._column(self.token_BS) < self.length_B[:, None]

    @property
    def before_M(self) -> Tensor:
        """The flat place in (B S) before every counted response token: there it is predicted."""
        row_M, column_M = self.mask_BT.nonzero(as_tuple=True)
        return row_M * self.token_BS.size(1) + self.prompt_B[row_M] + column_M - 1

    @property
    def response_BT(self) -> Tensor:
        """The response tokens, pad where the mask is False."""
        column_BT = self.prompt_B[:, None] + self._column(self.mask_BT)
        token_BT = self.token_BS.gather(1, column_BT.clamp(max=self.token_BS.size(1) - 1))
        return token_BT.masked_fill(~self.mask_BT, self.pad)

    @property
    def ended_B(self) -> Tensor:
        """True where the last counted token is an end, False where the response was cut off."""
        last_B = self.token_BS.gather(1, self.length_B[:, None] - 1)[:, 0]
        return torch.isin(last_B, torch.tensor(self.eos, device=last_B.device)) & self.mask_BT.any(dim=1)

    @staticmethod
    def _column(table: Tensor, first: int = 0) -> Tensor:
        """The number of each column of a table, from `first` on."""
        return torch.arange(first, first + table.size(1), device=table.device)


def padded(rows: list[list[int]], pad: int) -> Tensor:
    """Lists of token ids as one right-padded tensor (len(rows), longest), on the CPU."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
