"""Step 3, PPO and PPO-ptx: reinforcement learning against the reward model, eq. (2) (§3.5, App. C.4).

An episode is a prompt, a response and its score: a bandit, with a KL penalty at every token. Each
iteration samples a batch with the current policy and takes one optimizer step for each minibatch; in
PPO-ptx the gradients of the pretraining loss are added before that step.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from instructgpt_lite.config import PPO
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.sampling import Rollout
from instructgpt_lite.theory.masked import masked_mean, masked_whiten
from instructgpt_lite.theory.objective import (
    clip_fraction,
    explained_variance,
    gae,
    policy_loss,
    ptx_loss,
    token_rewards,
    value_loss,
)
from instructgpt_lite.training.loop import (
    check_finite,
    generator,
    make_optimizers,
    set_lr,
    stream,
    update,
    update_average,
    warm_up,
)
from instructgpt_lite.training.resume import ResumeState


def ppo_ptx(policy: Policy, sft: Policy, reward: Callable[[Rollout], Tensor], prompts: list[str], config: PPO,
            corpus=None, resume: ResumeState | None = None,
            value: ScalarModel | None = None) -> Iterator[dict[str, float]]:
    """Improve `policy` in place; `sft` and `reward` stay frozen. Yields one row an iteration.

    reward: any function of a rollout to r_B. The value function starts as `value`, or as a copy of it.
    corpus: pretraining rows, needed when gamma > 0. After the last iteration `policy` holds the averaged
    weights (EMA), as the paper's evaluations do.
    """
    if config.gamma and corpus is None:
        raise ValueError(f"gamma is {config.gamma}: give a corpus, or set gamma to 0 for PPO without ptx")
    resume = resume or ResumeState()
    value, average = ScalarModel.on(value or reward), policy.frozen()
    policy_optimizers = make_optimizers(policy, config.lr, betas=config.adam_betas, eps=config.adam_eps)
    value_optimizers = make_optimizers(value, config.value_lr, betas=config.adam_betas, eps=config.adam_eps)
    resume.track(policy=policy, value=value, average=average, policy_optimizers=policy_optimizers,
                 value_optimizers=value_optimizers)
    for iteration in range(resume.step, config.iterations):
        draw = generator(config.seed, "ppo", iteration)
        set_lr(policy_optimizers + value_optimizers, warm_up(iteration, config.warmup))
        pick = stream(iteration, len(prompts), config.batch_size, config.seed, "ppo")
        rollout = policy.sample([prompts[n] for n in pick], temperature=config.temperature,
                                max_new_tokens=config.max_new_tokens, generator=draw)
        known = experience(rollout, sft, reward, value, config, iteration)
        losses = []
        for _ in range(config.inner_epochs):
            for part in torch.randperm(len(pick), generator=draw).split(config.minibatch_size):
                seen = {name: tensor[part] for name, tensor in known.items()}
                losses.append(learn(policy, rollout[part], seen, config, corpus, draw)
                              | learn_value(value, rollout[part], seen, config))
                update("ppo", iteration, {policy: policy_optimizers}, config.clip_norm, **losses[-1])
                update("ppo", iteration, {value: value_optimizers}, config.clip_norm)
                update_average(average, policy, config.ema)
        resume.step = iteration + 1
        if resume.step == config.iterations:
            policy.load_state_dict(average.state_dict())
        means = {name: sum(each[name] for each in losses) / len(losses) for name in losses[0]}
        yield {"step": resume.step, "steps": config.iterations, **summary(rollout, known), **means}


@torch.no_grad()
def experience(rollout: Rollout, sft: Policy, reward, value: ScalarModel, config: PPO,
               iteration: int) -> dict[str, Tensor]:
    """What the updates of an iteration need to know of its rollout, computed once, without gradients."""
    mask_BT = rollout.mask_BT
    value_BT, ref_logp_BT = value.values(rollout), sft.logp(rollout, config.temperature)
    score_B = reward(rollout)
    check_finite("ppo", iteration, score=score_B, value=value_BT, ref_logp=ref_logp_BT, logp=rollout.logp_BT)
    r_B = score_B - config.missing_eos * ~rollout.ended_B
    reward_BT = token_rewards(r_B, rollout.logp_BT, ref_logp_BT, mask_BT, config.beta)
    advantage_BT = gae(reward_BT, value_BT, mask_BT, config.lam)
    return {"score_B": score_B, "ref_logp_BT": ref_logp_BT, "value_BT": value_BT,
            "return_BT": advantage_BT + value_BT,
            "advantage_BT": masked_whiten(advantage_BT, mask_BT) if config.whiten else advantage_BT}


def learn(policy: Policy, part: Rollout, seen: dict[str, Tensor], config: PPO, corpus,
          draw: torch.Generator) -> dict[str, float]:
    """Gradients of one minibatch: PPO's, then gamma times the pretraining loss's, into the same buffers."""
    logp_BT = policy.logp(part, config.temperature)
    ppo = (logp_BT, part.logp_BT, seen["advantage_BT"], part.mask_BT, config.clip)
    loss = policy_loss(*ppo)
    loss.backward()
    row = {"policy_loss": loss.item(), "clip_fraction": clip_fraction(*ppo).item(),
           "max_log_ratio": (logp_BT - part.logp_BT).abs().max().item()}
    if config.gamma:
        rows = corpus.rows(max(1, round(config.ptx_ratio * len(part))), config.ptx_length, draw)
        loss = ptx_loss(policy.logits(rows), rows)
        (config.gamma * loss).backward()
        row["ptx_loss"] = loss.item()
    return row


def learn_value(value: ScalarModel, part: Rollout, seen: dict[str, Tensor],
                config: PPO) -> dict[str, float]:
    """Gradient of the value function, a network of its own, towards the returns."""
    value_BT, old_value_BT = value.values(part), seen["value_BT"]
    loss = value_loss(value_BT, old_value_BT, seen["return_BT"], part.mask_BT, config.value_clip)
    loss.backward()
    return {"value_loss": loss.item()}


def summary(rollout: Rollout, known: dict[str, Tensor]) -> dict[str, float]:
    """What to watch: score, KL from the reference (nats a response), entropy, length, endings."""
    mask_BT = rollout.mask_BT
    log_ratio_BT = rollout.logp_BT - known["ref_logp_BT"]
    return {"score": known["score_B"].mean().item(), "kl": log_ratio_BT.sum(dim=1).mean().item(),
            "surprise": -masked_mean(rollout.logp_BT, mask_BT).item(),
            "length": mask_BT.sum(dim=1).double().mean().item(),
            "ended": rollout.ended_B.double().mean().item(),
            "explained_variance": explained_variance(known["value_BT"], known["return_BT"], mask_BT).item()}
