"""The formulas once more, as slow and plain as can be: loops over lists of floats, nothing of ours.

Tests hold the package to them, and `grading` holds a student's own function to them. Each takes
nested lists or tensors (a tensor becomes a list) and returns floats or lists of floats. Masked places
are skipped by `if`, so what stands there is never read.
"""

import math


def _lists(*tables):
    return [table.tolist() if hasattr(table, "tolist") else table for table in tables]


def _mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def _places(mask):
    """(row, column) of every counted token."""
    return [(b, t) for b, row in enumerate(mask) for t, counts in enumerate(row) if counts]


def sigmoid(x):
    """1 / (1 + exp(-x)), by the branch that does not overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x):
    """log(1 + exp(x)) = -log sigmoid(-x), by the branch that does not overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def masked_mean_oracle(x, mask):
    """Mean over the places where the mask is True."""
    x, mask = _lists(x, mask)
    return _mean(x[b][t] for b, t in _places(mask))


def masked_whiten_oracle(x, mask):
    """(x - mean) / sqrt(population variance + 1e-8) where the mask is True, 0 elsewhere."""
    x, mask = _lists(x, mask)
    mean = masked_mean_oracle(x, mask)
    variance = _mean((x[b][t] - mean) ** 2 for b, t in _places(mask))
    return [[(x[b][t] - mean) / math.sqrt(variance + 1e-8) if counts else 0.0
             for t, counts in enumerate(row)] for b, row in enumerate(mask)]


def entropy_oracle(logp):
    """sum p (-log p), nats."""
    return -sum(math.exp(lp) * lp for lp in _lists(logp)[0] if lp > -math.inf)


def kl_oracle(logp, logq):
    """sum p (log p - log q), nats; infinite if q excludes what p allows."""
    logp, logq = _lists(logp, logq)
    return sum(math.exp(lp) * (lp - lq) for lp, lq in zip(logp, logq, strict=True) if lp > -math.inf)


def k3_oracle(logp, ref_logp):
    """ref / pi - 1 - log(ref / pi), elementwise."""
    return [math.exp(lr - lp) - 1 - (lr - lp) for lp, lr in zip(*_lists(logp, ref_logp), strict=True)]


def kl_gradient_oracle(logp, logq):
    """Gradient of KL(p || q) in the logits of p = softmax(logits): p (log p/q - KL)."""
    logp, logq = _lists(logp, logq)
    kl = kl_oracle(logp, logq)
    return [math.exp(lp) * (lp - lq - kl) for lp, lq in zip(logp, logq, strict=True)]


def optimum_oracle(ref_logp, r, beta):
    """log pi* = log ref + r / beta - log Z, and beta log Z."""
    ref_logp, r = _lists(ref_logp, r)
    tilted = [lp + x / beta for lp, x in zip(ref_logp, r, strict=True)]
    log_z = max(tilted) + math.log(sum(math.exp(x - max(tilted)) for x in tilted))
    return [x - log_z for x in tilted], beta * log_z


def _ranked_pairs(rank, mask):
    """(b, winner, loser, share): share is 1 / (pairs of b) / (prompts)."""
    for b, ranks in enumerate(rank):
        present = [k for k in range(len(ranks)) if mask is None or mask[b][k]]
        pairs = [(w, l) for w in present for l in present if ranks[w] < ranks[l]]
        yield from ((b, w, l, 1 / len(pairs) / len(rank)) for w, l in pairs)


def reward_loss_oracle(r, rank, mask=None):
    """Eq. (1): mean over prompts of the mean over its untied pairs of -log sigmoid(r_w - r_l)."""
    r, rank, mask = _lists(r, rank, mask)
    return sum(share * softplus(r[b][l] - r[b][w]) for b, w, l, share in _ranked_pairs(rank, mask))


def reward_loss_gradient_oracle(r, rank, mask=None):
    """d loss / d r: each pair pushes its two rewards apart by sigmoid(r_l - r_w)."""
    r, rank, mask = _lists(r, rank, mask)
    gradient = [[0.0] * len(row) for row in r]
    for b, w, l, share in _ranked_pairs(rank, mask):
        push = share * sigmoid(r[b][l] - r[b][w])
        gradient[b][w] -= push
        gradient[b][l] += push
    return gradient


