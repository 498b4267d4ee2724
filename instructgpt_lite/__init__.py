"""InstructGPT Lite: SFT, a reward model from rankings, PPO and PPO-ptx.

    import instructgpt_lite as ig

Names are loaded when first used, so importing this costs nothing (no torch).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "config": "PPO Reward RLInit Run SFT",
    "data.jsonl": "read_jsonl write_jsonl",
    "data.records": "Demonstration Prompt Ranking",
    "judging.policies": "gold_win_rate",
    "models.networks": "Policy ScalarModel",
    "models.sampling": "Rollout",
    "presets": "presets",
    "training.ppo_ptx": "ppo_ptx",
    "training.pretrain": "pretrain",
    "training.reward": "center collect train_reward",
    "training.sft": "finetune",
    "world.world": "World",
}
_HOME = {name: home for home, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"instructgpt_lite has no {name!r}; it has "
                             f"{', '.join(__all__)}")
    module = import_module(f"instructgpt_lite.{_HOME[name]}")
    value = module if _HOME[name] == name == "presets" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
