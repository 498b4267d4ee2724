r"""Information, relative surprise (KL), its estimators, and what KL allows at best.

    surprise            I(x)        = -log p(x)
    entropy             H(p)        = E_p[-log p]
    cross-entropy       H(p, q)     = E_p[-log q]             = H(p) + KL(p || q)
    relative surprise   KL(p || q)  = E_p[log p - log q]      >= 0, and 0 only if p = q
    optimum of          E_pi[r] - beta KL(pi || ref):   pi* = ref exp(r / beta) / Z

In nats. Distributions are log-probabilities over the last dimension, in shape (..., V)
for a vocabulary V; no suffix means any shape. An outcome of probability 0 adds nothing
under the distribution that gives it 0, and an infinite surprise under another.
"""

import math

import torch
from torch import Tensor


def surprise(p: Tensor) -> Tensor:
    """-log p in nats, elementwise: 0 for the certain, inf for the impossible."""
    return -torch.log(p)


def bits(nats: Tensor) -> Tensor:
    """Nats as bits: one bit is the surprise of a fair coin, log 2 nats."""
    return nats / math.log(2)


def expectation(logp: Tensor, x: Tensor) -> Tensor:
    """E_p[x] over the last dimension; where p = 0, x may be anything, even nan."""
    p = logp.exp()
    return (p * torch.where(p > 0, x, 0)).sum(dim=-1)


def entropy(logp: Tensor) -> Tensor:
    """H(p): the mean surprise of the one who knows p. Shape (..., V) to (...)."""
    return expectation(logp, -logp)


def cross_entropy(logp: Tensor, logq: Tensor) -> Tensor:
    """H(p, q): the mean surprise of the one who believes q while p is true."""
    return expectation(logp, -logq)


def relative_surprise(logp: Tensor, logq: Tensor) -> Tensor:
    """KL(p || q): the surprise that believing q costs while p is true; exact."""
    return expectation(logp, logp - logq)


# Estimates of KL(policy || reference) from samples *of the policy* (Schulman, 2020,
# "Approximating KL divergence"), elementwise.

def k1(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """log(pi / ref): unbiased; a sample may be negative. The penalty in eq. (2)."""
    return logp - ref_logp


def k2(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """log(pi / ref)^2 / 2: biased; as a loss, its expected *gradient* is KL's."""
    return (logp - ref_logp).square() / 2


def k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """ref / pi - 1 - log(ref / pi) >= 0; unbiased if pi excludes nothing of ref."""
    log_ratio = ref_logp - logp
    return torch.expm1(log_ratio) - log_ratio


def regularised_reward(logp: Tensor, ref_logp: Tensor, r: Tensor,
                       beta: float) -> Tensor:
    """J(pi) = E_pi[r] - beta KL(pi || ref), eq. (2) for a prompt. (..., V) to (...)."""
    return expectation(logp, r) - beta * relative_surprise(logp, ref_logp)


def optimum(ref_logp: Tensor, r: Tensor, beta: float) -> Tensor:
    """log pi* of highest J: the reference, reweighted by exp(r / beta). (..., V)."""
    return torch.log_softmax(_tilted(ref_logp, r, beta), dim=-1)


def optimum_value(ref_logp: Tensor, r: Tensor, beta: float) -> Tensor:
    """J(pi*) = beta log Z; any other has beta KL(pi || pi*) less. (..., V) to (...)."""
    return beta * torch.logsumexp(_tilted(ref_logp, r, beta), dim=-1)


def _tilted(ref_logp: Tensor, r: Tensor, beta: float) -> Tensor:
    if beta <= 0:
        raise ValueError(f"beta is {beta}: only above 0 does the penalty leave a "
                         "single best policy")
    return ref_logp + r / beta


def best_of_n_bound(n: Tensor) -> Tensor:
    """log n - (n - 1) / n: KL of the best of n at most; exact if no rewards tie.

    Beirami et al. (2024), arXiv 2401.01879.
    """
    return torch.log(n) - (n - 1) / n


def best_of_n(ref_logp: Tensor, r: Tensor, n: int) -> Tensor:
    """log P that y is kept of n samples of ref: the best, ties by lot. (V,) to (V,).

        ref(y) (P(r <= r_y)^n - P(r < r_y)^n) / P(r = r_y)        -inf where ref gives 0
    """
    below_V = (ref_logp.exp() * (r < r[:, None])).sum(dim=-1)
    level_V = (ref_logp.exp() * (r == r[:, None])).sum(dim=-1)
    share_V = ((below_V + level_V) ** n - below_V ** n) / level_V
    return torch.where(ref_logp > -torch.inf, ref_logp + share_V.log(), -torch.inf)


# Sequences of T words. Their distribution is a list of T tensors of next-word
# log-probabilities, one for every prefix: shapes (V,), (V, V), ... A word that ends the
# sequence is followed by itself with probability 1.

def sequence_logp(steps: list[Tensor]) -> Tensor:
    """log p of every sequence: log p(y) = sum_t log p(y_t | y_<t). Shape (V,) * T."""
    logp = torch.zeros_like(steps[0][..., 0])
    for step in steps:
        logp = logp[..., None] + step
    return logp


def token_relative_surprises(steps: list[Tensor], ref_steps: list[Tensor]) -> Tensor:
    """E_{y_<t ~ p}[KL(p(.|y_<t) || ref(.|y_<t))], (T,): sum is the sequences' KL."""
    each, prefix_logp = [], torch.zeros_like(steps[0][..., 0])
    for step, ref_step in zip(steps, ref_steps, strict=True):
        kl = relative_surprise(step, ref_step)
        each.append(expectation(prefix_logp.flatten(), kl.flatten()))
        prefix_logp = prefix_logp[..., None] + step
    return torch.stack(each)
