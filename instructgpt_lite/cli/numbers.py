"""Numbers that no stage can work with: a batch of -1, a learning rate below 0."""

from dataclasses import fields, is_dataclass
from math import inf
from typing import Any

# Least and most of a number; of others 1, if the default is whole and above 0, or 0.
LIMITS = {
    **dict.fromkeys(("warmup", "shots", "ptx_ratio"), (0, inf)),
    **dict.fromkeys("lam ema heldout judge ranked heldout_share".split(), (0, 1)),
    **dict.fromkeys(("pretraining_mix", "dropout"), (0, 0.99)),
    "temperature": (1e-6, inf), "episodes": ("batch_size", inf), "K_min": (2, "K_max")}


def check_numbers(part: Any, before: str = "--") -> None:
    """ValueError names the flag of a number out of its limits, here or in a part."""
    for field in fields(part):
        name, value = field.name, getattr(part, field.name)
        flag = before + name.replace("_", "-")
        if is_dataclass(value):
            check_numbers(value, before if name == "config" else f"{flag}.")
        elif isinstance(value, int | float):
            whole = type(field.default) is int and field.default > 0
            low, high = (getattr(part, each) if isinstance(each, str) else each
                         for each in LIMITS.get(name, (int(whole), inf)))
            if not low <= value <= high:
                raise ValueError(f"{flag} is {value}: take {low:g} to {high:g}")
