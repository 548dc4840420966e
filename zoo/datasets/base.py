"""What a data set and a split of it are."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from cortexzoo.norms import NORMS


class DatasetNotFoundError(ValueError):
    """No data set has this name in TensorFlow Datasets."""


class DatasetUnavailableError(ValueError):
    """A data set is neither prepared on this machine nor can it be downloaded."""


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without reading it.

    Attributes:
        name: the name that `load` takes.
        tfds_name: name in TensorFlow Datasets; empty for images from elsewhere.
        image_shape: (height, width, channels).
        class_names: names in the order of the labels.
        official_test_size: number of test images as published.
        grayscale: whether colour images are converted to luma.
        licence: terms of the images.
        natural: whether these are natural images. Noise of a tenth hides their classes; digits and clothes on a black
            ground stand half.
        thresholds: the usual size of a perturbation in each norm ("linf", "l2", "l1", "l0"), for pixels in [0, 1]; L0
            counts pixels. Empty where no convention exists.
        thresholds_source: where the thresholds come from.

    Raises:
        ValueError: a threshold has an unknown norm.
    """

    name: str
    tfds_name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    official_test_size: int
    grayscale: bool = False
    licence: str = ""
    natural: bool = False
    # A mapping has no hash, and descriptions are keys of caches.
    thresholds: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    thresholds_source: str = ""

    def __post_init__(self) -> None:
        if unknown := set(self.thresholds) - set(NORMS):
            raise ValueError(f"Expected thresholds for {', '.join(NORMS)}. Received: {', '.join(sorted(unknown))}")

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
        ids: int64, (n,). Position of each image in the published split or in the array that it comes from.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """Returns the first `count` images (all of them where there are fewer)."""
        return Split(self.images[:count], self.labels[:count], self.ids[:count])
