"""Makes the zoo's classes known to Keras as soon as there is a Keras, so that a .keras file of theirs loads."""

import contextlib
import importlib
import sys
from collections.abc import Iterator

from cortexzoo.import_hooks import run_around_import


def register_with_keras() -> None:
    """Registers layers and models: at once where Keras is imported, else when it is. Does not import Keras itself."""
    if "keras" in sys.modules:
        _register()
    else:
        run_around_import("keras", _registered)


def _register() -> None:
    # Its classes are decorated with `register_keras_serializable`.
    importlib.import_module("cortexzoo.models")


@contextlib.contextmanager
def _registered() -> Iterator[None]:
    yield
    _register()
