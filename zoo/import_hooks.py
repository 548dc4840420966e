"""Runs something around the import of a package that is not ours, without importing it."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from types import ModuleType


def run_around_import(name: str, around: Callable[[], AbstractContextManager[None]]) -> None:
    """Opens `around()` while the top-level package `name` is imported for the first time; nothing if it was already."""
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name, around))


class _Finder:
    """Finds the package where everybody finds it, and executes it inside the context."""

    def __init__(self, name: str, around: Callable[[], AbstractContextManager[None]]) -> None:
        self._name, self._around = name, around
        self._searching = False

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name or self._searching:
            return None
        self._searching = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            self._wrap(spec)
        return spec

    def _wrap(self, spec: ModuleSpec) -> None:
        # The loader stays the same object: others ask it for sources and resources.
        execute = spec.loader.exec_module

        def execute_inside(module: ModuleType) -> None:
            with self._around():
                execute(module)
            # Not as it was found: to look for a package is not to import it.
            if self in sys.meta_path:
                sys.meta_path.remove(self)

        spec.loader.exec_module = execute_inside
