"""A device that is not there: tensors say they live on it, compute on the CPU, and refuse what CUDA refuses.

Code that forgets to move a tensor, or hands a CPU generator to a draw on the device, passes every test
on a CPU. Here it raises, in the words of CUDA. Within `with pretending():`, `module.to(DEVICE)`,
`tensor.to(DEVICE)` and `device=DEVICE` work as they do with a card.
"""

import contextlib
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("pretend")
DEVICE = torch.device("pretend:0")

aten = torch.ops.aten
MOVES = {aten._to_copy, aten.copy_, aten._copy_from}
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index,
           aten._unsafe_index_put}                       # their indices may be on the CPU


class Pretend(torch.Tensor):
    """A tensor on the device; `.inner` is where its numbers are."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Pretend":
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=DEVICE)

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"Pretend({self.inner})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class Dispatched(TorchDispatchMode):
    """Sees the calls that make tensors on the device out of nothing."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class Called(TorchFunctionMode):
    """Sees what no dispatch mode does: `torch.tensor`, `torch.as_tensor`, `tolist`, storages."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor) and on_the_device(kwargs.get("device")):
            return function(*args, **{**kwargs, "device": None}).to(DEVICE)
        if function in (torch.Tensor.tolist, torch.Tensor.untyped_storage) and isinstance(args[0], Pretend):
            return function(args[0].inner)
        generator = kwargs.get("generator")
        if isinstance(generator, Generator) and on_the_device(generator.device):
            with patch.object(Generator, "asked", True):
                return function(*args, **kwargs)
        return function(*args, **kwargs)


class Generator(torch.Generator):
    """A generator on the device, or where else it is asked for; below Python all are the CPU's."""

    asked = False                        # whether one of the device draws now

    def __new__(cls, device="cpu"):
        made = super().__new__(cls, "cpu" if on_the_device(device) else device)
        made.place = torch.device(device)
        return made

    def __init__(self, device="cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return self.place


@contextlib.contextmanager
def pretending():
    """Where this holds, the device is there."""
    with Called(), Dispatched(), patch.object(torch, "Generator", Generator):
        yield DEVICE


def on_the_device(device) -> bool:
    return device is not None and torch.device(device).type == "pretend"


def run(function, args: tuple, kwargs: dict):
    """Call a function of aten on the CPU, if a card would have done it."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    ours, device = any(isinstance(each, Pretend) for each in tensors), kwargs.get("device")
    if not ours and not on_the_device(device):
        return function(*args, **kwargs)
    here = on_the_device(device) or device is None
    refuse(function, args, kwargs, tensors, here)
    unwrapped, named = tree_map_only(Pretend, lambda each: each.inner, (args, kwargs))
    if on_the_device(device):
        named["device"] = torch.device("cpu")
    result = function(*unwrapped, **named)
    if function._schema.is_mutable and not isinstance(result, (list, tuple)):
        return args[0] if function._schema.returns and "out" not in kwargs else kwargs.get("out", result)
    if function.overloadpacket is aten._to_copy and not here:
        return result.clone()
    return tree_map_only(torch.Tensor, Pretend, result) if here else result


def refuse(function, args: tuple, kwargs: dict, tensors: list, here: bool) -> None:
    """RuntimeError where CUDA has one."""
    generator = kwargs.get("generator")
    if here and generator is not None and not Generator.asked:
        raise RuntimeError(f"Expected a 'pretend' device type for generator but found '{generator.device.type}'")
    packet = function.overloadpacket
    if packet in MOVES:
        return
    if packet in INDEXED:
        tensors = [each for each in (args[0], *args[2:3]) if isinstance(each, torch.Tensor)]
    strangers = [each for each in tensors if not isinstance(each, Pretend) and each.dim()]
    if strangers:
        raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices, "
                           f"{DEVICE} and cpu! ({function}, {[tuple(each.shape) for each in strangers]})")
