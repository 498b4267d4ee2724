r"""Preferences from strengths, and the reward-model loss: InstructGPT (§3.5), eq. (1).

Bradley and Terry (1952) give each item the strength p = exp(s), and

    P(i > j) = p_i / (p_i + p_j) = sigmoid(s_i - s_j)

The reward of a response is its s. The loss is the surprise at what the labeler chose:

    loss(theta) = -1/C(K,2) E[ log sigmoid(r_theta(x, y_w) - r_theta(x, y_l)) ]

B prompts, K ranked responses to each, N items in a table of wins; no suffix: any shape.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def preference_probability(r_first: Tensor, r_second: Tensor) -> Tensor:
    """P(first preferred to second), elementwise."""
    return torch.sigmoid(r_first - r_second)


def outcome(first: Tensor | float, second: Tensor | float) -> Tensor | float:
    """1 where the first is larger, 1/2 where both are equal, else 0; elementwise."""
    return (first > second) + 0.5 * (first == second)


def reward_loss(r_BK: Tensor, rank_BK: Tensor, mask_BK: Tensor | None = None) -> Tensor:
    """Eq. (1): mean over prompts of the mean surprise over ranked pairs, a scalar.

    rank_BK: the labeler's ranks, 1 is best; equal ranks make no pair (App. C.2).
    mask_BK: False where a prompt has fewer than K responses.
    ValueError names prompts without a pair.
    """
    r_BK, prefers_BKK = _pairs(r_BK, rank_BK, mask_BK)
    margin_BKK = r_BK[:, :, None] - r_BK[:, None, :]           # r_w - r_l at [w, l]
    return _mean_over_pairs(-F.logsigmoid(margin_BKK), prefers_BKK)


def pair_accuracy(r_BK: Tensor, rank_BK: Tensor,
                  mask_BK: Tensor | None = None) -> Tensor:
    """Share of pairs in the labeler's order, averaged as in the loss; ties are half."""
    r_BK, prefers_BKK = _pairs(r_BK, rank_BK, mask_BK)
    right_BKK = outcome(r_BK[:, :, None], r_BK[:, None, :]).to(r_BK.dtype)
    return _mean_over_pairs(right_BKK, prefers_BKK)


def _pairs(r_BK: Tensor, rank_BK: Tensor,
           mask_BK: Tensor | None) -> tuple[Tensor, Tensor]:
    """r, 0 in padding, and prefers_BKK: True at [w, l] where w is ranked above l."""
    prefers_BKK = rank_BK[:, :, None] < rank_BK[:, None, :]
    if mask_BK is not None:
        r_BK = torch.where(mask_BK, r_BK, 0)
        prefers_BKK = prefers_BKK & mask_BK[:, :, None] & mask_BK[:, None, :]
    without = (~prefers_BKK.any(dim=2).any(dim=1)).nonzero().flatten().tolist()
    if without:
        raise ValueError(f"rows {without} have no pair of different ranks, so no loss: "
                         "leave them out")
    return r_BK, prefers_BKK


def _mean_over_pairs(x_BKK: Tensor, prefers_BKK: Tensor) -> Tensor:
    """Mean over each prompt's pairs, C(K,2) when nothing ties; then over prompts."""
    sum_B = torch.where(prefers_BKK, x_BKK, 0).sum(dim=(1, 2))
    return (sum_B / prefers_BKK.sum(dim=(1, 2))).mean()


def plackett_luce_logp(r_BK: Tensor, rank_BK: Tensor) -> Tensor:
    """log P of a ranking, logp_B: the best is drawn from all K, the next from the rest.

        P(order) = prod_k p_(k) / sum_{l >= k} p_(l)

    Its pairs are Bradley-Terry; eq. (1) is not its likelihood. ValueError if ranks tie.
    """
    sorted_BK, order_BK = rank_BK.sort(dim=1)
    tied = (sorted_BK.diff(dim=1) == 0).any(dim=1).nonzero().flatten().tolist()
    if tied:
        raise ValueError(f"rows {tied} have equal ranks: Plackett-Luce is a "
                         "distribution of strict rankings")
    ranked_BK = r_BK.gather(1, order_BK)
    remaining_BK = ranked_BK.flip(1).logcumsumexp(dim=1).flip(1)    # sum_{l >= k} p_(l)
    return (ranked_BK - remaining_BK).sum(dim=1)


