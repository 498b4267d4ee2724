"""The best of n answers without drawing n anew: of N answers a prompt, all count.

P prompts, N answers to each. The n that compete are drawn from the N without
replacement, and answers of equal score share their chance: the mean over all draws is
known, and unbiased for the policy (a U-statistic; Hoeffding, 1948).
"""

import numpy as np
from scipy.special import comb


def chances_of_best(score_PN: np.ndarray, n: int) -> np.ndarray:
    """(P, N): how probable it is that an answer is the best of n of the N.

        (C(N_<= , n) - C(N_<, n)) / C(N, n), shared by the answers of that score

    ValueError unless 1 <= n <= N.
    """
    N = score_PN.shape[1]
    if not 1 <= n <= N:
        raise ValueError(f"n is {n}: take 1 to {N}, the number of answers")
    below_PN, level_PN = _standing(score_PN)
    upto_PN = comb(below_PN + level_PN, n) - comb(below_PN, n)
    return upto_PN / level_PN / comb(N, n)


def best_of(score_PN: np.ndarray, value_PN: np.ndarray, n: int) -> np.ndarray:
    """value_P: what the best of n by score is worth on average; unbiased."""
    return (chances_of_best(score_PN, n) * value_PN).sum(axis=1)


def kl_of_best(score_PN: np.ndarray, n: int) -> np.ndarray:
    """kl_P: KL of the best of n from the policy, in nats, ties and repeats included.

        sum over scores s of q_s log(q_s / p_s),  q_s = P(r <= s)^n - P(r < s)^n

    Between the distributions of the scores, as answers of one score keep their shares
    (theory.surprise.best_of_n). Chances are shares of the N answers, so it is too low
    where n is near N: without ties by .003 nats at n = N / 4, by .04 at n = N.
    """
    N = score_PN.shape[1]
    below_PN, level_PN = _standing(score_PN)
    q_PN = ((below_PN + level_PN) / N) ** n - (below_PN / N) ** n
    log_ratio_PN = np.log(np.maximum(q_PN, 1e-300) / (level_PN / N))
    return (q_PN / level_PN * log_ratio_PN).sum(axis=1)


def _standing(score_PN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each answer, how many of its prompt's score less, and how many the same."""
    order_PN = np.sort(score_PN, axis=1)
    below, upto = [np.stack([np.searchsorted(order, row, side) for order, row
                             in zip(order_PN, score_PN, strict=True)])
                   for side in ("left", "right")]
    return below, upto - below
