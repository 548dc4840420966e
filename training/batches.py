"""Batches whose order depends on nothing but the seed and the epoch, so that a resumed run sees the same ones."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


class EpochBatches(keras.utils.PyDataset):
    """Shuffled batches of arrays in memory; `epoch` picks the permutation.

    Args:
        images: float32, (n, ...).
        labels: int64, (n,).
        batch_size: int.
        seed: int. Seed of the permutations.
        target: function from (images, labels) of a batch to what `fit` takes as targets. Defaults to the labels.
        steps: int or None. Batches in an epoch; by default all full batches.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        target: Callable[[np.ndarray, np.ndarray], Any] | None = None,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.images, self.labels, self.batch_size, self.seed = images, labels, batch_size, seed
        self.target = target or (lambda images, labels: labels)
        self.steps = min(steps or len(labels), len(labels) // batch_size)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draws the permutation of `epoch`."""
        self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.labels))

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images, labels = self.images[chosen], self.labels[chosen]
        return images, self.target(images, labels)
