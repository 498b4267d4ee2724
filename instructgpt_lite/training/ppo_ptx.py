"""Step 3, PPO and PPO-ptx: reinforcement learning against the reward model (§3.5).

An episode is a prompt, a response and its score: a bandit, with a KL penalty at every
token, eq. (2). Each iteration samples a batch with the current policy and takes one
step for each minibatch; in PPO-ptx the gradients of the pretraining loss are added
before that step (App. C.4).

B responses, T tokens of the longest, S tokens of a row of text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from instructgpt_lite.config import PPO
from instructgpt_lite.data.protocols import Corpus
from instructgpt_lite.models import ranks
from instructgpt_lite.models.loading import check_same_tokenizer
from instructgpt_lite.models.networks import Policy, ScalarModel
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.masked import masked_mean, masked_whiten
from instructgpt_lite.theory.objective import (
    adapted_beta,
    clip_fraction,
    explained_variance,
    gae,
    policy_loss,
    token_rewards,
    value_loss,
)
from instructgpt_lite.training import loop
from instructgpt_lite.training.resume import ResumeState

Reward = Callable[[Rollout], Tensor]
Networks = Mapping[nn.Module, list[Optimizer]]


def ppo_ptx(policy: Policy, reference: Policy, reward: Reward, prompts: Sequence[str],
            config: PPO, corpus: Corpus | None = None,
            resume: ResumeState | None = None,
            value: ScalarModel | None = None) -> Iterator[dict[str, float]]:
    """Improve `policy` in place; at the end it holds its moving average. Yields rows.

    reward: any function of a rollout to r_B. The value function starts as `value`, or
    as a copy of `reward`. corpus: where gamma > 0. ValueError for what cannot be right.
    """
    resume, value = resume or ResumeState(), value or reward
    _check(policy, reference, reward, value, prompts, config, corpus)
    value, average, networks = _start(policy, value, config, resume)
    for step in range(resume.step, config.iterations):
        config = replace(config, beta=resume.numbers.setdefault("beta", config.beta))
        random = loop.generator(config.seed, "ppo", step)
        loop.set_lr(sum(networks.values(), []), loop.warm_up(step, config.warmup))
        rows = loop.stream(step, len(prompts), config.batch_size, config.seed, "ppo")
        rollout = policy.sample([prompts[n] for n in rows], generator=random,
                                temperature=config.temperature,
                                max_new_tokens=config.max_new_tokens)
        experience = look_back(rollout, reference, reward, value, config, step)
        updates = []
        for minibatch in minibatches(len(rollout), config, random):
            row = reinforce(policy, value, experience, minibatch, config)
            if config.gamma:                # its gradient is added before the one step
                n = max(1, round(config.ptx_ratio * len(minibatch)))
                text_BS = corpus.rows(n, config.ptx_length, random)
                loop.learn_text(row, policy, text_BS, config.gamma, "ptx_loss")
            row = ranks.summed(row)
            loop.update("ppo", step, networks, config.clip_norm, **row)
            loop.update_average(average, policy, config.ema)
            updates.append(row)
        seen = {"beta": config.beta, **summary(experience, updates)}
        resume.step, resume.numbers["beta"] = step + 1, next_beta(config, seen["kl"])
        if resume.step == config.iterations:
            policy.load_state_dict(average.state_dict())
        yield {"step": resume.step, "steps": config.iterations, **seen}


@dataclass(frozen=True)
class Experience:
    """What the updates of an iteration learn from, computed once, without gradients.

    mask_BT: where tokens of responses count. logp_BT: as drawn. score_B: the reward,
    before the price of a missing EOS. ref_logp_BT: of the reference. value_BT: before
    each token is drawn. return_BT: what it should have been. advantage_BT: whitened,
    if config.whiten.
    """

    rollout: Rollout
    mask_BT: Tensor
    logp_BT: Tensor
    score_B: Tensor
    ref_logp_BT: Tensor
    value_BT: Tensor
    return_BT: Tensor
    advantage_BT: Tensor

    def __getitem__(self, rows: Tensor) -> "Experience":
        """The responses picked by an index tensor."""
        return Experience(**{name: each[rows] for name, each in vars(self).items()})


@torch.no_grad()
def look_back(rollout: Rollout, reference: Policy, reward: Reward, value: ScalarModel,
              config: PPO, iteration: int) -> Experience:
    """Score, reference, value, returns and advantages of a rollout.

    The score is shifted so that demonstrations have 0 (`center`), never scaled, so beta
    and value_clip are in its units. Whitening is over the batch, not a minibatch.
    ValueError unless scores are floats (B,), FloatingPointError unless all is finite.
    """
    score_B = reward(rollout)
    if score_B.shape != (len(rollout),) or not score_B.is_floating_point():
        raise ValueError(f"the reward gave {score_B.dtype} {list(score_B.shape)}: want "
                         f"one float for each of {len(rollout)} responses")
    value_BT = value.values(rollout)
    ref_logp_BT = reference.logp(rollout, config.temperature)
    logp_BT, mask_BT = rollout.logp_BT, rollout.mask_BT
    loop.check_finite("ppo", iteration, score=score_B, value=value_BT,
                      ref_logp=ref_logp_BT, logp=logp_BT)
    r_B = score_B - config.missing_eos * ~rollout.ended_B
    reward_BT = token_rewards(r_B, logp_BT, ref_logp_BT, mask_BT, config.beta)
    advantage_BT = gae(reward_BT, value_BT, mask_BT, config.lam)
    return_BT = advantage_BT + value_BT
    if config.whiten:
        advantage_BT = masked_whiten(advantage_BT, mask_BT)
    return Experience(rollout, mask_BT, logp_BT, score_B, ref_logp_BT, value_BT,
                      return_BT, advantage_BT)


def reinforce(policy: Policy, value: ScalarModel, experience: Experience,
              minibatch: Tensor, config: PPO) -> dict[str, float]:
    """Add the gradients of an update's clipped losses; what they are."""
    row, count_B = {}, experience.mask_BT.sum(dim=1)
    for rows, share in loop.pieces(minibatch, count_B, policy):
        part = experience[rows]
        logp_BT = policy.logp(part.rollout, config.temperature)
        surrogate = (logp_BT, part.logp_BT, part.advantage_BT, part.mask_BT,
                     config.clip)
        loop.learn(row, share, policy_loss=policy_loss(*surrogate))
        known = part.value_BT, part.return_BT, part.mask_BT, config.value_clip
        loss = value_loss(value.values(part.rollout), *known)
        loop.learn(row, share, value_loss=loss)
        note(row, share, *surrogate)
    return row


