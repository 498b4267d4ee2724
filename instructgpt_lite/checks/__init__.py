"""Independent oracles, and checks of a student's function against them.

    from instructgpt_lite import checks
    checks.check_reward_loss(my_reward_loss)

Silent if it is right, else a sentence that helps. Nothing else of ours is imported.
Every function check_... of the modules here is found under its name; where there is no
torch, as in the reader's browser, of the modules that do without it. `confirm` is what
assignments test with.
"""

from importlib import import_module
from pkgutil import iter_modules

from instructgpt_lite.checks.verdict import confirm

for _found in iter_modules(__path__):
    try:
        _module = import_module(f"{__name__}.{_found.name}")
    except ModuleNotFoundError as _missing:
        if _missing.name != "torch":
            raise
        continue
    globals().update({name: check for name, check in vars(_module).items()
                      if name.startswith("check_")})
