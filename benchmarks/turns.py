"""TRL's trainers, and ours taking turns with them in one process: an update of theirs, then one of ours."""

import time
from collections.abc import Callable

import torch
from transformers import TrainerCallback

# Everything that would only slow TRL down on a CPU, or change its mathematics, is off.
PLAIN = dict(bf16=False, gradient_checkpointing=False, use_cpu=True, report_to="none", disable_tqdm=True,
             save_strategy="no", lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=0.0,
             adam_beta1=0.9, adam_beta2=0.95, adam_epsilon=1e-8, logging_steps=1_000_000)


class Turns(TrainerCallback):
    """After every update of TRL's one of ours; `trl` and `ours` are the seconds of each, round by round.

    Of a CPU they are CPU-seconds, of a card those of the wall, read when it has finished. What TRL does between two
    updates, logging and garbage collection included, is time of TRL's.
    """

    def __init__(self, ours: Callable[[], object], device: str = "cpu") -> None:
        self.update, self.device, self.trl, self.ours = ours, device, [], []

    def now(self) -> float:
        if self.device == "cpu":
            return time.process_time()
        torch.accelerator.synchronize()
        return time.perf_counter()

    def on_train_begin(self, *_, **__) -> None:
        self.start = self.now()

    def on_step_end(self, *_, **__) -> None:
        theirs = self.now()
        self.update()
        self.trl.append(theirs - self.start)
        self.start = self.now()
        self.ours.append(self.start - theirs)
