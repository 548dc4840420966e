"""Programs with flags of their own, in one process with others."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

from absl import flags


@contextlib.contextmanager
def alone(module: str) -> Iterator[ModuleType]:
    """Imports a module that defines flags, as if it were the only one of ours."""
    before = _our_flags()
    _remove(before)
    sys.modules.pop(module, None)
    try:
        yield importlib.import_module(module)
    finally:
        _remove(_our_flags())
        sys.modules.pop(module, None)
        for name, flag in before:
            flags.FLAGS[flag.name] = flag
            flags.FLAGS.register_flag_by_module(name, flag)


def _our_flags() -> list[tuple[str, flags.Flag]]:
    found = flags.FLAGS.flags_by_module_dict().items()
    return [(name, flag) for name, own in found if name.startswith(("cortexzoo", "benchmarks", "examples")) for flag in own]


def _remove(found: list[tuple[str, flags.Flag]]) -> None:
    for _, flag in found:
        if flag.name in flags.FLAGS:
            delattr(flags.FLAGS, flag.name)
