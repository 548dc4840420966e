"""Images and labels as arrays, through TensorFlow Datasets; MNIST is embedded in the package.

>>> from zoo import datasets
>>> digits = datasets.load("mnist", "validation")
>>> digits.images.shape, digits.images.dtype, digits.labels.dtype
((5000, 28, 28, 1), dtype('float32'), dtype('int64'))
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

VALIDATION_SIZE = 5000
_VALIDATION_SEED = 20211
_EMBEDDED = Path(__file__).parent / "data"
# ITU-R BT.601 luma, the weights of `tf.image.rgb_to_grayscale`.
_LUMA = np.array([0.2989, 0.5870, 0.1140], np.float32)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without reading it.

    Attributes:
        name: the name that `load` takes.
        tfds_name: name in TensorFlow Datasets.
        image_shape: (height, width, channels).
        class_names: names in the order of the labels.
        official_test_size: number of test images as published.
        grayscale: whether colour images are converted to luma.
        licence: terms of the images.
    """

    name: str
    tfds_name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    official_test_size: int
    grayscale: bool = False
    licence: str = ""

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)


@dataclasses.dataclass(frozen=True)
class Split:
    """One split in memory.

    Attributes:
        images: float32, (n, height, width, channels), in [0, 1].
        labels: int64, (n,).
        ids: int64, (n,). Position of each image in the prepared TFDS split that it comes from.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """Returns the first `count` images (all of them where there are fewer)."""
        return Split(self.images[:count], self.labels[:count], self.ids[:count])


_DIGITS = tuple(str(digit) for digit in range(10))
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_MNIST_LICENCE = "CC BY-SA 3.0 (Y. LeCun, C. Cortes)"
DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo("mnist", "mnist", (28, 28, 1), _DIGITS, 10_000, licence=_MNIST_LICENCE),
        DatasetInfo("fashion_mnist", "fashion_mnist", (28, 28, 1), _CLOTHES, 10_000, licence="MIT (Zalando SE)"),
        DatasetInfo("cifar10", "cifar10", (32, 32, 3), _OBJECTS, 10_000),
        DatasetInfo("cifar10_gray", "cifar10", (32, 32, 1), _OBJECTS, 10_000, grayscale=True),
    )
}
SPLITS = ("train", "validation", "test")


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
    "test" is the published test split (as far as the prepared directory holds it) and is for evaluation only.

    Args:
        name: one of `DATASETS`. MNIST needs no download; the others are read from `TFDS_DATA_DIR` or downloaded by TFDS.
        split: "train", "validation" or "test".

    Returns:
        A `Split`.

    Raises:
        ValueError: `name` or `split` is unknown.
    """
    description = info(name)
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}. Received: split={split!r}")
    images, labels = _read(description.tfds_name, "test" if split == "test" else "train")
    ids = np.arange(len(labels)) if split == "test" else _development_ids(len(labels), split)
    images = images[ids].astype(np.float32) / 255.0
    if description.grayscale:
        images = luma(images)
    return Split(images, labels[ids], ids)


def luma(images: np.ndarray) -> np.ndarray:
    """Returns the luma of colour images, float32, (..., 3) -> (..., 1)."""
    return images @ _LUMA[:, None]


def _development_ids(count: int, split: str) -> np.ndarray:
    """The ids of "validation" or of "train": sorted, disjoint, the same on every machine."""
    order = np.random.default_rng(_VALIDATION_SEED).permutation(count)
    return np.sort(order[:VALIDATION_SIZE] if split == "validation" else order[VALIDATION_SIZE:])


def _read(tfds_name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    data: dict[str, Any] = _builder(tfds_name).as_dataset(split=split, batch_size=-1, shuffle_files=False)
    return data["image"].numpy(), data["label"].numpy().astype(np.int64)


def _builder(tfds_name: str) -> Any:
    # TensorFlow's C++ log of every file that it opens is no concern of the user's.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow_datasets as tfds

    embedded = _EMBEDDED / tfds_name
    if embedded.is_dir():
        (version,) = (path for path in embedded.iterdir() if path.is_dir())
        return tfds.builder_from_directory(version)
    builder = tfds.builder(tfds_name)
    builder.download_and_prepare()
    return builder