def next_beta(config: PPO, kl: float) -> float:
    """beta of the next iteration: the same, or adapted to config.kl_target."""
    return adapted_beta(config.beta, kl, config.kl_target, config.batch_size,
                        config.kl_horizon)


def minibatches(count: int, config: PPO, random: torch.Generator) -> Iterator[Tensor]:
    """Rows of each update: every response once an inner epoch, in a new order.

    Losses are means over the tokens of a minibatch, whose number is random: a token
    weighs a little more where the others' responses are short.
    """
    for _ in range(config.inner_epochs):
        yield from torch.randperm(count, generator=random).split(config.minibatch_size)


@torch.no_grad()
def note(row: dict[str, float], share: float, logp_BT: Tensor, old_logp_BT: Tensor,
         *surrogate: Tensor | float) -> None:
    """Add to a row how far the policy had moved from the sampler on a micro-batch."""
    clipped = clip_fraction(logp_BT, old_logp_BT, *surrogate).item()
    row["clip_fraction"] = row.get("clip_fraction", 0.0) + share * clipped
    furthest = (logp_BT - old_logp_BT).abs().max().item()
    row["max_log_ratio"] = max(row.get("max_log_ratio", 0.0), furthest)


def summary(experience: Experience, updates: list[dict]) -> dict[str, float]:
    """What to watch: score, KL from the reference (nats a response), surprise (nats a
    token), length, endings; of the updates the mean, of log-ratios the largest.
    """
    mask_BT, logp_BT = experience.mask_BT, experience.logp_BT
    means = {name: sum(row[name] for row in updates) / len(updates)
             for name in updates[0]}
    return {"score": experience.score_B.mean().item(),
            "kl": (logp_BT - experience.ref_logp_BT).sum(dim=1).mean().item(),
            "surprise": -masked_mean(logp_BT, mask_BT).item(),
            "length": mask_BT.sum(dim=1).double().mean().item(),
            "ended": experience.rollout.ended_B.double().mean().item(),
            "explained_variance": explained_variance(
                experience.value_BT, experience.return_BT, mask_BT).item(),
            **means, "max_log_ratio": max(row["max_log_ratio"] for row in updates)}


def _start(policy: Policy, value: ScalarModel, config: PPO,
           resume: ResumeState) -> tuple[ScalarModel, Policy, Networks]:
    """The value function, the average of the policy, and both networks' optimizers."""
    value, average = ScalarModel.on(value), policy.frozen()
    adam = {"betas": config.adam_betas, "eps": config.adam_eps}
    networks = {policy: loop.make_optimizers(policy, config.lr, **adam),
                value: loop.make_optimizers(value, config.value_lr, **adam)}
    resume.track(policy=policy, value=value, average=average,
                 policy_optimizers=networks[policy], value_optimizers=networks[value])
    return value, average, networks


def _check(policy: Policy, reference: Policy, reward: Reward, value: object,
           prompts: Sequence[str], config: PPO, corpus: Corpus | None) -> None:
    check_same_tokenizer(policy=policy, reference=reference, reward=reward, value=value)
    if config.gamma and corpus is None:
        raise ValueError(f"gamma is {config.gamma}: give a corpus, or set gamma to 0 "
                         "for PPO without ptx")
    if not prompts:
        raise ValueError("there are no prompts: give one at least")
    if {id(p) for p in policy.parameters()} & {id(p) for p in reference.parameters()}:
        raise ValueError("policy and reference share weights, so KL would stay 0: "
                         "give policy.frozen() as the reference")
    if not isinstance(value, ScalarModel):
        raise ValueError("the reward is a plain function, which no value function can "
                         "start from: give value=ScalarModel.on(policy)")
