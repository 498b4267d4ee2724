"""python -m instructgpt_lite base: the base model of a preset, from scratch."""

from dataclasses import dataclass, replace
from pathlib import Path

from instructgpt_lite.cli.progress import Bars
from instructgpt_lite.config import Architecture, Pretrain, Run
from instructgpt_lite.presets import PRESETS


@dataclass
class BaseCommand:
    """Pretrain the base model of a preset from scratch."""

    architecture: Architecture
    pretrain: Pretrain
    preset: str
    """Whose numbers are the defaults: tiny, nano or micro."""
    world: int = 0
    """Which tiny world: facts, people, prompts."""
    out: Path | None = None
    """Folder to write; bases/PRESET if not given. Only a base is overwritten."""

    @classmethod
    def of(cls, preset: Run) -> "BaseCommand":
        """With the numbers of a preset."""
        return cls(preset.architecture, preset.pretrain, preset.preset, preset.world)

    def __call__(self) -> int:
        """Pretrain with progress; write a model folder and what it depends on."""
        path = self.out or Path("bases") / self.preset
        if path.exists() and not (path / "made_by.json").exists():
            raise ValueError(f"{path} is there and is no base model (it has no "
                             "made_by.json): name another folder with --out")
        import torch

        from instructgpt_lite.models.networks import Policy
        from instructgpt_lite.run.folder import save_base
        from instructgpt_lite.training.pretrain import pretrain
        from instructgpt_lite.world.world import World

        config = replace(PRESETS[self.preset], architecture=self.architecture,
                         pretrain=self.pretrain, world=self.world)
        torch.set_num_threads(config.threads)
        world = World(self.world)
        policy = Policy.new(self.architecture, world.tokenizer(), self.pretrain.seed)
        corpus = world.corpus(policy.tokenizer)
        with Bars({"base": ("loss",)}) as bars:
            for row in pretrain(policy, corpus, self.pretrain):
                bars.show({"stage": "base", **row})
        save_base(policy, config, path)
        print(f"{path}: loss {row['loss']:.3f} nats per token "
              f"after {row['tokens']:,} tokens")
        return 0
