"""The base model: next-token prediction on pretraining text. The paper starts from GPT-3; we make our own."""

from collections.abc import Iterator

from instructgpt_lite.config import Pretrain
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.theory.objective import ptx_loss
from instructgpt_lite.training.memory import Memory
from instructgpt_lite.training.optim import generator, optimizers
from instructgpt_lite.training.steps import schedule, update


def pretrain(policy: Policy, corpus, config: Pretrain,
             memory: Memory | None = None) -> Iterator[dict[str, float]]:
    """Train `policy` in place on `corpus.rows`; yields step, tokens and loss (nats per token)."""
    memory = memory or Memory()
    adams = optimizers(policy, config.lr, config.matrix_lr)
    memory.track(policy=policy, adams=adams)
    steps = max(1, config.tokens // (config.batch_size * config.length))
    for step in range(memory.step, steps):
        rows = corpus.rows(config.batch_size, config.length, generator(config.seed, "pretrain", step))
        loss = ptx_loss(policy.logits(rows), rows)
        loss.backward()
        schedule(adams, step, steps, config)
        update("pretrain", step, policy, adams, config.clip_norm, loss=loss)
        memory.step = step + 1
        yield {"step": memory.step, "steps": steps, "tokens": memory.step * rows.numel(), "loss": loss.item()}
