"""Step 1, supervised fine-tuning on demonstrations (§3.5, App. C.1), and the start of RL (App. C.3).

Only response tokens count, the EOS among them: a model that never sees its own end never stops.
"""

import math
from collections.abc import Iterator

from torch import Tensor

from instructgpt_lite.config import SFT
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.masked import masked_mean
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.loop import (
    generator,
    make_optimizers,
    passes,
    schedule,
    update,
)
from instructgpt_lite.training.resume import ResumeState


def demonstrated(policy: Policy, demonstrations) -> Rollout:
    """The demonstrations as rows of tokens, EOS after each completion."""
    completions = policy.tokenizer([shown.completion for shown in demonstrations], add_special_tokens=False)
    return Rollout.of(policy.encode([shown.prompt for shown in demonstrations]),
                      [[*ids, policy.eos] for ids in completions["input_ids"]], policy.pad, policy.eos)


def finetune(policy: Policy, demonstrations, config: SFT, corpus=None,
             resume: ResumeState | None = None) -> Iterator[dict[str, float]]:
    """Train `policy` in place; yields step, epoch, loss and pretraining loss (nats per token).

    With a pretraining mix of m, rows of `corpus` make up the share m of all rows and of the loss.
    ValueError when there is a mix and no corpus to take it from.
    """
    if config.pretraining_mix and corpus is None:
        raise ValueError(f"pretraining_mix is {config.pretraining_mix}: give a corpus, or set it to 0")
    resume = resume or ResumeState()
    optimizers = make_optimizers(policy, config.lr, config.matrix_lr)
    resume.track(policy=policy, optimizers=optimizers)
    shown, mix = demonstrated(policy, demonstrations), config.pretraining_mix
    steps = config.epochs * math.ceil(len(shown) / config.batch_size)
    for step in range(resume.step, steps):
        draw = generator(config.seed, "sft", step)
        part = shown[passes(step, len(shown), config.batch_size, config.seed, "sft")]
        loss = -masked_mean(policy.logp(part, dropout=config.dropout, generator=draw), part.mask_BT)
        ((1 - mix) * loss).backward()
        row = {"step": step + 1, "steps": steps, "epoch": (step + 1) * config.epochs / steps,
               "loss": loss.item()}
        if mix:
            row["ptx_loss"] = mixed_in(policy, corpus, config, draw)
        schedule(optimizers, step, steps, config)
        losses = {name: row[name] for name in ("loss", "ptx_loss") if name in row}
        update("sft", step, {policy: optimizers}, config.clip_norm, **losses)
        resume.step = step + 1
        yield row


def mixed_in(policy: Policy, corpus, config: SFT, draw) -> float:
    """Add the gradient of the pretraining rows of one step; returns their loss."""
    mix = config.pretraining_mix
    rows: Tensor = corpus.rows(max(1, round(config.batch_size * mix / (1 - mix))), config.mix_length, draw)
    loss = ptx_loss(policy.logits(rows), rows)
    (mix * loss).backward()
    return loss.item()
