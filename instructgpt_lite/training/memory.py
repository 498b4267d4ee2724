"""What a stage must remember to go on where it stopped, bit for bit: tensors, and numbers as JSON.

A stage draws the randomness of each step from `optim.generator`, so it has no random state to remember.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

Tracked = nn.Module | Optimizer | Sequence[Optimizer]


class Memory:
    """What a stage needs to go on: the steps done, and the tensors of what it tracks.

    memory = Memory() or, to go on, Memory.of(*checkpoint.load(folder))
    memory.track(policy=policy, adams=adams)        # restores them, if there is something to restore
    for step in range(memory.step, steps): ...; memory.step = step + 1; yield row
    checkpoint.save(folder, *memory.state())        # between two steps
    """

    def __init__(self) -> None:
        self.step = 0
        self._tracked: dict[str, Tracked] = {}
        self._saved: tuple[dict[str, Tensor], dict[str, Any]] | None = None

    @classmethod
    def of(cls, tensors: dict[str, Tensor], info: dict[str, Any]) -> "Memory":
        """The memory whose `state()` this was."""
        memory = cls()
        memory.step, memory._saved = info["step"], (tensors, info["tracked"])
        return memory

    def track(self, **named: Tracked) -> None:
        """Remember modules and optimizers; ValueError names what does not fit what was saved."""
        for name, thing in named.items():
            if name in self._tracked:
                raise ValueError(f"{name} is tracked already: go on with Memory.of(*memory.state())")
            if self._saved:
                tensors, saved = self._saved
                if name not in saved:
                    raise ValueError(f"{name} is not in the checkpoint, which has {', '.join(saved)}")
                _compare(name, saved[name]["shapes"], _shapes(thing))
                _restore(thing, {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items()
                                 if key.startswith(f"{name}.")}, saved[name]["lr"])
            self._tracked[name] = thing

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Copies of all tensors, on the CPU, and the rest as JSON. Tensors that are one stay one."""
        copies: dict[int, Tensor] = {}
        tensors, tracked = {}, {}
        for name, thing in self._tracked.items():
            for key, tensor in _tensors(thing).items():
                if id(tensor) not in copies:
                    copies[id(tensor)] = tensor.detach().to("cpu", copy=True)
                tensors[f"{name}.{key}"] = copies[id(tensor)]
            tracked[name] = {"shapes": _shapes(thing), "lr": [group["lr"] for group in _groups(thing)]}
        return tensors, {"step": self.step, "tracked": tracked}


def _optimizers(thing: Tracked) -> list[Optimizer]:
    return [] if isinstance(thing, nn.Module) else [thing] if isinstance(thing, Optimizer) else list(thing)


def _groups(thing: Tracked) -> list[dict[str, Any]]:
    return [group for optimizer in _optimizers(thing) for group in optimizer.param_groups]


def _weights(thing: Tracked) -> dict[str, tuple[Tensor, Optimizer]]:
    """Each weight that is optimized, and by which optimizer; under the weight's name if it has one."""
    weights = {}
    for i, optimizer in enumerate(_optimizers(thing)):
        for j, group in enumerate(optimizer.param_groups):
            names = group.get("param_names", range(len(group["params"])))
            weights |= {f"{i}.{j}.{name}": (p, optimizer) for name, p in zip(names, group["params"])}
    return weights


def _tensors(thing: Tracked) -> dict[str, Tensor]:
    """The state of a module or of optimizers, in place."""
    if isinstance(thing, nn.Module):
        return thing.state_dict(keep_vars=True)
    return {f"{place}.{kind}": tensor for place, (p, optimizer) in _weights(thing).items()
            for kind, tensor in optimizer.state.get(p, {}).items()}


def _restore(thing: Tracked, tensors: dict[str, Tensor], lr: list[float]) -> None:
    if isinstance(thing, nn.Module):
        thing.load_state_dict(tensors)
        return
    weights = _weights(thing)
    for key, tensor in tensors.items():
        place, _, kind = key.rpartition(".")
        p, optimizer = weights[place]
        optimizer.state[p][kind] = tensor.to(p.device, copy=True)
    for group, rate in zip(_groups(thing), lr, strict=True):
        group["lr"] = rate


def _shapes(thing: Tracked) -> dict[str, str]:
    """What a checkpoint must agree with: the type and shape of each tensor or optimized weight."""
    tensors = _tensors(thing) if isinstance(thing, nn.Module) else {
        place: p for place, (p, _) in _weights(thing).items()}
    return {key: f"{str(t.dtype).removeprefix('torch.')}{list(t.shape)}" for key, t in tensors.items()}


def _compare(name: str, saved: dict[str, str], here: dict[str, str]) -> None:
    for key in saved | here:
        if saved.get(key) != here.get(key):
            raise ValueError(f"{name}.{key} is {saved.get(key, 'missing')} in the checkpoint and "
                             f"{here.get(key, 'missing')} here: go on with the configuration that made it")
