"""Batches with the same number of images of each class, for models that are trained class by class."""

import numpy as np

from cortexzoo.training.batches import EpochBatches


class ClassBatches(EpochBatches):
    """Shuffled batches that cycle through the classes: image i of a batch is of class i modulo `num_classes`.

    An epoch ends with the images of the smallest class; which images of the others it leaves out changes with the epoch.

    Args:
        images: float32, (n, ...).
        labels: int64, (n,), at least one of each class.
        batch_size: int. Images of all classes together; a multiple of `num_classes`.
        seed: int. Seed of the permutations.
        num_classes: int.

    Raises:
        ValueError: the size of a batch is no multiple, or a class has too few images for a batch.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int, num_classes: int) -> None:
        least = np.bincount(labels, minlength=num_classes).min()
        if batch_size % num_classes or least * num_classes < batch_size:
            raise ValueError(
                f"Expected `batch_size` to be a multiple of the {num_classes} classes, of which the smallest has {least} "
                f"images. Received: batch_size={batch_size}."
            )
        self.num_classes = num_classes
        super().__init__(images, labels, batch_size, seed, steps=int(least * num_classes // batch_size))

    def set_epoch(self, epoch: int) -> None:
        """Draws the permutation of `epoch`."""
        super().set_epoch(epoch)
        self._order = in_cycles(self.labels, self._order, self.num_classes)


def in_cycles(labels: np.ndarray, order: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns as many positions as make whole cycles of the classes 0, 1, ..., those of one class in the given order.

    Args:
        labels: int, (n,).
        order: a permutation of the positions, int, (n,).
        num_classes: int.
    """
    by_class = [order[labels[order] == label] for label in range(num_classes)]
    least = min(map(len, by_class))
    return np.stack([positions[:least] for positions in by_class], axis=1).reshape(-1)
