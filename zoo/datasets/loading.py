"""Reads data sets of the catalogue, and parts the published training images into training and validation."""

import numpy as np

from cortexzoo.datasets import prepared
from cortexzoo.datasets.base import DatasetInfo, Split

SPLITS = ("train", "validation", "test")
VALIDATION_SIZE = 5000
_VALIDATION_SEED = 20211
# ITU-R BT.601 luma, the weights of `tf.image.rgb_to_grayscale`.
_LUMA = np.array([0.2989, 0.5870, 0.1140], np.float32)


def load(info: DatasetInfo, split: str) -> Split:
    """Loads one split into memory, see `cortexzoo.datasets.load`."""
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}. Received: split={split!r}")
    images, labels = read(info.tfds_name, "test" if split == "test" else "train")
    ids = np.arange(len(labels)) if split == "test" else development_ids(len(labels), split)
    images = images[ids].astype(np.float32) / 255.0
    if info.grayscale:
        images = luma(images)
    return Split(images, labels[ids], ids)


def luma(images: np.ndarray) -> np.ndarray:
    """Returns the luma of colour images, float32, (..., 3) -> (..., 1)."""
    return images @ _LUMA[:, None]


def development_ids(count: int, split: str) -> np.ndarray:
    """Returns the ids of "validation" or of "train": sorted, disjoint, the same on every machine.

    Args:
        count: number of published training images.
        split: "validation" or "train".
    """
    order = np.random.default_rng(_VALIDATION_SEED).permutation(count)
    return np.sort(order[:VALIDATION_SIZE] if split == "validation" else order[VALIDATION_SIZE:])


def read(tfds_name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a published split: uint8 images, (n, height, width, channels), and int64 labels, (n,)."""
    data = prepared.builder(tfds_name).as_dataset(split=split, batch_size=-1, shuffle_files=False)
    return data["image"].numpy(), data["label"].numpy().astype(np.int64)
