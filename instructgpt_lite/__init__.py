"""InstructGPT Lite: SFT, a reward model from rankings, PPO and PPO-ptx, small enough to read.

    import instructgpt_lite as ig

Names are loaded when first used, so importing this costs nothing (no torch).
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "presets": "presets", "Run": "config", "PPO": "config", "SFT": "config", "RLInit": "config", "Reward": "config",
    "World": "world.world", "Prompt": "data.records", "Demonstration": "data.records", "Ranking": "data.records",
    "read_jsonl": "data.jsonl", "write_jsonl": "data.jsonl",
    "Policy": "models.networks", "ScalarModel": "models.networks", "Rollout": "models.sampling",
    "pretrain": "training.pretrain", "finetune": "training.sft", "collect": "training.reward",
    "train_reward": "training.reward", "center": "training.reward", "ppo_ptx": "training.ppo_ptx",
    "gold_win_rate": "judging.policies",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"instructgpt_lite has no {name!r}; it has {', '.join(__all__)}")
    module = import_module(f"instructgpt_lite.{_HOME[name]}")
    value = module if _HOME[name] == name == "presets" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
