"""Images and labels as arrays, through TensorFlow Datasets; MNIST is embedded in the package.

>>> from cortexzoo import datasets
>>> digits = datasets.load("mnist", "validation")
>>> digits.images.shape, digits.images.dtype, digits.labels.dtype
((5000, 28, 28, 1), dtype('float32'), dtype('int64'))

Each module here that defines `DATASET` describes one data set: adding a data set is adding a file.
"""

import importlib
import pkgutil

from cortexzoo.datasets import loading
from cortexzoo.datasets.base import DatasetInfo, DatasetNotFoundError, DatasetUnavailableError, Split
from cortexzoo.datasets.loading import SPLITS, VALIDATION_SIZE, luma

__all__ = [
    "DATASETS",
    "SPLITS",
    "VALIDATION_SIZE",
    "DatasetInfo",
    "DatasetNotFoundError",
    "DatasetUnavailableError",
    "Split",
    "info",
    "load",
    "luma",
]


def _discover() -> dict[str, DatasetInfo]:
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {module.DATASET.name: module.DATASET for module in modules if hasattr(module, "DATASET")}


DATASETS: dict[str, DatasetInfo] = _discover()


def info(name: str) -> DatasetInfo:
    """Returns the description of the data set `name`.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in DATASETS:
        raise ValueError(f"`name` must be one of {', '.join(DATASETS)}. Received: name={name!r}")
    return DATASETS[name]


def load(name: str, split: str) -> Split:
    """Loads one split into memory.

    "train" and "validation" part the published training images: the 5,000 validation images are a fixed, seeded choice.
    "test" is the published test split, or what the prepared directory holds of it, and is for evaluation only.

    Args:
        name: one of `DATASETS`. MNIST needs no download; TFDS reads the others from `TFDS_DATA_DIR` or downloads them.
        split: "train", "validation" or "test".

    Returns:
        A `Split`.

    Raises:
        ValueError: `name` or `split` is unknown.
        DatasetUnavailableError: the data set is not prepared, and cannot be downloaded.
    """
    return loading.load(info(name), split)
