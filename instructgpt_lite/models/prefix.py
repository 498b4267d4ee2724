"""Scores of K responses to one prompt, which is read once: one row [prompt | y_1 | ... | y_K].

Each response sees the prompt and itself, and its positions go on from the prompt's end, so its score is
that of the row [prompt | y_k] (§3.5: all K responses of a prompt are one batch element). A plain GPT-2
attends by `attention.beside_prompt`, any other model by `Rows.sees_BSS`. `plain_scores` reads K rows
instead; all are equal.

Shapes: B prompts, K responses (of the prompt that has most), S tokens of a row, M responses in all.
"""

import torch
from torch import Tensor

from instructgpt_lite.models.sampling import Rollout, padded
from instructgpt_lite.models.trunk import Rows


def plain_scores(reward, prompts: list[list[int]],
                 responses: list[list[list[int]]]) -> tuple[Tensor, Tensor]:
    """r_BK and mask_BK, one row for each response; r is 0 where a prompt has no k-th response."""
    each = [prompt for prompt, group in zip(prompts, responses, strict=True) for _ in group]
    flat = [response for group in responses for response in group]
    return _table(reward(Rollout.of(each, flat, reward.pad, reward.eos)), responses)


def shared_prefix_scores(reward, prompts: list[list[int]],
                         responses: list[list[list[int]]]) -> tuple[Tensor, Tensor]:
    """As `plain_scores`, with one row for each prompt."""
    rows, last_M = shared_prefix_rows(prompts, responses)
    return _table(reward.at(rows.to(reward.device), last_M.to(reward.device)), responses)


def shared_prefix_rows(prompts: list[list[int]], responses: list[list[list[int]]]) -> tuple[Rows, Tensor]:
    """The rows [prompt | y_1 | ... | y_K], and the flat position of each response's last token (M)."""
    _check(prompts, responses)
    token, position, segment, last = [], [], [], []
    for prompt, group in zip(prompts, responses, strict=True):
        token.append([*prompt, *(t for response in group for t in response)])
        position.append([*range(len(prompt)),
                         *(len(prompt) + i for response in group for i in range(len(response)))])
        segment.append([0] * len(prompt) + [k for k, response in enumerate(group, 1) for _ in response])
        ends = torch.tensor([len(response) for response in group]).cumsum(0) + len(prompt)
        last.append(ends - 1)
    segment_BS = padded(segment, -1)
    rows = Rows(padded(token, 0), segment_BS >= 0, padded(position, 0), segment_BS)
    return rows, torch.cat([row * segment_BS.size(1) + last_K for row, last_K in enumerate(last)])


def _table(r_M: Tensor, responses: list[list[list[int]]]) -> tuple[Tensor, Tensor]:
    count_B = torch.tensor([len(group) for group in responses], device=r_M.device)
    mask_BK = torch.arange(int(count_B.max()), device=r_M.device) < count_B[:, None]
    return r_M.new_zeros(mask_BK.shape).masked_scatter(mask_BK, r_M), mask_BK


def _check(prompts: list[list[int]], responses: list[list[list[int]]]) -> None:
    for index, (prompt, group) in enumerate(zip(prompts, responses, strict=True)):
        if not len(prompt) or not group or not all(map(len, group)):
            raise ValueError(f"prompt {index} has {len(prompt)} tokens, its responses {[*map(len, group)]}: "
                             "each needs one at least (a response ends with EOS)")
