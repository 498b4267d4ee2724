"""Every byte of every tensor that is alive: what an allocator would have handed out, on any device."""

import weakref

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Within, `now` is the bytes of all tensors that operations made and of those given; `peak` the most there were."""

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        self.known: dict[int, weakref.ref] = {}
        self.now = self.peak = 0
        for network in networks:
            for tensor in network.parameters():
                self.count(tensor)

    def count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()

        def gone(_: weakref.ref) -> None:
            self.now -= size
            del self.known[key]

        if size and key not in self.known:
            self.known[key] = weakref.ref(storage, gone)
            self.now += size
            self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, Tensor):
                self.count(each)
        return made
