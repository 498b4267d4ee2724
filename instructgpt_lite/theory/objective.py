r"""The PPO-ptx objective, equation (2) of InstructGPT (Ouyang et al., 2022, §3.5).

    E[ r_theta(x, y) - beta log(pi_RL(y|x) / pi_SFT(y|x)) ] + gamma E[ log pi_RL(x) ]

The first expectation is what `token_rewards` spreads over tokens and `gae` turns into
advantages; `policy_loss` climbs it (Schulman et al., 2017, eq. 7). The second is
`ptx_loss`. All losses are to be minimised, in nats per token.

B sequences, T response tokens, V vocabulary. mask_BT is True where a token counts; what
the other places contain changes neither a result nor a gradient.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from instructgpt_lite.theory.masked import masked, masked_mean, masked_var


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """logits / temperature: below 1 sharpens the distribution, above 1 flattens it.

    Sampling and `token_logp` both come through here, so they mean the same. In float32
    at least: the log-probabilities of half-precision logits would be off by hundredths.
    ValueError unless the temperature is above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be above 0 (1 is the "
                         "model's own distribution)")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits if temperature == 1 else logits / temperature


def token_logp(logits_BTV: Tensor, token_BT: Tensor,
               temperature: float = 1.0) -> Tensor:
    """logp_BT: log pi of each token by the logits at its own place; shift before."""
    logits_NV = tempered(logits_BTV, temperature).flatten(0, 1)
    surprise_N = F.cross_entropy(logits_NV, token_BT.flatten(), reduction="none")
    return -surprise_N.view_as(token_BT)


def token_rewards(r_B: Tensor, logp_BT: Tensor, ref_logp_BT: Tensor,
                  mask_BT: Tensor, beta: float) -> Tensor:
    """reward_BT: the KL penalty of each token; the last counted one gets r_B, too.

    A row's sum is r - beta (log pi(y|x) - log ref(y|x)), as in eq. (2). A row without
    counted tokens gets no score; padding gets 0.
    """
    penalty_BT = masked(-beta * (logp_BT - ref_logp_BT), mask_BT)
    last_BT = mask_BT & (mask_BT.cumsum(dim=1) == mask_BT.sum(dim=1, keepdim=True))
    return penalty_BT + torch.where(last_BT, r_B[:, None], 0)


def adapted_beta(beta: float, kl: float, target: float, episodes: int,
                 horizon: float) -> float:
    """beta for the next batch, which brings KL (nats a response) closer to `target`.

    It moves by at most a fifth in `horizon` episodes, in proportion to the relative
    error before that (Ziegler et al., 2019; lm-human-preferences). Target 0: it stays.
    """
    error = min(max(kl / target - 1, -0.2), 0.2) if target else 0.0
    return beta * (1 + error * episodes / horizon)


def gae(reward_BT: Tensor, value_BT: Tensor, mask_BT: Tensor, lam: float) -> Tensor:
    """advantage_BT by generalised advantage estimation, without discount (App. C.4).

        delta_t = reward_t + V_{t+1} - V_t,    A_t = delta_t + lam A_{t+1}

    V_t: before token t is drawn; 0 after the last. Returns are advantage + value.
    """
    advantage_BT = torch.zeros_like(value_BT)
    next_value_B = next_advantage_B = torch.zeros_like(value_BT[:, 0])
    for t in reversed(range(value_BT.size(1))):
        counts_B = mask_BT[:, t]
        delta_B = reward_BT[:, t] + next_value_B - value_BT[:, t]
        next_advantage_B = torch.where(counts_B, delta_B + lam * next_advantage_B,
                                       next_advantage_B)
        next_value_B = torch.where(counts_B, value_BT[:, t], next_value_B)
        advantage_BT[:, t] = masked(next_advantage_B, counts_B)
    return advantage_BT


def policy_loss(logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor,
                mask_BT: Tensor, clip: float) -> Tensor:
    """PPO's clipped surrogate: no gain from moving a token's ratio past 1 +- clip."""
    gain_BT, clipped_gain_BT = _gains(logp_BT, old_logp_BT, advantage_BT, mask_BT, clip)
    return -masked_mean(torch.minimum(gain_BT, clipped_gain_BT), mask_BT)


def clip_fraction(logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor,
                  mask_BT: Tensor, clip: float) -> Tensor:
    """Share of counted tokens whose gradient `policy_loss` clips away."""
    gain_BT, clipped_gain_BT = _gains(logp_BT, old_logp_BT, advantage_BT, mask_BT, clip)
    return masked_mean((clipped_gain_BT < gain_BT).to(gain_BT.dtype), mask_BT)


def _gains(logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor,
           mask_BT: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    ratio_BT = masked(logp_BT - old_logp_BT, mask_BT).exp()    # exp of padding: inf
    return ratio_BT * advantage_BT, ratio_BT.clamp(1 - clip, 1 + clip) * advantage_BT


def value_loss(value_BT: Tensor, old_value_BT: Tensor, return_BT: Tensor,
               mask_BT: Tensor, clip: float = 0.0) -> Tensor:
    """Half the mean squared error; with clip > 0 the worse of two errors per token.

    The other error is that of the value moved at most `clip` from what it was when
    sampled (lm-human-preferences; the paper is silent).
    """
    error_BT = masked(value_BT - return_BT, mask_BT).square()
    if clip > 0:
        near_BT = old_value_BT + (value_BT - old_value_BT).clamp(-clip, clip)
        near_error_BT = masked(near_BT - return_BT, mask_BT).square()
        error_BT = torch.maximum(error_BT, near_error_BT)
    return 0.5 * masked_mean(error_BT, mask_BT)


def explained_variance(value_BT: Tensor, return_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """1 - Var(return - value) / Var(return), 1 at best; not finite if returns tie."""
    left = masked_var(return_BT - value_BT, mask_BT)
    return 1 - left / masked_var(return_BT, mask_BT)


def ptx_loss(logits_BTV: Tensor, token_BT: Tensor) -> Tensor:
    """-E[log pi_RL(x)] per token of pretraining text; the caller scales by gamma.

    T is the length of the whole row: place t predicts token t + 1. Eq. (2) has the
    log-probability of a document, so the paper's gamma = 27.8 does not carry over.
    """
    return F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), token_BT[:, 1:].flatten())
