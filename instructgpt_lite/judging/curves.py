"""Gold along the distance from the start, as Gao et al. (2022, §3.1) fit it.

d = sqrt(KL) of N policies or numbers n; R(d) is gold less that of the start.
"""

import numpy as np

BENDS = {"best of n": lambda d: d, "RL": np.log}      # R(d) = d (alpha - beta bend(d))


def fitted(d_N: np.ndarray, gain_N: np.ndarray, kind: str) -> tuple[float, float]:
    """alpha and beta of least squares; `kind` is "best of n" or "RL".

    Points at d = 0 say nothing. ValueError where fewer than two others are left.
    """
    d_N, gain_N = np.asarray(d_N, float), np.asarray(gain_N, float)
    d_N, gain_N = d_N[d_N > 0], gain_N[d_N > 0]
    if len(d_N) < 2:
        raise ValueError(f"{len(d_N)} points away from the start: a curve of two "
                         "coefficients needs two at least")
    columns_N2 = np.stack([d_N, -d_N * BENDS[kind](d_N)], axis=1)
    alpha, beta = np.linalg.lstsq(columns_N2, gain_N, rcond=None)[0]
    return float(alpha), float(beta)


def curve(d_N: np.ndarray, alpha: float, beta: float, kind: str) -> np.ndarray:
    """R(d); 0 at d = 0."""
    d_N = np.asarray(d_N, float)
    safe_N = np.where(d_N > 0, d_N, 1.0)
    return np.where(d_N > 0, safe_N * (alpha - beta * BENDS[kind](safe_N)), 0.0)


def peak(alpha: float, beta: float, kind: str) -> float:
    """The d of the highest R(d): alpha / (2 beta), or exp(alpha / beta - 1).

    inf where the curve never turns (beta <= 0).
    """
    if beta <= 0:
        return float("inf")
    if kind == "best of n":
        return alpha / (2 * beta)
    return float(np.exp(alpha / beta - 1))
