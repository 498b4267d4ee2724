"""Step 1, supervised fine-tuning (§3.5, App. C.1), and where RL starts (App. C.3).

Only response tokens count, the EOS among them: a model that never sees its own end
never stops.
"""

import math
from collections.abc import Iterator, Sequence

from instructgpt_lite.config import SFT
from instructgpt_lite.data.protocols import Corpus
from instructgpt_lite.data.records import Demonstration
from instructgpt_lite.models import ranks
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.models.rollout import Rollout
from instructgpt_lite.theory.masked import masked_mean
from instructgpt_lite.training import loop
from instructgpt_lite.training.resume import ResumeState


def demonstrated(policy: Policy, demonstrations: Sequence[Demonstration]) -> Rollout:
    """The demonstrations as rows of tokens, EOS after each completion.

    None for a policy whose responses nothing ends (`Policy.speak`).
    """
    if not demonstrations:
        raise ValueError("there are no demonstrations: give one at least")
    completions = policy.tokenizer([each.completion for each in demonstrations],
                                   add_special_tokens=False)["input_ids"]
    prompts = policy.encode([each.prompt for each in demonstrations])
    if getattr(policy, "ends", True) == ():
        return Rollout.of(prompts, completions, policy.pad, ())
    responses = [[*completion, policy.eos] for completion in completions]
    return Rollout.of(prompts, responses, policy.pad, policy.eos)


def finetune(policy: Policy, demonstrations: Sequence[Demonstration], config: SFT,
             corpus: Corpus | None = None,
             resume: ResumeState | None = None) -> Iterator[dict[str, float]]:
    """Train `policy` in place; yields step, epoch and losses (nats per token).

    With a pretraining mix of m, rows of `corpus` make up the share m of all rows and of
    the loss. ValueError when there is a mix and no corpus, or no demonstration.
    """
    mix = config.pretraining_mix
    if mix and corpus is None:
        raise ValueError(f"pretraining_mix is {mix}: give a corpus, or set it to 0")
    resume = resume or ResumeState()
    optimizers = loop.make_optimizers(policy, config.lr, config.matrix_lr)
    resume.track(policy=policy, optimizers=optimizers)
    rollout = demonstrated(policy, demonstrations).to(policy.device)
    count_B = rollout.mask_BT.sum(dim=1).cpu()
    steps = config.epochs * math.ceil(len(rollout) / config.batch_size)
    for step in range(resume.step, steps):
        random = loop.generator(config.seed, "sft", step)
        rows = loop.passes(step, len(rollout), config.batch_size, config.seed, "sft")
        losses, own = {}, ranks.own(random)
        for part, share in loop.pieces(rows, count_B, policy):
            batch = rollout[part]
            logp_BT = policy.logp(batch, dropout=config.dropout, generator=own)
            loss = -masked_mean(logp_BT, batch.mask_BT)
            loop.learn(losses, share, 1 - mix, loss=loss)
        if mix:
            count = max(1, round(config.batch_size * mix / (1 - mix)))
            text_BS = corpus.rows(count, config.mix_length, random)
            loop.learn_text(losses, policy, text_BS, mix, "ptx_loss")
        losses = ranks.summed(losses)
        loop.schedule(optimizers, step, steps, config)
        loop.update("sft", step, {policy: optimizers}, config.clip_norm, **losses)
        resume.step = step + 1
        yield {"step": resume.step, "steps": steps,
               "epoch": resume.step * config.epochs / steps, **losses}
