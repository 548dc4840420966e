"""brainzoo: brain-inspired, adversarially robust image classifiers for Keras 3 and TensorFlow.

>>> import zoo
>>> zoo.list_models(dataset="mnist")          # cards: id, accuracy, robust accuracy, parameters, paper
>>> model = zoo.load_model("mnist/dim")       # a keras.Model, its files verified by SHA-256
>>> zoo.export_model(model, "my_model/1")     # a SavedModel for TF Serving and for `python -m evaluation`

Importing `zoo` is cheap: TensorFlow and Keras are loaded when a function first needs them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.card import ModelCard
    from zoo.catalog import IntegrityError, list_models, model_card, verify
    from zoo.export import export_model
    from zoo.loading import load_model

__version__ = "0.1.0"
_HOMES = {
    "IntegrityError": "zoo.catalog",
    "ModelCard": "zoo.card",
    "export_model": "zoo.export",
    "list_models": "zoo.catalog",
    "load_model": "zoo.loading",
    "model_card": "zoo.catalog",
    "verify": "zoo.catalog",
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
    """Entry point of the console script `zoo`: the same as `python -m zoo`."""
    import runpy

    runpy.run_module("zoo", run_name="__main__", alter_sys=True)
