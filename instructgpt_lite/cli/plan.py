"""python -m instructgpt_lite plan: memory and time of a run, before it begins."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from instructgpt_lite.config import Run
from instructgpt_lite.run.plan import CARDS, GB, Card, Need, fitting, plan


@dataclass
class PlanCommand:
    """Say what a run needs of a card; nothing is downloaded."""

    config: Annotated[Run, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands]
    gpu: str = "t4"
    """t4, l4, a100, h100, h200, rtx4090, or cpu."""
    memory: float = 0.0
    """GB of a card that is not in the list, with the next three."""
    tflops: float = 0.0
    """Its peak in 16 bits."""
    fp32: float = 0.0
    """Its peak in 32 bits, TFLOP/s."""
    bandwidth: float = 0.0
    """GB/s of its memory."""

    def __call__(self) -> int:
        """Print a row for each stage, and the flags that fit."""
        card = self.card()
        how = fitting(self.config, card)
        print(table(plan(self.config, card, how), card))
        if how is None:
            print(f"It does not fit {card.memory:g} GB, even one row at a time: take "
                  "shorter texts, a smaller model, or a larger card")
            return 1
        flags = [f"--hardware.micro-batch {how.micro_batch}"] * (
            how.micro_batch != self.config.hardware.micro_batch)
        flags += ["--hardware.checkpointing"] * (
            how.checkpointing and not self.config.hardware.checkpointing)
        print(f"with {' '.join(flags)}" if flags else "as it is configured")
        return 0

    def card(self) -> Card:
        """The one that is named or described; ValueError where there is none."""
        own = self.memory, self.tflops, self.fp32, self.bandwidth
        if all(each > 0 for each in own):
            return Card(*own)
        if any(own):
            raise ValueError("a card of your own wants all of --memory, --tflops, "
                             "--fp32 and --bandwidth, above 0")
        if self.gpu not in CARDS:
            raise ValueError(f"--gpu {self.gpu}: no such card; there are "
                             f"{', '.join(CARDS)}, or describe it with --memory, "
                             "--tflops, --fp32 and --bandwidth")
        return CARDS[self.gpu]


def table(needs: list[Need], card: Card) -> str:
    """GB and minutes of each stage."""
    rows = [f"{'GB':8}{'networks':>10}{'learning':>10}{'reading':>10}{'peak':>8}"
            f"{'minutes':>10}"]
    rows += [f"{need.stage:8}{need.weights / GB:10.2f}{need.learning / GB:10.2f}"
             f"{need.reading / GB:10.2f}{need.total / GB:8.2f}{need.seconds / 60:10.1f}"
             for need in needs]
    most = max(need.total for need in needs) / GB
    return "\n".join([*rows, f"peak {most:.1f} of {card.memory:g} GB"])
