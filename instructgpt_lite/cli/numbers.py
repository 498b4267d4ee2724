"""Numbers that no stage can work with: a batch of -1, a learning rate below 0."""

from dataclasses import fields, is_dataclass
from typing import Any

from instructgpt_lite.config import Architecture

MOST = 1e100                         # of what has no other end, and is finite
# Least and most of a number; of others 1, if the default is whole and above 0, or 0.
LIMITS = {
    **dict.fromkeys(("warmup", "shots", "ptx_ratio"), (0, MOST)),
    **dict.fromkeys("lam ema heldout judge ranked heldout_share".split(), (0, 1)),
    **dict.fromkeys(("pretraining_mix", "dropout"), (0, 0.99)),
    "temperature": (1e-6, MOST), "episodes": ("batch_size", MOST),
    "adam_betas": (0, 0.99999), "K_min": (2, "K_max"),
    "threads": (1, 1024), "seed": (0, 1e12)}


def check_numbers(part: Any, before: str = "--") -> None:
    """ValueError names the flag of a number out of its limits, here or in a part."""
    for field in fields(part):
        name, value = field.name, getattr(part, field.name)
        flag = before + name.replace("_", "-")
        if is_dataclass(value):
            check_numbers(value, before if name == "config" else f"{flag}.")
        whole = type(field.default) is int and field.default > 0
        low, high = (getattr(part, each) if isinstance(each, str) else each
                     for each in LIMITS.get(name, (int(whole), MOST)))
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not low <= number <= high:
                raise ValueError(f"{flag} is {number}: take {low:g} to {high:g}")
    if isinstance(part, Architecture) and part.width % part.heads:
        raise ValueError(f"{before}heads is {part.heads}, which does not divide "
                         f"{before}width, {part.width}: take another")
