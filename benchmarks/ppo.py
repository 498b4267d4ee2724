"""PPO episodes per CPU-second: ours against trl 1.12's PPOTrainer, the same mathematics in fp32.

A round is one `next(ppo_ptx(...))`, without ptx, and one update of TRL's: sampling, scores, values,
advantages, four minibatches. `agree` first shows that one update of either is that of the other. On a card:

    python ppo.py --model gpt2-124m --device cuda --out results/ppo-gpu.json
"""

import copy
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from common import Row, arguments, finish, ratios
from datasets import Dataset
from transformers import PrinterCallback
from turns import PLAIN, Turns
from workloads import RANDOM, ragged, tiny, uniform, words

from instructgpt_lite import PPO, Policy, ScalarModel, ppo_ptx, presets
from instructgpt_lite.training.loop import generator

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
from ppo_agrees import agree  # noqa: E402
from trl.experimental.ppo import PPOConfig, PPOTrainer  # noqa: E402

LR = 1e-6                            # so small that lengths stay what they are from round to round


@dataclass(frozen=True)
class Workload:
    """What is sampled and learned from in one update. chunk: rows that TRL generates and scores at once."""

    name: str
    batch: int
    length: int
    chunk: int
    goal: float
    ends: float = 0.0                # probability of EOS at each token of a random model
    model: str = "gpt2"
    device: str = "cpu"

    def config(self, lr: float, rounds: int) -> PPO:
        """The configuration of our stage."""
        return PPO(episodes=self.batch * (rounds + 1), batch_size=self.batch, minibatch_size=self.batch // 4,
                   lr=lr, value_lr=lr, warmup=0, beta=0.05, gamma=0.0, max_new_tokens=self.length)


TINY = Workload("tiny preset", presets.tiny.ppo.batch_size, presets.tiny.ppo.max_new_tokens, chunk=256, goal=4)
FIXED = Workload("4 layers of 128, fixed lengths", batch=64, length=48, chunk=64, goal=2)
RAGGED = Workload("4 layers of 128, ragged prompts, EOS", batch=64, length=48, chunk=64, goal=5, ends=1 / 16)
LARGE = Workload("SmolLM2-135M, fixed lengths", batch=64, length=16, chunk=8, goal=1.5, model="smollm2")
LARGE_RAGGED = Workload("SmolLM2-135M, ragged prompts, EOS", batch=32, length=32, chunk=8, goal=3, ends=1 / 16,
                        model="smollm2")
CARD = Workload("GPT-2 124M, fixed lengths", batch=512, length=64, chunk=128, goal=3, model="gpt2-124m")
WORKLOADS = {"gpt2": (TINY, FIXED, RAGGED), "smollm2": (LARGE, LARGE_RAGGED), "gpt2-124m": (CARD,)}


@dataclass
class Models:
    """What PPO starts from. The reference differs from the policy, so that KL counts from the first update."""

    policy: Policy
    reference: Policy
    reward: ScalarModel
    prompts: list[list[int]]

    @classmethod
    def of(cls, policy: Policy, prompts: list[list[int]]) -> "Models":
        reference = policy.frozen()
        draw = torch.Generator().manual_seed(0)
        for p in reference.parameters():
            p += 0.02 * p.std() * torch.empty_like(p).normal_(generator=draw)
        return cls(policy, reference, ScalarModel.on(policy), prompts)


def models(work: Workload, base: str | None) -> Models:
    """Models of a workload and one batch of prompts, so that both sides answer the same in every round."""
    draw, count = generator(0, work.name), work.batch
    if work.name == TINY.name:
        world, policy = tiny(base)
        found = Models.of(policy, policy.encode([prompt.prompt for prompt in world.train[-count:]]))
    else:
        lengths = ragged(count) if work.ends else uniform(count, 24, 64, draw)
        found = Models.of(RANDOM[work.model](work.ends), words(lengths, draw))
    for network in (found.policy, found.reference, found.reward):
        network.to(work.device)
    return found


def trl(models: Models, work: Workload, config: PPO, turns: Callable, folder: str) -> PPOTrainer:
    """TRL's trainer with our configuration, on copies of our models."""
    tokenizer = copy.deepcopy(models.policy.tokenizer)
    tokenizer.padding_side = "left"
    prompts = Dataset.from_dict({"input_ids": models.prompts})
    settings = PPOConfig(
        folder, **PLAIN | {"use_cpu": work.device == "cpu"}, learning_rate=config.lr, num_sample_generations=0,
        total_episodes=config.episodes, per_device_train_batch_size=work.batch, num_mini_batches=4, num_ppo_epochs=1,
        kl_coef=config.beta, cliprange=config.clip, cliprange_value=config.value_clip, vf_coef=1.0, gamma=1.0,
        lam=config.lam, temperature=config.temperature, response_length=work.length, stop_token="eos",
        missing_eos_penalty=config.missing_eos, local_rollout_forward_batch_size=work.chunk)
    policy, reference, reward, value = (copy.deepcopy(each.model).requires_grad_(learns) for each, learns in (
        (models.policy, True), (models.reference, False), (models.reward, False), (models.reward, True)))
    trainer = PPOTrainer(settings, tokenizer, policy, reference, reward, train_dataset=prompts,
                         value_model=value, eval_dataset=prompts, callbacks=[turns])
    trainer.remove_callback(PrinterCallback)
    return trainer


def compare(work: Workload, models: Models, rounds: int) -> list[Row]:
    """Interleaved updates; round 0 is dropped."""
    config, lengths = work.config(LR, rounds), []
    stage = ppo_ptx(copy.deepcopy(models.policy), models.reference, models.reward, models.prompts, config)
    turns = Turns(lambda: lengths.append(next(stage)["length"]), work.device)
    with tempfile.TemporaryDirectory() as folder:
        trl(models, work, config, turns, folder).train()
    print(f"{work.name}: responses of {sum(lengths) / len(lengths):.1f} tokens", flush=True)
    speed = {name: [work.batch / seconds for seconds in each[1:]]
             for name, each in (("ours", turns.ours), ("TRL", turns.trl))}
    return [Row(f"PPO, {work.name}", "x", ratios(speed["ours"], speed["TRL"]), work.goal),
            *(Row(f"  {name}", f"episodes/{'CPU-' * (work.device == 'cpu')}s", each) for name, each in speed.items())]


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--base", help="Hugging Face folder of another base model of the tiny preset")
    parser.add_argument("--model", choices=WORKLOADS, default="gpt2")
    parser.add_argument("--chunk", type=int, help="rows that TRL generates and scores at once")
    parser.add_argument("--batch", type=int, help="rows of an update")
    parser.add_argument("--device", default="cpu", help="cuda, say: seconds are those of the wall then")
    parser.add_argument("--only", default="", help="workloads with this in their name")
    options, rows = parser.parse_args(), []
    for work in [work for work in WORKLOADS[options.model] if options.only in work.name]:
        work = replace(work, chunk=options.chunk or work.chunk, batch=options.batch or work.batch,
                       device=options.device)
        start = models(work, options.base)
        agree(work, start, trl)
        rows += compare(work, start, options.rounds)
    finish(rows, options, {work.name: asdict(work) for work in WORKLOADS[options.model]})


if __name__ == "__main__":
    main()
