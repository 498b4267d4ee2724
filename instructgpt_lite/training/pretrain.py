"""The base model: next-token prediction on pretraining text. The paper starts from GPT-3; we make our own."""

from collections.abc import Iterator

from instructgpt_lite.config import Pretrain
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.loop import generator, make_optimizers, schedule, update
from instructgpt_lite.training.resume import ResumeState


def pretrain(policy: Policy, corpus, config: Pretrain,
             resume: ResumeState | None = None) -> Iterator[dict[str, float]]:
    """Train `policy` in place on `corpus.rows`; yields step, tokens and loss (nats per token)."""
    resume = resume or ResumeState()
    optimizers = make_optimizers(policy, config.lr, config.matrix_lr)
    resume.track(policy=policy, optimizers=optimizers)
    steps = max(1, config.tokens // (config.batch_size * config.length))
    for step in range(resume.step, steps):
        rows = corpus.rows(config.batch_size, config.length, generator(config.seed, "pretrain", step))
        loss = ptx_loss(policy.logits(rows), rows)
        loss.backward()
        schedule(optimizers, step, steps, config)
        update("pretrain", step, {policy: optimizers}, config.clip_norm, loss=loss)
        resume.step = step + 1
        yield {"step": resume.step, "steps": steps, "tokens": resume.step * rows.numel(), "loss": loss.item()}
