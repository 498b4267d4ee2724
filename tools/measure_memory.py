"""Hold run/plan.py against what stages of a randomly initialised GPT-2 of 124M weights really take on a CPU.

    python tools/measure_memory.py          # about 10 minutes and 8 GB; writes results/memory.json

Each stage is one process: peak resident memory after two steps (of PPO two iterations, each scored at once), less what
the process had before its models were made, and after it did the same with a model of no size.
"""

import json
import resource
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from instructgpt_lite.config import Architecture, Files, Hardware, Run
from instructgpt_lite.files import write_json
from instructgpt_lite.presets import gpt2
from instructgpt_lite.run.plan import CARDS, plan

ROOT = Path(__file__).resolve().parent.parent
TEXT, NEW = 128, 64                  # tokens of a prompt, and of a response
CONFIG = replace(
    gpt2, base_model="gpt2", data=Files(), hardware=Hardware(device="cpu"),
    sft=replace(gpt2.sft, demonstrations=16, epochs=1, batch_size=8),
    rl_init=replace(gpt2.rl_init, demonstrations=16),
    collect=replace(gpt2.collect, max_new_tokens=NEW, K_min=4, K_max=4),
    reward=replace(gpt2.reward, batch_size=2),
    ppo=replace(gpt2.ppo, prompts=8, episodes=32, batch_size=16, minibatch_size=8, ptx_ratio=0.25, ptx_length=256,
                max_new_tokens=NEW))
STAGES = ("sft", "reward", "ppo_ptx")


def resident() -> int:
    """Bytes of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def taken(stage: str, config: Run, architecture: Architecture, words: int) -> int:
    """Peak bytes of two steps of a stage, beyond those that were there before its models."""
    from instructgpt_lite.data.records import Demonstration, Ranking
    from instructgpt_lite.data.tokenizers import word_tokenizer
    from instructgpt_lite.models.networks import Policy, ScalarModel
    from instructgpt_lite.training.ppo_ptx import ppo_ptx
    from instructgpt_lite.training.reward import center, train_reward
    from instructgpt_lite.training.sft import finetune

    class Corpus:
        def rows(self, count: int, length: int, generator: object) -> object:
            import torch
            return torch.randint(words, (count, length), generator=generator)

    tokenizer = word_tokenizer([f"w{n}" for n in range(words)])
    ask, say = (" ".join(f"w{n}" for n in range(count)) for count in (TEXT, NEW - 1))
    shown = [Demonstration(ask, say)] * 16
    before = resident()
    policy = Policy.new(architecture, tokenizer, seed=0)
    if stage == "sft":
        list(finetune(policy, shown, config.sft))
    elif stage == "reward":
        reward = ScalarModel.on(policy)
        others = tuple(f"{say} w{n}".removeprefix("w0 ") for n in range(4))
        list(train_reward(reward, [Ranking(ask, others, (1, 2, 3, 4))] * 4, config.reward))
        center(reward, policy, shown)
    else:
        policy.speak("{prompt}\n", fixed_length=True)
        reward = ScalarModel.on(policy).frozen()
        list(ppo_ptx(policy, policy.frozen(), reward, [ask] * 8, config.ppo, Corpus()))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def main() -> None:
    expected = {need.stage: need.total for need in plan(CONFIG, CARDS["cpu"], text=TEXT)}
    found = {}
    for stage in STAGES:
        told = subprocess.run([sys.executable, __file__, stage], capture_output=True, text=True, check=True, cwd=ROOT)
        peak = int(told.stdout.split()[-1])
        found[stage] = {"planned": round(expected[stage]), "measured": peak, "ratio": round(expected[stage] / peak, 3)}
        print(stage, found[stage], flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    import torch
    write_json(ROOT / "results" / "memory.json", {
        "command": "python tools/measure_memory.py", "commit": commit, "torch": torch.__version__, "device": "cpu",
        "unit": "bytes", "config": json.loads(json.dumps(asdict(CONFIG))), "stages": found})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        taken(sys.argv[1], CONFIG, Architecture(layers=1, width=64, heads=1), 255)     # brings the libraries' code in
        print(taken(sys.argv[1], CONFIG, Architecture(), 50_255))
    else:
        main()
