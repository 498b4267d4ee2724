"""Hold run/plan.py against what stages of a randomly initialised GPT-2 of 124M weights really take on a CPU.

    python tools/measure_memory.py          # about 10 minutes and 8 GB; writes results/memory.json

Each stage is one process: peak resident memory after two steps, less what the process had before its models were made.
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
    collect=replace(gpt2.collect, max_new_tokens=NEW, K_min=4, K_max=4),
    reward=replace(gpt2.reward, batch_size=2),
    ppo=replace(gpt2.ppo, prompts=8, episodes=16, batch_size=8, minibatch_size=8, ptx_ratio=0.25, ptx_length=256,
                max_new_tokens=NEW))
STAGES = ("sft", "reward", "ppo_ptx")


def resident() -> int:
    """Bytes of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def taken(stage: str, config: Run) -> int:
    """Peak bytes of one step of a stage, beyond those of the imports."""
    import torch

    from instructgpt_lite.data.records import Demonstration, Ranking
    from instructgpt_lite.data.tokenizers import word_tokenizer
    from instructgpt_lite.models.networks import Policy, ScalarModel
    from instructgpt_lite.training.ppo_ptx import ppo_ptx
    from instructgpt_lite.training.reward import train_reward
    from instructgpt_lite.training.sft import finetune

    class Corpus:
        def rows(self, count: int, length: int, generator: torch.Generator) -> torch.Tensor:
            return torch.randint(50_000, (count, length), generator=generator)

    words = word_tokenizer([f"w{n}" for n in range(50_255)])
    ask, say = (" ".join(f"w{n}" for n in range(count)) for count in (TEXT, NEW - 1))
    before = resident()
    policy = Policy.new(Architecture(), words, seed=0)
    if stage == "sft":
        list(finetune(policy, [Demonstration(ask, say)] * 16, config.sft))
    elif stage == "reward":
        reward = ScalarModel.on(policy)
        del policy
        others = tuple(f"{say} w{n}".removeprefix("w0 ") for n in range(4))
        list(train_reward(reward, [Ranking(ask, others, (1, 2, 3, 4))] * 4, config.reward))
    else:
        policy.speak("{prompt}\n", fixed_length=True)
        reward = ScalarModel.on(policy).frozen()
        list(ppo_ptx(policy, policy.frozen(), reward, [ask] * 8, config.ppo, Corpus()))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def main() -> None:
    planned = {need.stage: need.total for need in plan(CONFIG, CARDS["cpu"], text=TEXT)}
    found = {}
    for stage in STAGES:
        told = subprocess.run([sys.executable, __file__, stage], capture_output=True, text=True, check=True, cwd=ROOT)
        peak = int(told.stdout.split()[-1])
        found[stage] = {"planned": round(planned[stage]), "measured": peak, "ratio": round(planned[stage] / peak, 3)}
        print(stage, found[stage], flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    import torch
    write_json(ROOT / "results" / "memory.json", {
        "command": "python tools/measure_memory.py", "commit": commit, "torch": torch.__version__, "device": "cpu",
        "unit": "bytes", "config": json.loads(json.dumps(asdict(CONFIG))), "stages": found})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(taken(sys.argv[1], CONFIG))
    else:
        main()
