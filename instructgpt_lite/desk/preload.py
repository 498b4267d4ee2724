"""torch for a sandbox, handed over in one piece.

In there each look at a file is asked for and answered, and importing torch takes some
15,000 looks. So its modules are collected once, outside, and sent through the pipe. The
text of this file runs in the sandbox, too: it imports nothing of ours.
"""

import marshal
import os
import subprocess
import sys
from functools import cache
from importlib.machinery import ModuleSpec

COLLECT = """
import ast, ctypes, json, marshal, platform, struct, sys, tempfile, torch
if "optim" in sys.argv: import torch._dynamo
found = {}
for name, module in list(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec and spec.name == name and str(spec.origin).endswith(".py"):
        inside = spec.submodule_search_locations
        code = marshal.dumps(spec.loader.get_code(name))
        found[name] = spec.origin, inside and list(inside), code
sys.stdout.buffer.write(marshal.dumps(found))
"""


@cache
def modules(optim: bool) -> bytes:
    """The modules that a sandbox starts with, with torch's optimizers or without.

    OSError where Python does not find torch by itself.
    """
    command = [sys.executable, "-I", "-B", "-c", COLLECT, *["optim"] * optim]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    if made.returncode:
        why = made.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(f"{sys.executable} -I does not start torch ({why}): install this "
                      "package and torch into its own environment")
    return len(made.stdout).to_bytes(8, "little") + made.stdout


class Handed:
    """An importer of the modules that `modules` has collected."""

    def __init__(self, found: dict) -> None:
        self.found = found

    def find_spec(self, name: str, path: object = None,
                  target: object = None) -> ModuleSpec | None:
        """Of a module that is there; others are looked for as ever."""
        if name not in self.found:
            return None
        origin, inside, _ = self.found[name]
        spec = ModuleSpec(name, self, origin=origin, is_package=inside is not None)
        spec.has_location, spec.submodule_search_locations = True, inside
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """None: an ordinary one."""

    def exec_module(self, module: object) -> None:
        """Run its code in it."""
        exec(marshal.loads(self.found[module.__name__][2]), module.__dict__)


def receive(pipe: int = 0) -> None:
    """In the sandbox: take the modules from a pipe, and import from them."""
    with os.fdopen(os.dup(pipe), "rb", buffering=0) as source:
        size, parts = int.from_bytes(source.read(8), "little"), []
        while size:
            parts.append(source.read(size))
            size -= len(parts[-1])
    sys.meta_path.insert(0, Handed(marshal.loads(b"".join(parts))))
    os.path.realpath = os.path.abspath        # torch asks 10,000 times; no link matters
