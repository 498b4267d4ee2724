"""The formulas once more, as slow and plain as can be: loops over lists of floats.

Tests hold the package to them, and the checks hold a student's function to them. Each
takes nested lists or tensors (a tensor becomes a list) and returns floats or lists of
floats. Masked places are skipped by `if`, so what is there is never read.
"""

import math
from statistics import fmean
from typing import Any

Numbers = Any                       # lists or a tensor, of one to three dimensions
Row = list[float]
Rows = list[Row]


def _lists(*tables: Numbers) -> list[list]:
    return [table.tolist() if hasattr(table, "tolist") else table for table in tables]


def _places(mask: list) -> list[tuple[int, int]]:
    """(row, column) of every counted token."""
    return [(b, t) for b, row in enumerate(mask) for t, counts in enumerate(row)
            if counts]


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), by the branch that does not overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x: float) -> float:
    """log(1 + exp(x)) = -log sigmoid(-x), by the branch that does not overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(x: Row) -> float:
    """log of the sum of exp(x), with the largest taken out so that exp stays finite."""
    return max(x) + math.log(sum(math.exp(each - max(x)) for each in x))


def masked_mean(x: Numbers, mask: Numbers) -> float:
    """Mean over the places where the mask is True."""
    x, mask = _lists(x, mask)
    return fmean(x[b][t] for b, t in _places(mask))


def kl(logp: Numbers, logq: Numbers) -> float:
    """sum p (log p - log q), nats; infinite if q excludes what p allows."""
    both = zip(*_lists(logp, logq), strict=True)
    return sum(math.exp(lp) * (lp - lq) for lp, lq in both if lp > -math.inf)


def k3(logp: Numbers, ref_logp: Numbers) -> Row:
    """ref / pi - 1 - log(ref / pi), elementwise."""
    both = zip(*_lists(logp, ref_logp), strict=True)
    return [math.exp(lr - lp) - 1 - (lr - lp) for lp, lr in both]


def kl_gradient(logp: Numbers, logq: Numbers) -> Row:
    """Gradient of KL(p || q) in the logits of p = softmax(logits): p (log p/q - KL)."""
    logp, logq = _lists(logp, logq)
    mean = kl(logp, logq)
    return [math.exp(lp) * (lp - lq - mean) for lp, lq in zip(logp, logq, strict=True)]


def optimum(ref_logp: Numbers, r: Numbers, beta: float) -> Row:
    """log pi* = log ref + r / beta - log Z."""
    tilted = [lp + x / beta for lp, x in zip(*_lists(ref_logp, r), strict=True)]
    return [x - log_sum_exp(tilted) for x in tilted]


def reward_loss(r: Numbers, rank: Numbers, mask: Numbers | None = None) -> float:
    """Eq. (1): mean over prompts of the mean surprise over the pairs of each."""
    r, rank, mask = _lists(r, rank, mask)
    losses = []
    for b, ranks in enumerate(rank):
        counted = [k for k in range(len(ranks)) if mask is None or mask[b][k]]
        losses.append(fmean(softplus(r[b][l] - r[b][w]) for w in counted
                            for l in counted if ranks[w] < ranks[l]))
    return fmean(losses)


def plackett_luce(r: Numbers, rank: Numbers) -> float:
    """log P of a whole ranking: each place chosen by exp(r) from what is left."""
    left = [x for _, x in sorted(zip(*_lists(rank, r), strict=True))]
    logp = 0.0
    while left:
        total = log_sum_exp(left)
        logp += left.pop(0) - total
    return logp


def elo(rating: Numbers, winner: int, loser: int, k: float) -> Row:
    """k (1 - P) points change hands, P = 1 / (1 + 10^((R_loser - R_winner) / 400))."""
    rating = [float(x) for x in rating]
    moved = k * (1 - 1 / (1 + 10 ** ((rating[loser] - rating[winner]) / 400)))
    rating[winner] += moved
    rating[loser] -= moved
    return rating


def token_logp(logits: Numbers, token: Numbers, temperature: float = 1.0) -> Rows:
    """log softmax(logits / temperature) at the token, for every row and place."""
    logits, token = _lists(logits, token)

    def logp(x, v):
        return x[v] / temperature - log_sum_exp([y / temperature for y in x])

    return [[logp(x, v) for x, v in zip(row, ids, strict=True)]
            for row, ids in zip(logits, token, strict=True)]


def token_rewards(r: Numbers, logp: Numbers, ref_logp: Numbers, mask: Numbers,
                  beta: float) -> Rows:
    """-beta (log pi - log ref) at counted tokens, plus the score at a row's last."""
    r, logp, ref_logp, mask = _lists(r, logp, ref_logp, mask)
    reward = [[0.0] * len(row) for row in mask]
    for b, t in _places(mask):
        last = not any(mask[b][t + 1:])
        reward[b][t] = -beta * (logp[b][t] - ref_logp[b][t]) + (r[b] if last else 0.0)
    return reward


def gae(reward: Numbers, value: Numbers, mask: Numbers, lam: float) -> Rows:
    """A_t = sum_{k >= t} lam^(k-t) (reward_k + V_{k+1} - V_k): no recursion."""
    reward, value, mask = _lists(reward, value, mask)
    advantage = [[0.0] * len(row) for row in mask]
    for b, row in enumerate(mask):
        at = [t for t, counts in enumerate(row) if counts]
        values = [value[b][t] for t in at] + [0.0]
        delta = [reward[b][t] + values[k + 1] - values[k] for k, t in enumerate(at)]
        for k, t in enumerate(at):
            later = range(k, len(at))
            advantage[b][t] = sum(lam ** (m - k) * delta[m] for m in later)
    return advantage


def policy_loss(logp: Numbers, old_logp: Numbers, advantage: Numbers, mask: Numbers,
                clip: float) -> float:
    """A good token's ratio counts up to 1 + clip, a bad one's down to 1 - clip."""
    logp, old_logp, advantage, mask = _lists(logp, old_logp, advantage, mask)

    def gain(b, t):
        ratio, a = math.exp(logp[b][t] - old_logp[b][t]), advantage[b][t]
        return a * (min(ratio, 1 + clip) if a > 0 else max(ratio, 1 - clip))

    return -fmean(gain(b, t) for b, t in _places(mask))


def value_loss(value: Numbers, old_value: Numbers, returns: Numbers, mask: Numbers,
               clip: float = 0) -> float:
    """Half the mean squared error; clipped, the worse one of V and of V near old V."""
    value, old_value, returns, mask = _lists(value, old_value, returns, mask)

    def error(b, t):
        v, old, target = value[b][t], old_value[b][t], returns[b][t]
        near = min(max(v, old - clip), old + clip) if clip > 0 else v
        return max((v - target) ** 2, (near - target) ** 2)

    return 0.5 * fmean(error(b, t) for b, t in _places(mask))


def ptx_loss(logits: Numbers, token: Numbers) -> float:
    """Mean over rows and places of -log softmax(logits_t) at token t + 1."""
    logits, token = _lists(logits, token)
    logp = token_logp([row[:-1] for row in logits], [ids[1:] for ids in token])
    return -fmean(x for row in logp for x in row)
