"""Batches whose order depends only on the seed and the epoch, so that a resumed run sees the same ones."""

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np


class EpochBatches(keras.utils.PyDataset):
    """Shuffled batches of arrays in memory; `epoch` picks the permutation.

    Args:
        images: float32, (n, ...).
        labels: int64, (n,).
        batch_size: int.
        seed: int. Seed of the permutations.
        target: function from the (images, labels) of a batch to the `y` of `fit`. Defaults to the labels.
        max_shift: int. Each image is shifted by up to this many pixels in both directions. Defaults to 0.
        border: what fills the space that a shift leaves: "constant" (black) or "reflect" (the mirrored image). Defaults to
            "constant".
        flip: bool. Mirror each image left to right with probability 0.5. Defaults to False.
        noise: float. Standard deviation of Gaussian noise on each image, which is then clipped to [0, 1]. Defaults to 0.
        steps: int or None. Batches in an epoch. Defaults to all full batches.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        target: Callable[[np.ndarray, np.ndarray], Any] | None = None,
        max_shift: int = 0,
        steps: int | None = None,
        border: Literal["constant", "reflect"] = "constant",
        flip: bool = False,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.images, self.labels, self.batch_size, self.seed = images, labels, batch_size, seed
        self.target = target or (lambda images, labels: labels)
        self.max_shift, self.border, self.flip, self.noise = max_shift, border, flip, noise
        self.steps = min(steps or len(labels), len(labels) // batch_size)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draws the permutation, the shifts and the flips of `epoch`."""
        self.epoch = epoch
        generator = np.random.default_rng((self.seed, epoch))
        self._order = generator.permutation(len(self.labels))
        self._offsets = generator.integers(0, 2 * self.max_shift, (len(self.labels), 2), endpoint=True)
        self._flips = generator.random(len(self.labels)) < 0.5

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images, labels = self.images[chosen], self.labels[chosen]
        if self.max_shift:
            images = crop(images, self._offsets[chosen], self.max_shift, self.border)
        if self.flip:
            images = mirror(images, self._flips[chosen])
        if self.noise:
            # The 2 separates this noise from the order and from the pairs of `PairedBatches`.
            generator = np.random.default_rng((self.seed, self.epoch, index, 2))
            noise = generator.standard_normal(images.shape, np.float32)
            images = np.clip(images + np.float32(self.noise) * noise, 0.0, 1.0)
        return images, self.target(images, labels)


def crop(images: np.ndarray, offsets: np.ndarray, margin: int, border: Literal["constant", "reflect"]) -> np.ndarray:
    """Pads the images and cuts a window of the original size from each.

    Args:
        images: (n, height, width, channels).
        offsets: int, (n, 2), in [0, 2 margin]. Row and column at which the window begins.
        margin: int. Pixels of padding on each side.
        border: what the padding holds; see `EpochBatches`.
    """
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode=border)
    rows = offsets[:, 0, None] + np.arange(height)
    columns = offsets[:, 1, None] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def mirror(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mirrors the images, (n, height, width, channels), left to right where `chosen`, bool (n,), is true."""
    return np.where(chosen[:, None, None, None], images[:, :, ::-1], images)
