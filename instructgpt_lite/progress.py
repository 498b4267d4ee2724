"""Progress bars of a run: one line a stage, with the numbers worth watching."""

from pathlib import Path

from tqdm import tqdm

WATCHED = {"base": ["loss"], "sft": ["loss"], "rl_init": ["loss", "ptx_loss"], "collect": ["pairs"],
           "reward": ["loss", "accuracy"], "ppo": ["score", "kl", "length"],
           "ppo_ptx": ["score", "kl", "ptx_loss"], "evaluate": []}
