r"""What a comparison tells about strengths: information, ties, cycles, best of K, Elo.

In the notation of `bradley_terry`: s_N strengths of N items, r_BK rewards of K
responses to each of B prompts, margin = s_i - s_j. No suffix means any shape.
"""

import math

import torch
from torch import Tensor

ELO_PER_NAT = 400 / math.log(10)         # 400 points are odds of ten to one (Elo, 1978)


def information(s_N: Tensor, games_NN: Tensor) -> Tensor:
    """Fisher information about s_N in games_NN[i, j] = games_NN[j, i] games of i and j.

        -n_ij P(i > j) P(j > i) off the diagonal, and rows that sum to 0

    Its pseudo-inverse is the covariance of the fitted s (mean 0) when games are many.
    """
    win_NN = torch.sigmoid(s_N[:, None] - s_N[None, :])
    spread_NN = games_NN * win_NN * win_NN.T            # variance of the number of wins
    return spread_NN.sum(dim=1).diag() - spread_NN


def threshold_ties(margin: Tensor, threshold: float) -> Tensor:
    """P(win), P(tie), P(loss): less than the threshold ties (Rao and Kupper, 1967)."""
    win, loss = torch.sigmoid(margin - threshold), torch.sigmoid(-margin - threshold)
    return torch.stack([win, 1 - win - loss, loss], dim=-1)


def shared_ties(margin: Tensor, weight: float) -> Tensor:
    """P(win), P(tie), P(loss) as p_i, weight sqrt(p_i p_j), p_j (Davidson, 1970)."""
    tie = torch.full_like(margin, math.log(weight))
    return torch.stack([margin / 2, tie, -margin / 2], dim=-1).softmax(dim=-1)


def circular_triads(beats_NN: Tensor) -> int:
    """How many trios go round, i over j over k over i, where every two items met once.

        C(N,3) - sum_i C(wins_i, 2)

    A trio that does not go round has one item that beats both others (Kendall and
    Babington Smith, 1940).
    """
    wins_N, items = beats_NN.sum(dim=1), len(beats_NN)
    off_diagonal_NN = 1 - torch.eye(items, dtype=beats_NN.dtype)
    if not torch.equal(beats_NN + beats_NN.T, off_diagonal_NN):
        raise ValueError("beats must say of every two items which one won: 1 there, 0 "
                         "across and on the diagonal")
    return math.comb(items, 3) - int((wins_N * (wins_N - 1) / 2).sum())


def best_of_K_logp(r_BK: Tensor, rank_BK: Tensor) -> Tensor:
    """log P that the response of rank 1 is named the best of K, logp_B: a softmax.

    The first factor of Plackett-Luce, and the loss of Ziegler et al. (2019, eq. 1), who
    had K = 4. ValueError unless one response alone has rank 1.
    """
    best_BK = rank_BK == 1
    if not (best_BK.sum(dim=1) == 1).all():
        raise ValueError("every row needs exactly one response of rank 1")
    return r_BK.log_softmax(dim=1)[best_BK]


def worth_in_pairs(K: int) -> dict[str, float]:
    """What a ranking of K equally strong responses tells, in independent pairs of them.

        counted        K(K-1)/2
        eq. (1)        3/(K+1) of that: the wins of one response have the variance
                       (K^2-1)/12 in a ranking, (K-1)/4 in independent pairs
        Plackett-Luce  2 (K - 1 - 1/2 - ... - 1/K), the most that a ranking has
        best of K      2 (1 - 1/K): only which one is best
    """
    pairs, harmonic = K * (K - 1) / 2, sum(1 / k for k in range(1, K + 1))
    return {"counted": pairs, "eq. (1)": 3 * pairs / (K + 1),
            "Plackett-Luce": 2 * (K - harmonic), "best of K": 2 * (1 - 1 / K)}


def elo_update(rating_N: Tensor, winner: int, loser: int, k: float = 32.0) -> Tensor:
    """Ratings after one game: k (1 - P(win)) points go from the loser to the winner.

    A step of stochastic gradient descent on the surprise at the result, of size
    k / ELO_PER_NAT in nats (Elo, 1978).
    """
    unexpected = torch.sigmoid((rating_N[loser] - rating_N[winner]) / ELO_PER_NAT)
    after_N = rating_N.clone()
    after_N[winner] += k * unexpected
    after_N[loser] -= k * unexpected
    return after_N
