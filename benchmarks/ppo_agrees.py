"""One update of TRL's PPO and one of ours, from the same rollout: the same weights, up to rounding.

TRL reads a response that ended with one place more than ours does: it gives the score, and takes a value,
one place after EOS. So that everything else can be compared, `longer` has that place. TRL whitens with the
sample variance, we with the population's: a factor of all advantages, to which Adam is indifferent.
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from common import difference, must_agree, weights
from torch import Tensor, nn
from transformers import TrainerCallback
from trl.experimental.ppo import ppo_trainer

from instructgpt_lite import Rollout, ScalarModel
from instructgpt_lite.theory.masked import masked_whiten
from instructgpt_lite.theory.objective import policy_loss, value_loss
from instructgpt_lite.training.loop import make_optimizers, update
from instructgpt_lite.training.ppo_ptx import look_back

LR = 1e-3


class Seeded(TrainerCallback):
    """Makes the order of TRL's minibatches known."""

    def on_train_begin(self, *_, **__) -> None:
        np.random.seed(0)


def agree(work, models, trl: Callable) -> None:
    """Stop unless policy and value of TRL after an update are ours; work, models, trl: see ppo.py."""
    seen, generate = [], ppo_trainer.batch_generation

    def recorded(model, queries, *rest):
        found = generate(model, queries, *rest)
        seen.append((queries, found[0]))
        return found

    ppo_trainer.batch_generation = recorded
    try:
        with tempfile.TemporaryDirectory() as folder:
            trainer = trl(models, work, work.config(LR, rounds=0), Seeded(), folder)
            trainer.train()
    finally:
        ppo_trainer.batch_generation = generate
    start = [weights(models.policy.model), weights(models.reward.model)]
    ours = updated(work, models, *rollouts(models, *seen[0]))
    theirs = (trainer.model.policy, trainer.model.value_model)
    for name, before, mine, other in zip(("policy", "value"), start, ours, theirs):
        apart = difference(before, weights(mine), weights(other))
        must_agree(f"PPO, {work.name}, update of the {name}", apart, 0.02)


@torch.no_grad()
def rollouts(models, query_BP: Tensor, row_BS: Tensor) -> tuple[Rollout, Rollout]:
    """TRL's rows, prompts padded on the left and responses on the right, as our rollout; and `longer`.

    No KL counts at the added place, which costs nothing when its log-prob is the reference's.
    """
    policy, reference = models.policy, models.reference
    prompts = [[token for token in row if token != policy.pad] for row in query_BP.tolist()]
    responses = [[token for token in row if token != policy.pad] for row in row_BS[:, query_BP.size(1):].tolist()]
    more = [y + [policy.eos] * (len(y) < max(map(len, responses))) for y in responses]
    rollout, longer = (Rollout.of(prompts, each, policy.pad, policy.eos).to(policy.device)
                       for each in (responses, more))
    rollout = replace(rollout, logp_BT=policy.logp(rollout))
    return rollout, replace(longer, logp_BT=rollout.logp_BT.where(rollout.mask_BT, reference.logp(longer)))


def updated(work, models, rollout: Rollout, longer: Rollout) -> tuple[nn.Module, nn.Module]:
    """Policy and value after one update by our functions, with minibatches in TRL's order."""
    config = replace(work.config(LR, rounds=0), whiten=False)
    policy, value = copy.deepcopy(models.policy), ScalarModel.on(models.reward)
    adams = [make_optimizers(model, LR, betas=config.adam_betas) for model in (policy, value)]
    seen = look_back(longer, models.reference, lambda _: models.reward(rollout), value, config, 0)
    advantage_BT = masked_whiten(seen.advantage_BT, rollout.mask_BT)
    for part in torch.from_numpy(np.random.RandomState(0).permutation(work.batch)).chunk(4):
        batch, own = seen[part], rollout[part]
        policy_loss(policy.logp(own), own.logp_BT, advantage_BT[part], own.mask_BT, config.clip).backward()
        value_loss(value.values(batch.rollout), batch.value_BT, batch.return_BT, batch.mask_BT,
                   config.value_clip).backward()
        update("ppo", 0, {policy: adams[0], value: adams[1]})
    return policy.model, value.model