def strengths(wins_NN: Tensor, prior: float = 0.0, sweeps: int = 10_000,
              tolerance: float = 1e-12) -> Tensor:
    """Maximum-likelihood s_N (float64, mean 0); wins_NN[i, j]: how often i beat j.

        p_i <- [sum_j w_ij p_j / (p_i + p_j)] / [sum_j w_ji / (p_i + p_j)]

    item by item (Newman, 2023, JMLR 24), until no s changes by more than the tolerance
    in a sweep. A tie may count as half a win for each. prior: imaginary wins, and as
    many losses, of each item against an opponent of s = 0; 1 is a logistic prior on s.
    Without it a finite answer exists only if wins lead from every item to every other
    (Ford, 1957); else ValueError says which items are cut off.
    """
    wins_NN = torch.as_tensor(wins_NN, dtype=torch.float64)
    _check_wins(wins_NN, prior)
    p_N = torch.ones(len(wins_NN), dtype=torch.float64)
    for _ in range(sweeps):
        before_N = p_N.clone()
        for i in range(len(p_N)):
            per_sum_N, imaginary = 1 / (p_N[i] + p_N), prior / (p_N[i] + 1)
            won = (wins_NN[i] * p_N * per_sum_N).sum() + imaginary
            lost = (wins_NN[:, i] * per_sum_N).sum() + imaginary
            p_N[i] = won / lost
        if not prior:
            p_N = p_N / p_N.log().mean().exp()
        else:                   # the prior knows the level; sweeps would creep to it
            p_N = p_N * (1 / (p_N + 1)).sum() / (p_N / (p_N + 1)).sum()
        if (p_N / before_N).log().abs().max() <= tolerance:
            return p_N.log() - p_N.log().mean()
    raise ValueError(f"strengths still move after {sweeps} sweeps: allow more, or add "
                     "a prior")


def _check_wins(wins_NN: Tensor, prior: float) -> None:
    if wins_NN.ndim != 2 or wins_NN.size(0) != wins_NN.size(1) or len(wins_NN) < 2:
        raise ValueError(f"wins has shape {tuple(wins_NN.shape)}: want (N, N) for N "
                         "items, two or more")
    if not (wins_NN.isfinite().all() and (wins_NN >= 0).all() and prior >= 0):
        raise ValueError("wins and prior are counts: finite and not negative")
    if wins_NN.diagonal().any():
        raise ValueError("the diagonal of wins must be 0: no item plays against itself")
    groups = _groups(wins_NN > 0)
    if prior or len(groups) == 1:
        return
    unbeaten = (wins_NN.sum(dim=0) == 0).nonzero().flatten().tolist()
    winless = (wins_NN.sum(dim=1) == 0).nonzero().flatten().tolist()
    reasons = [f"items {unbeaten} never lose"] if unbeaten else []
    reasons += [f"items {winless} never win"] if winless else []
    reasons = reasons or [f"between the groups {groups} all wins go one way, if there "
                          "are any"]
    raise ValueError(f"no finite strengths: {', '.join(reasons)}; add comparisons, or "
                     "a prior above 0")


def _groups(beats_NN: Tensor) -> list[list[int]]:
    """Items from each of which wins lead to every other and back."""
    reach_NN = (beats_NN | torch.eye(len(beats_NN), dtype=torch.bool)).double()
    for _ in range(len(beats_NN).bit_length()):         # a squaring doubles the paths
        reach_NN = (reach_NN @ reach_NN).clamp(max=1)
    both_ways_NN = reach_NN * reach_NN.T
    groups = {tuple(row.nonzero().flatten().tolist()) for row in both_ways_NN}
    return sorted(map(list, groups))
