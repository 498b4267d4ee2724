"""Make the base models that the package ships, from scratch.

    python tools/bases.py tiny              instructgpt_lite/bases/tiny; minutes to hours, by the preset
    python tools/bases.py nano --out NEW    another folder
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import instructgpt_lite
from instructgpt_lite.cli.progress import Bars
from instructgpt_lite.config import Run
from instructgpt_lite.files import digests, replacing, write_json
from instructgpt_lite.models.networks import Policy
from instructgpt_lite.presets import PRESETS
from instructgpt_lite.run.folder import made_by
from instructgpt_lite.training.pretrain import pretrain
from instructgpt_lite.world import world as worlds

SHIPPED = Path(instructgpt_lite.__file__).parent / "bases"


def make(config: Run, path: Path) -> str:
    """Pretrain with progress; write a model folder and what it depends on. Only a base is overwritten."""
    if path.exists() and not (path / "made_by.json").exists():
        raise ValueError(f"{path} is there and is no base model (it has no made_by.json): "
                         "name another folder with --out")
    torch.set_num_threads(config.threads)
    world = worlds.World(config.world)
    policy = Policy.new(config.architecture, world.tokenizer(), config.pretrain.seed)
    with Bars({"base": ("loss",)}) as bars:
        for row in pretrain(policy, world.corpus(policy.tokenizer), config.pretrain):
            bars.show({"stage": "base", **row})
    with replacing(path) as temporary:
        policy.save(temporary)
        write_json(temporary / "made_by.json", made_by(config) | {"files": digests(temporary, temporary)})
    return f"{path}: loss {row['loss']:.3f} nats per token after {row['tokens']:,} tokens"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("--world", type=int, default=0)
    parser.add_argument("--out", type=Path)
    flags = parser.parse_args()
    print(make(replace(PRESETS[flags.preset], world=flags.world), flags.out or SHIPPED / flags.preset))
