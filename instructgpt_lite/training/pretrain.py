"""The base model: next-token prediction on text. The paper starts from GPT-3."""

from collections.abc import Iterator

import torch

from instructgpt_lite.config import Pretrain
from instructgpt_lite.data.protocols import Corpus
from instructgpt_lite.models import ranks
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.loop import (
    generator,
    learn,
    make_optimizers,
    pieces,
    schedule,
    update,
)
from instructgpt_lite.training.resume import ResumeState


def pretrain(policy: Policy, corpus: Corpus, config: Pretrain,
             resume: ResumeState | None = None) -> Iterator[dict[str, float]]:
    """Train `policy` in place; yields step, tokens and loss (nats per token)."""
    resume = resume or ResumeState()
    optimizers = make_optimizers(policy, config.lr, config.matrix_lr)
    resume.track(policy=policy, optimizers=optimizers)
    steps = max(1, config.tokens // (config.batch_size * config.length))
    for step in range(resume.step, steps):
        random = generator(config.seed, "pretrain", step)
        rows = corpus.rows(config.batch_size, config.length, random)
        text_BS = rows.to(policy.device)
        row: dict[str, float] = {}
        every = torch.arange(len(text_BS))
        for part, share in pieces(every, torch.ones(len(every)), policy):
            loss = ptx_loss(policy.logits(text_BS[part]), text_BS[part])
            learn(row, share, loss=loss)
        row = ranks.summed(row)
        schedule(optimizers, step, steps, config)
        update("pretrain", step, {policy: optimizers}, config.clip_norm, **row)
        resume.step = step + 1
        yield {"step": resume.step, "steps": steps,
               "tokens": resume.step * text_BS.numel(), **row}
