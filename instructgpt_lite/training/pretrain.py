"""The base model: next-token prediction on text. The paper starts from GPT-3."""

from collections.abc import Iterator

from instructgpt_lite.config import Pretrain
from instructgpt_lite.data.protocols import Corpus
from instructgpt_lite.models import ranks
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.training import loop
from instructgpt_lite.training.resume import ResumeState


def pretrain(policy: Policy, corpus: Corpus, config: Pretrain,
             resume: ResumeState | None = None) -> Iterator[dict[str, float]]:
    """Train `policy` in place; yields step, tokens and loss (nats per token)."""
    resume = resume or ResumeState()
    optimizers = loop.make_optimizers(policy, config.lr, config.matrix_lr)
    resume.track(policy=policy, optimizers=optimizers)
    steps = max(1, config.tokens // (config.batch_size * config.length))
    for step in range(resume.step, steps):
        random = loop.generator(config.seed, "pretrain", step)
        text_BS = corpus.rows(config.batch_size, config.length, random)
        row: dict[str, float] = {}
        loop.learn_text(row, policy, text_BS)
        row = ranks.summed(row)
        loop.schedule(optimizers, step, steps, config)
        loop.update("pretrain", step, {policy: optimizers}, config.clip_norm, **row)
        resume.step = step + 1
        yield {"step": resume.step, "steps": steps,
               "tokens": resume.step * text_BS.numel(), **row}
