"""What a card does in a second: GPT-2 of 124M random weights decodes, learns text and rankings, and is trained by PPO.

    python benchmarks/gpu.py --out results/gpu.json      # on a card, in the package's own environment; no TRL
    python benchmarks/gpu.py --toy                       # the same work, of a size for any CPU

Seconds are those of the wall, read when the card has finished. Every stage is the package's own, as users run it, in
the precision that `auto` takes. Beside the record, a text has what each work spends its time on, by torch's profiler.
Memory is told of a card alone: the allocator's peak, without the policy that all works share.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from time import perf_counter

import torch
from common import Row, arguments, finish
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from instructgpt_lite import Policy, ScalarModel, ppo_ptx, presets
from instructgpt_lite.config import Architecture, Hardware, Pretrain, Reward, Run
from instructgpt_lite.data.records import Ranking
from instructgpt_lite.data.tokenizers import word_tokenizer
from instructgpt_lite.models import fast
from instructgpt_lite.models.hardware import device_of, placed, used
from instructgpt_lite.run.plan import CARDS, plan
from instructgpt_lite.training.loop import generator
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.training.reward import train_reward

K = 9                                # responses ranked


@dataclass(frozen=True)
class Size:
    """Rows and tokens of each work. words: of the vocabulary. micro: rows learned from at once."""

    architecture: Architecture
    words: int
    rows: int                        # decoded, and of a batch of PPO
    prompt: int
    new: int
    minibatch: int
    text: tuple[int, int]            # rows and length of a step on text
    rankings: int                    # a step of the reward model
    micro: int
    base: str = ""                   # what `plan` knows it as


CARD = Size(Architecture(), 50_253, 512, 64, 64, 128, (64, 1024), 8, 32, "gpt2")
TOY = Size(Architecture(2, 64, 2, 128), 306, 16, 8, 8, 8, (4, 64), 2, 4)


class Words:
    """Pretraining text of random words."""

    def __init__(self, count: int) -> None:
        self.count = count

    def rows(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        return torch.randint(self.count, (count, length), generator=generator)


@dataclass
class Bench:
    """One card and its models; each work returns units done, and is timed to its end."""

    size: Size
    how: Hardware

    def __post_init__(self) -> None:
        self.device = device_of(self.how)
        words = word_tokenizer([f"w{n}" for n in range(self.size.words)])
        self.policy = placed(Policy.new(self.size.architecture, words, seed=0), self.how)
        self.policy.speak("{prompt}\n", fixed_length=True)
        shape = self.size.rows, self.size.prompt
        self.prompts = torch.randint(self.size.words, shape, generator=generator(0, "prompts")).tolist()
        self.corpus, self.random = Words(self.size.words), generator(0, "gpu")

    def finished(self) -> None:
        """Wait until the card has done all that was asked."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def copy(self) -> Policy:
        """The policy again, with its own weights, that reads as it does."""
        return self.policy.frozen().requires_grad_(True)

    def decoding(self, places: int) -> Callable[[], float]:
        """Tokens of responses, at most so many rows at once."""
        how = {"max_new_tokens": self.size.new, "generator": self.random,
               "decode": partial(fast.decode, places=places)}
        return lambda: int(self.policy.sample(self.prompts, **how).mask_BT.sum())

    def generating(self) -> float:
        """Tokens of responses by `generate` of transformers, all rows at once."""
        asked = torch.tensor(self.prompts, device=self.device)
        with torch.no_grad(), self.policy.reading():
            found = self.policy.model.generate(
                asked, attention_mask=torch.ones_like(asked), do_sample=True, top_k=0, eos_token_id=None,
                pad_token_id=self.policy.pad, max_new_tokens=self.size.new)
        return found.numel() - asked.numel()

    def text(self) -> Callable[[], float]:
        """Tokens learned from by next-token prediction."""
        rows, length = self.size.text
        stage = pretrain(self.copy(), self.corpus, Pretrain(tokens=10**9, batch_size=rows, length=length))
        return lambda: rows * length * bool(next(stage))

    def comparisons(self) -> Callable[[], float]:
        """Comparisons that a reward model learns from, K responses a prompt."""
        def words(count: int) -> str:
            drawn = torch.randint(self.size.words, (count,), generator=self.random)
            return " ".join(f"w{n}" for n in drawn.tolist())

        ranked = [Ranking(words(self.size.prompt), tuple(words(self.size.new - 1) for _ in range(K)),
                          tuple(range(1, K + 1))) for _ in range(self.size.rankings)]
        stage = train_reward(ScalarModel.on(self.policy), ranked, Reward(epochs=10**6, batch_size=self.size.rankings))
        return lambda: self.size.rankings * K * (K - 1) // 2 * bool(next(stage))

    def config(self, gamma: float) -> Run:
        """The preset gpt2, with PPO's batches of this size."""
        ppo = replace(presets.gpt2.ppo, prompts=self.size.rows, episodes=self.size.rows * 1000, gamma=gamma,
                      batch_size=self.size.rows, minibatch_size=self.size.minibatch, max_new_tokens=self.size.new,
                      ptx_ratio=8, ptx_length=self.size.prompt + self.size.new)
        return replace(presets.gpt2, base_model=self.size.base, architecture=self.size.architecture, ppo=ppo)

    def episodes(self, gamma: float) -> Callable[[], float]:
        """Episodes of PPO, or of PPO-ptx with 8 rows of text an episode."""
        config, policy = self.config(gamma).ppo, self.copy()
        stage = ppo_ptx(policy, policy.frozen(), ScalarModel.on(policy).frozen(), self.prompts, config, self.corpus)
        return lambda: self.size.rows * bool(next(stage))

    def planned(self, gamma: float) -> float:
        """GB that `plan` says PPO needs."""
        needs = {need.stage: need for need in plan(self.config(gamma), CARDS["h100"], self.how, self.size.prompt)}
        return needs["ppo_ptx" if gamma else "ppo"].total / 1e9

    def apart(self) -> list[float]:
        """Nats that log-probs of responses differ in this precision from those in float32, on average."""
        rollout = self.policy.sample(self.prompts[:16], max_new_tokens=self.size.new, generator=self.random)
        with torch.no_grad():
            ours = self.policy.logp(rollout)
            kept, self.policy.autocast = self.policy.autocast, None
            exact, self.policy.autocast = self.policy.logp(rollout), kept
        return [(ours - exact)[rollout.mask_BT].abs().mean().item()]

    def speeds(self, make: Callable[[], Callable[[], float]], rounds: int,
               said: list[str]) -> tuple[list[float], list[float]]:
        """Units a second of each round but the first; GB of a card beyond the policy's; `said` gets a profile."""
        found, gpu = [], self.device.type == "cuda"
        if gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
        work = make()
        for _ in range(rounds + 1):
            self.finished()
            start = perf_counter()
            units = work()
            self.finished()
            found.append(units / (perf_counter() - start))
        peak = [(used(self.device)[1] - before) / 1e9] if gpu else []
        kinds = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * gpu]
        with profile(activities=kinds) as seen:
            work()
            self.finished()
        order = "self_cuda_time_total" if gpu else "self_cpu_time_total"
        said.append(seen.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=60))
        return found[1:], peak


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--toy", action="store_true", help="a size for any CPU")
    parser.add_argument("--precision", default="auto", help="of hardware.precision")
    options = parser.parse_args()
    size = TOY if options.toy else CARD
    bench = Bench(size, Hardware(precision=options.precision, micro_batch=size.micro))
    works = {
        "decoding, 128 rows at once": (lambda: bench.decoding(128), "tokens/s", None),
        f"decoding, {size.rows} rows at once": (lambda: bench.decoding(size.rows), "tokens/s", 500_000),
        "decoding, generate of transformers": (lambda: bench.generating, "tokens/s", None),
        f"text, rows of {size.text[1]}": (bench.text, "tokens/s", 400_000),
        f"reward model, K = {K}": (bench.comparisons, "comparisons/s", None),
        "PPO": (lambda: bench.episodes(0.0), "episodes/s", 1_100),
        "PPO-ptx": (lambda: bench.episodes(presets.gpt2.ppo.gamma), "episodes/s", size.rows / 1.5)}
    rows, said = [], []
    for what, (make, unit, goal) in works.items():
        print(f"{what} ...", flush=True)
        found, peak = bench.speeds(make, options.rounds, said)
        rows.append(Row(what, unit, found, None if options.toy else goal))
        if peak:
            rows.append(Row("  peak memory", "GB", peak))
        if what.startswith("PPO"):
            gamma = presets.gpt2.ppo.gamma * (what == "PPO-ptx")
            rows.append(Row("  planned", "GB", [bench.planned(gamma)]))
    rows.append(Row("log-probs, from those in float32", "nats", bench.apart()))
    finish(rows, options, {"device": used(bench.device)[0], "size": asdict(size), "hardware": asdict(bench.how)})
    if options.out:
        told = zip(works, said, strict=True)
        options.out.with_suffix(".txt").write_text("\n\n".join(f"{what}\n{table}" for what, table in told))


if __name__ == "__main__":
    main()
