"""Prompts and responses as rows of tokens: what is sampled, read, scored and learned.

A row is prompt, response, padding, without a hole, so a token's position is its place
in the row.

Shapes: B sequences, S tokens of whole rows, T response tokens, M counted response
tokens of all rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """Prompts and responses with the log-probabilities under which those were drawn.

    token_BS: rows of prompt, response, padding. prompt_B: prompt lengths in tokens.
    mask_BT: True where a response token counts, the end included; column t is token
    prompt_B + t. logp_BT: as drawn; 0 where the mask is False. pad: what stands in
    padding, and never matters. eos: the token, or tokens, that end a response.
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

        ValueError unless each prompt has one response, and a token.
        """
        if len(prompts) != len(responses):
            raise ValueError(f"{len(prompts)} prompts but {len(responses)} responses: "
                             "give one for each")
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
        return self._with(lambda x: x[rows])

    def to(self, device: torch.device | str) -> "Rollout":
        """The same rollout on another device."""
        return self._with(lambda x: x.to(device))

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Rollout":
        return replace(self, **{name: change(x) for name, x in vars(self).items()
                                if isinstance(x, Tensor)})

    def with_end(self, eos: int) -> "Rollout":
        """The same responses, each with an EOS after its last token."""
        prompts = [row[:n].tolist() for row, n in zip(self.token_BS, self.prompt_B)]
        responses = [[*row[mask].tolist(), eos]
                     for row, mask in zip(self.response_BT, self.mask_BT)]
        return Rollout.of(prompts, responses, self.pad, eos).to(self.token_BS.device)

    @property
    def length_B(self) -> Tensor:
        """Tokens of each row up to its last counted one."""
        end_BT = (self._column(self.mask_BT) + 1) * self.mask_BT
        return self.prompt_B + end_BT.amax(dim=1)

    @property
    def real_BS(self) -> Tensor:
        """True where a token of prompt or response is, False at padding."""
        return self._column(self.token_BS) < self.length_B[:, None]

    @property
    def before_M(self) -> Tensor:
        """The flat place (in B S) before each counted token: there it is predicted."""
        row_M, column_M = self.mask_BT.nonzero(as_tuple=True)
        return row_M * self.token_BS.size(1) + self.prompt_B[row_M] + column_M - 1

    @property
    def last_B(self) -> Tensor:
        """The flat place (in B S) of each row's last counted token."""
        row_B = torch.arange(len(self), device=self.token_BS.device)
        return row_B * self.token_BS.size(1) + self.length_B - 1

    @property
    def response_BT(self) -> Tensor:
        """The response tokens, pad where the mask is False."""
        last = self.token_BS.size(1) - 1
        column_BT = self.prompt_B[:, None] + self._column(self.mask_BT)
        token_BT = self.token_BS.gather(1, column_BT.clamp(max=last))
        return token_BT.masked_fill(~self.mask_BT, self.pad)

    @property
    def ended_B(self) -> Tensor:
        """True where the last counted token is an end, False where it was cut off.

        True of all where nothing ends a response (eos is ()): they are all of a length.
        """
        if self.eos == ():
            return self.mask_BT.any(dim=1)
        token_B = self.token_BS.flatten()[self.last_B]
        end_E = torch.tensor(self.eos, device=token_B.device)
        return torch.isin(token_B, end_E) & self.mask_BT.any(dim=1)

    @staticmethod
    def _column(table: Tensor) -> Tensor:
        """The number of each column of a table."""
        return torch.arange(table.size(1), device=table.device)


def padded(rows: list[list[int]], pad: int) -> Tensor:
    """Token ids as one right-padded tensor (len(rows), longest), on the CPU."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
