"""A source of labelled images, and its identity."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from cortexzoo.datasets import DatasetInfo, Split

# Bytes of images that are in memory twice at a time.
_CHUNK = 1 << 22
_TRAINING_IMAGES = (
    " Data sets of the catalogue and of TFDS have training images; others need x_train and y_train in an .npz file, "
    "or train/ and test/ in a folder."
)


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSource:
    """Labelled images to evaluate on, and where there are any, images to train on.

    Attributes:
        info: describes them. `info.name` is their identity in a store of results: the name of a data set of the catalogue,
            and "<name>@<digest>" for all others. The digest is that of the images and labels, so that the same data has
            the same identity whether it comes as uint8, as floats, or from a file.
        splits: what `load` calls for each split.
        notes: what was done to the images on the way, in sentences; for people.
    """

    info: DatasetInfo
    splits: Mapping[str, Callable[[], Split]]
    notes: tuple[str, ...] = ()

    @property
    def has_train(self) -> bool:
        """Whether there is a split "train"."""
        return "train" in self.splits

    def load(self, split: str = "test") -> Split:
        """Returns one split in memory. Its arrays may be the user's own: read only.

        Args:
            split: "test", or another that the source has.

        Raises:
            ValueError: the source has no such split.
        """
        if split not in self.splits:
            raise ValueError(
                f"`split` of {self.info.name} must be one of {', '.join(self.splits)}. Received: split={split!r}."
                + (_TRAINING_IMAGES if split == "train" else "")
            )
        return self.splits[split]()


@dataclasses.dataclass(frozen=True, eq=False)
class Content:
    """Images and labels that were checked, in as little memory as they came in.

    Attributes:
        images: uint8 from 0 to 255, or float32 in [0, 1]; (n, height, width, channels).
        labels: int64, (n,).
        class_names: in the order of the labels.
        notes: what was done to the images on the way, in sentences.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def split(self) -> Split:
        """Returns the images as float32 in [0, 1]. Those that are so already are not copied."""
        images = unit_images(self.images)
        for array in (images, self.labels):
            array.flags.writeable = False
        return Split(images, self.labels, np.arange(len(self.labels)))

    def digest(self) -> str:
        """Returns a SHA-256 over the shape, the images as little-endian float32 and the labels as int64."""
        digest = hashlib.sha256(repr(tuple(map(int, self.images.shape))).encode())
        step = max(1, _CHUNK // (4 * self.images[0].size))
        for start in range(0, len(self.images), step):
            chunk = unit_images(self.images[start : start + step])
            # Adding zero makes -0.0 the same as 0.0.
            digest.update(np.ascontiguousarray((chunk + np.float32(0)).astype("<f4", copy=False)).data)
        digest.update(np.ascontiguousarray(self.labels.astype("<i8", copy=False)).data)
        return digest.hexdigest()


def unit_images(images: np.ndarray) -> np.ndarray:
    """Returns uint8 images from 0 to 255 as float32 in [0, 1], and a view of float32 images."""
    if images.dtype != np.uint8:
        return images.view()
    converted = images.astype(np.float32)
    converted /= 255.0
    return converted


def source_of(
    content: Content, name: str, *, train: Callable[[], Content] | None = None, known: DatasetInfo | None = None
) -> ImageSource:
    """Returns the source of images that are in memory.

    Args:
        content: the images to evaluate on.
        name: for people, and the first part of the identity.
        train: reads the training images.
        known: a description whose thresholds and terms hold for these images too.
    """
    splits = {"test": content.split}
    if train is not None:
        splits["train"] = functools.partial(_split_of, train)
    height, width, channels = map(int, content.images.shape[1:])
    info = DatasetInfo(
        name=f"{name}@{content.digest()[:12]}",
        tfds_name=known.tfds_name if known else "",
        image_shape=(height, width, channels),
        class_names=content.class_names,
        official_test_size=len(content.labels),
        licence=known.licence if known else "",
        # Colour images are photographs more often than drawings.
        natural=known.natural if known else channels >= 3,
        thresholds=known.thresholds if known else {},
        thresholds_source=known.thresholds_source if known else "",
    )
    return ImageSource(info, splits, content.notes)


def _split_of(read: Callable[[], Content]) -> Split:
    return read().split()
