"""The base model: next-token prediction on text. The paper starts from GPT-3."""

from collections.abc import Iterator

from instructgpt_lite.config import Pretrain
from instructgpt_lite.data.protocols import Corpus
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.loop import generator, make_optimizers, schedule, update
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
        loss = ptx_loss(policy.logits(text_BS), text_BS)
        loss.backward()
        schedule(optimizers, step, steps, config)
        update("pretrain", step, {policy: optimizers}, config.clip_norm, loss=loss)
        resume.step = step + 1
        yield {"step": resume.step, "steps": steps,
               "tokens": resume.step * text_BS.numel(), "loss": loss.item()}
