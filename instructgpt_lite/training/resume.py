"""Where a stage stands: stopped anywhere, even killed, it goes on bit for bit.

A checkpoint is two files. `12.safetensors` holds the weights and the optimizers' state
after step 12; `12.json`, written after it, its sha256. A checkpoint is whole where the
digest is right; others are passed over. Nothing is ever unpickled. The randomness of a
step comes from `loop.generator`, so there is no random state to keep.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from instructgpt_lite.files import digests, replacing, write_json


class ResumeState:
    """The steps that a stage has done, and the modules and optimizers that it changes.

    resume = ResumeState.newest(folder)                  # or ResumeState(), to begin
    resume.track(policy=policy, optimizers=optimizers)   # gives them what was saved
    for step in range(resume.step, steps): ...; resume.step = step + 1; yield row
    resume.save(folder)                                  # between two steps
    """

    def __init__(self) -> None:
        self.step = 0
        self.seconds = 0.0               # of CPU, for whoever counts them
        self.numbers: dict[str, float] = {}              # that a stage goes on with
        self._tracked: dict[str, nn.Module | Optimizer] = {}
        self._saved: dict[str, Tensor] = {}
        self._groups: dict[str, list[dict]] = {}
        self._scales: dict[str, dict[str, float]] = {}   # of losses in fp16
        self._kept: list[int] = []       # the checkpoints that `save` does not remove

    @classmethod
    def newest(cls, folder: Path | str) -> "ResumeState":
        """From the last whole checkpoint in `folder`, or new; warns of damaged ones."""
        for digest in sorted(Path(folder).glob("*.json"), key=_step, reverse=True):
            try:
                return cls._read(digest.with_suffix(".safetensors"))
            except (ValueError, OSError) as why:
                warnings.warn(f"passed over a damaged checkpoint: {why}", stacklevel=2)
        return cls()

    @classmethod
    def _read(cls, path: Path) -> "ResumeState":
        said = json.loads(path.with_suffix(".json").read_bytes())
        if said != digests(path, path.parent):
            raise ValueError(f"{path} or its digest is not what was saved")
        resume = cls()
        with safe_open(path, "pt") as file:
            resume._saved = {name: file.get_tensor(name) for name in file.keys()}
            state = json.loads(file.metadata()["state"])
        resume.step, resume.seconds = state["step"], state["seconds"]
        resume.numbers = state.get("numbers", {})        # older checkpoints had none
        resume._groups, resume._kept = state["groups"], [resume.step]
        resume._scales = state.get("scales", {})
        return resume

    def track(self, **named: nn.Module | Sequence[Optimizer]) -> None:
        """What to save from now on; when going on, gives it what was saved, in place.

        ValueError names what does not fit the checkpoint.
        """
        for name, thing in named.items():
            parts = {name: thing}
            if not isinstance(thing, nn.Module):
                parts = {f"{name}.{i}": optimizer for i, optimizer in enumerate(thing)}
            self._tracked |= parts
            for part in parts if self.step else ():
                self._restore(part)

    def tracked(self, name: str) -> nn.Module:
        """A module that the stage changes, such as the "value" of PPO."""
        return self._tracked[name]

    def save(self, folder: Path | str) -> None:
        """Write a checkpoint, and remove those before the last two.

        OSError says how many bytes it needs, and leaves the older ones as they are.
        """
        path = Path(folder) / f"{self.step}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"{name}:{key}": tensor.detach().cpu().contiguous()
                   for name, thing in self._tracked.items()
                   for key, tensor in _tensors(thing).items()}
        groups = {name: thing.state_dict()["param_groups"]
                  for name, thing in self._tracked.items()
                  if isinstance(thing, Optimizer)}
        scales = {name: vars(thing.loss_scale) for name, thing in self._tracked.items()
                  if getattr(thing, "loss_scale", None)}
        state = {"step": self.step, "seconds": self.seconds, "groups": groups,
                 "numbers": self.numbers, "scales": scales}
        needs = sum(tensor.nbytes for tensor in tensors.values())
        with replacing(path, needs) as temporary:
            save_file(tensors, temporary, {"state": json.dumps(state)})
        write_json(path.with_suffix(".json"), digests(path, path.parent))
        self._kept = [*self._kept, self.step][-2:]
        for old in sorted(path.parent.glob("[0-9]*")):     # 12.json before its tensors
            if _step(old) not in self._kept:
                old.unlink()

    def _restore(self, name: str) -> None:
        thing, prefix = self._tracked[name], f"{name}:"
        saved = {key.removeprefix(prefix): tensor
                 for key, tensor in self._saved.items() if key.startswith(prefix)}
        if isinstance(thing, Optimizer):
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in saved.items():
                number, kind = key.split(".")
                state.setdefault(int(number), {})[kind] = tensor
            groups = self._groups.get(name, [])
            thing.load_state_dict({"state": state, "param_groups": groups})
            return
        here = _tensors(thing)
        for key in saved | here:
            shapes = [tensors[key].shape for tensors in (saved, here) if key in tensors]
            if len(shapes) < 2 or shapes[0] != shapes[1]:
                raise ValueError(f"{name}.{key} is not as in the checkpoint: "
                                 "go on with the configuration that made it")
        with torch.no_grad():
            for key, tensor in saved.items():
                here[key].copy_(tensor)
        if getattr(thing, "loss_scale", None):
            vars(thing.loss_scale).update(self._scales.get(name, {}))


def _tensors(thing: nn.Module | Optimizer) -> dict[str, Tensor]:
    """A module's weights and buffers, tied ones once; an optimizer's state, flat."""
    if isinstance(thing, nn.Module):
        return dict(thing.named_parameters()) | dict(thing.named_buffers())
    return {f"{number}.{kind}": tensor
            for number, state in thing.state_dict()["state"].items()
            for kind, tensor in state.items()}


def _step(path: Path) -> int:
    return int(path.name.split(".")[0])
