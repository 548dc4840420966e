"""Programs with flags of their own, in one process with others."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

from absl import flags


@contextlib.contextmanager
def without_other_flags() -> Iterator[None]:
    """Puts the flags of other programs aside, and takes those away that were defined meanwhile."""
    values = flags.FLAGS
    before = {flag.name: flag for name, own in values.flags_by_module_dict().items() if is_ours(name) for flag in own}
    for name in before:
        delattr(values, name)
    yield
    for own in [own for name, own in values.flags_by_module_dict().items() if is_ours(name)]:
        for flag in own:
            delattr(values, flag.name)
    for name, flag in before.items():
        values[name] = flag


@contextlib.contextmanager
def alone(module: str) -> Iterator[ModuleType]:
    """Imports a module that defines flags, as if it were the only one."""
    with without_other_flags():
        sys.modules.pop(module, None)
        yield importlib.import_module(module)
        sys.modules.pop(module, None)


def is_ours(module: str) -> bool:
    return module.startswith(("cortexzoo", "benchmarks", "examples"))
