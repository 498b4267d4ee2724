import math

import pytest
import torch

from instructgpt_lite.models.attention import beside_prompt, by_length, in_a_square

HEADS, WIDTH = 2, 6


def ragged(lengths: list[int]) -> torch.Tensor:
    """real_BS of right-padded rows."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def one_row(qkv: torch.Tensor) -> torch.Tensor:
    """Causal attention of one row (n, 3D), head by head and query by query."""
    out = torch.zeros(len(qkv), WIDTH, dtype=qkv.dtype)
    for head in range(HEADS):
        size = WIDTH // HEADS
        q, k, v = (qkv[:, part * WIDTH + head * size:part * WIDTH + (head + 1) * size] for part in range(3))
        for t in range(len(qkv)):
            weight = (k[:t + 1] @ q[t] / math.sqrt(size)).softmax(dim=0)
            out[t, head * size:(head + 1) * size] = weight @ v[:t + 1]
    return out


@pytest.mark.parametrize("lengths", [[3], [1, 1], [4, 2, 5, 1], list(range(1, 40))])
def test_grouped_by_length_or_in_a_square_each_row_attends_to_itself_alone(lengths):
    real_BS = ragged(lengths)
    torch.manual_seed(0)
    qkv = torch.randn(sum(lengths), 3 * WIDTH, dtype=torch.float64)
    wanted = torch.cat([one_row(part) for part in qkv.split(lengths)])
    real_N, rank, attend = by_length(real_BS, HEADS)
    assert real_N.tolist() == real_BS.flatten().nonzero()[:, 0].tolist()
    assert rank[real_N].tolist() == list(range(len(real_N)))
    assert torch.allclose(attend(0, qkv), wanted, rtol=1e-12, atol=1e-12)
    places, _, attend = in_a_square(real_BS, HEADS, None)
    padded = torch.zeros(real_BS.numel(), 3 * WIDTH, dtype=torch.float64).index_copy(0, real_N, qkv)
    square = torch.zeros(real_BS.numel(), WIDTH, dtype=torch.float64).index_copy(0, places, attend(0, padded[places]))
    assert torch.allclose(square[real_N], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lengths", [[(2, [3, 3])], [(1, [1])], [(4, [2, 1, 3]), (1, [2]), (3, [1, 4])]])
def test_a_response_attends_as_in_a_row_of_its_prompt_and_itself(lengths):
    segments = [[0] * p + [k for k, r in enumerate(group, 1) for _ in range(r)] for p, group in lengths]
    widest = max(map(len, segments))
    segment_BS = torch.tensor([segment + [-1] * (widest - len(segment)) for segment in segments])
    torch.manual_seed(0)
    qkv = torch.randn(sum(map(len, segments)), 3 * WIDTH, dtype=torch.float64)
    wanted, rows = [], iter(qkv.split([size for p, group in lengths for size in (p, *group)]))
    for p, group in lengths:
        prompt = next(rows)
        wanted += [one_row(prompt), *(one_row(torch.cat([prompt, next(rows)]))[p:] for _ in group)]
    real_N, rank, attend = beside_prompt(segment_BS, HEADS)
    assert real_N.tolist() == (segment_BS >= 0).flatten().nonzero()[:, 0].tolist()
    assert rank[real_N].tolist() == list(range(len(real_N)))
    assert torch.allclose(attend(0, qkv), torch.cat(wanted), rtol=1e-12, atol=1e-12)
