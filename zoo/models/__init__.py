"""Model families of the zoo: subclassed, registered Keras models.

`MODELS` holds every registered subclass of `ImageClassifier` that a module here defines: adding a model is adding a file.
"""

import importlib
import pkgutil
from types import ModuleType

import keras

from cortexzoo.models.analysis_by_synthesis import AnalysisBySynthesis
from cortexzoo.models.base import ImageClassifier
from cortexzoo.models.cnn import ConvolutionalNetwork
from cortexzoo.models.internal_models import DenoisedInternalModels
from cortexzoo.models.mlp import MultilayerPerceptron
from cortexzoo.models.pooling_cnn import MaxPoolingNetwork
from cortexzoo.models.resnet import ResidualNetwork

__all__ = [
    "MODELS",
    "AnalysisBySynthesis",
    "ConvolutionalNetwork",
    "DenoisedInternalModels",
    "ImageClassifier",
    "MaxPoolingNetwork",
    "MultilayerPerceptron",
    "ResidualNetwork",
]


def _discover() -> dict[str, type[ImageClassifier]]:
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {model.__name__: model for module in modules for model in _registered_models(module)}


def _registered_models(module: ModuleType) -> list[type[ImageClassifier]]:
    """Base classes are not registered."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    classes = [value for value in own if isinstance(value, type) and issubclass(value, ImageClassifier)]
    return [value for value in classes if keras.saving.get_registered_name(value) != value.__name__]


MODELS: dict[str, type[ImageClassifier]] = dict(sorted(_discover().items()))