def pair_accuracy_oracle(r, rank, mask=None):
    """Share of pairs ordered as ranked, equal rewards counting one half."""
    r, rank, mask = _lists(r, rank, mask)
    return sum(share * (0.5 if r[b][w] == r[b][l] else float(r[b][w] > r[b][l]))
               for b, w, l, share in _ranked_pairs(rank, mask))


def plackett_luce_oracle(r, rank):
    """P of the whole ranking: the product over places of exp(r) over the sum of what is left."""
    r, rank = _lists(r, rank)
    p = [math.exp(x) for _, x in sorted(zip(rank, r, strict=True))]
    return math.prod(p[k] / sum(p[k:]) for k in range(len(p)))


def strengths_oracle(wins, steps=20_000):
    """Zermelo's iteration (Hunter, 2004): p_i <- W_i / sum_j n_ij / (p_i + p_j); s with mean 0."""
    wins, = _lists(wins)
    items = range(len(wins))
    p = [1.0] * len(wins)
    for _ in range(steps):
        before, p = p, [sum(wins[i]) / sum((wins[i][j] + wins[j][i]) / (p[i] + p[j]) for j in items if j != i)
                        for i in items]
        p = [x / sum(p) for x in p]
        if p == before:
            break
    mean = _mean(math.log(x) for x in p)
    return [math.log(x) - mean for x in p]


def token_logp_oracle(logits, token, temperature=1.0):
    """log softmax(logits / temperature) at the token, for every row and place."""
    logits, token = _lists(logits, token)
    return [[x[v] / temperature - math.log(sum(math.exp(y / temperature) for y in x))
             for x, v in zip(rows, tokens, strict=True)] for rows, tokens in zip(logits, token, strict=True)]


def token_rewards_oracle(r, logp, ref_logp, mask, beta):
    """-beta (log pi - log ref) at every counted token, plus the score at the last of a row."""
    r, logp, ref_logp, mask = _lists(r, logp, ref_logp, mask)
    reward = [[0.0] * len(row) for row in mask]
    for b, t in _places(mask):
        reward[b][t] = -beta * (logp[b][t] - ref_logp[b][t]) + (0.0 if any(mask[b][t + 1:]) else r[b])
    return reward


def gae_oracle(reward, value, mask, lam):
    """A_t = sum_{k >= t} lam^(k - t) (reward_k + V_{k+1} - V_k): the sum, not the recursion."""
    reward, value, mask = _lists(reward, value, mask)
    advantage = [[0.0] * len(row) for row in mask]
    for b, row in enumerate(mask):
        at = [t for t, counts in enumerate(row) if counts]
        values = [value[b][t] for t in at] + [0.0]
        delta = [reward[b][t] + values[k + 1] - values[k] for k, t in enumerate(at)]
        for k, t in enumerate(at):
            advantage[b][t] = sum(lam ** (m - k) * delta[m] for m in range(k, len(at)))
    return advantage


def policy_loss_oracle(logp, old_logp, advantage, mask, clip):
    """Case by case: a good token's ratio counts up to 1 + clip, a bad one's down to 1 - clip."""
    logp, old_logp, advantage, mask = _lists(logp, old_logp, advantage, mask)

    def gain(b, t):
        ratio, a = math.exp(logp[b][t] - old_logp[b][t]), advantage[b][t]
        return a * (min(ratio, 1 + clip) if a > 0 else max(ratio, 1 - clip))

    return -_mean(gain(b, t) for b, t in _places(mask))


def value_loss_oracle(value, old_value, returns, mask, clip=0.0):
    """Half the mean squared error; with clip > 0 the worse of the errors of V and of V near old V."""
    value, old_value, returns, mask = _lists(value, old_value, returns, mask)

    def error(b, t):
        v, old, target = value[b][t], old_value[b][t], returns[b][t]
        near = min(max(v, old - clip), old + clip) if clip > 0 else v
        return max((v - target) ** 2, (near - target) ** 2)

    return 0.5 * _mean(error(b, t) for b, t in _places(mask))


def ptx_loss_oracle(logits, token):
    """Mean over rows and places of -log softmax(logits_t) at token t + 1."""
    logits, token = _lists(logits, token)
    logp = token_logp_oracle([rows[:-1] for rows in logits], [row[1:] for row in token])
    return -_mean(x for row in logp for x in row)
