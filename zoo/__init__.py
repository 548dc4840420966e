"""cortexzoo: brain-inspired, adversarially robust image classifiers for Keras 3 and TensorFlow.

>>> import cortexzoo as cz
>>> cz.list_models(dataset="mnist")          # cards: id, accuracy, robust accuracy, parameters, paper
>>> model = cz.load_model("mnist/dim")       # a keras.Model, its files verified by SHA-256
>>> cz.export_model(model, "my_model/1")     # a SavedModel for TF Serving and for `python -m cortexzoo.evaluation`

Importing `cortexzoo` is cheap: TensorFlow and Keras are loaded when a function first needs them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cortexzoo.card import ModelCard
    from cortexzoo.catalog import IntegrityError, list_models, model_card, verify
    from cortexzoo.export import export_model
    from cortexzoo.loading import load_model

__version__ = "0.1.0"
_HOMES = {
    "IntegrityError": "cortexzoo.catalog",
    "ModelCard": "cortexzoo.card",
    "export_model": "cortexzoo.export",
    "list_models": "cortexzoo.catalog",
    "load_model": "cortexzoo.loading",
    "model_card": "cortexzoo.catalog",
    "verify": "cortexzoo.catalog",
}
__all__ = [
    "IntegrityError",
    "ModelCard",
    "export_model",
    "list_models",
    "load_model",
    "model_card",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def command_line() -> None:
    """Entry point of the console script `cortexzoo`: the same as `python -m cortexzoo`."""
    import sys

    importlib.import_module("cortexzoo.__main__").main(sys.argv)
