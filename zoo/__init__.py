"""cortexzoo: brain-inspired, adversarially robust image classifiers for Keras 3 and TensorFlow.

>>> import cortexzoo as cz
>>> cz.list_models(dataset="mnist")          # cards: id, accuracy, robust accuracy, parameters, paper
>>> model = cz.load_model("mnist/dim")       # a keras.Model, its files verified by SHA-256
>>> result = cz.evaluate(model, images, labels, suite="quick")
>>> found = cz.attack(model, images, labels, norm="linf", epsilon=0.1)
>>> cz.export_model(model, "my_model/1")     # a SavedModel for TF Serving and for `cortexzoo evaluate`

Importing `cortexzoo` is cheap: TensorFlow and Keras are loaded when a function first needs them. It has two effects: Keras
knows the classes of the zoo, so that `keras.saving.load_model` reads their .keras files, and TensorFlow's C++ log is quiet
unless TF_CPP_MIN_LOG_LEVEL is set.
"""

import importlib
from typing import Any

from cortexzoo.registration import register_with_keras
from cortexzoo.startup import quiet_tensorflow

__version__ = "0.1.0"
# Where each public name lives. Type checkers read `__init__.pyi`.
_HOMES = {
    "Adversarials": "cortexzoo.evaluation.adversarials",
    "ImageSource": "cortexzoo.images",
    "IntegrityError": "cortexzoo.catalog",
    "ModelCard": "cortexzoo.card",
    "Result": "cortexzoo.evaluation.result",
    "attack": "cortexzoo.evaluation.api",
    "evaluate": "cortexzoo.evaluation.api",
    "export_model": "cortexzoo.export",
    "list_models": "cortexzoo.catalog",
    "load_model": "cortexzoo.loading",
    "model_card": "cortexzoo.catalog",
    "open_images": "cortexzoo.images",
    "verify": "cortexzoo.catalog",
}
__all__ = sorted(_HOMES)

quiet_tensorflow()
register_with_keras()


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
