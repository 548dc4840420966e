"""Where the attacks begin that need an adversarial to start from."""

import numpy as np

from evaluation.target import Target
from zoo.datasets import Split

CANDIDATES = 2000
# Starts of each sample. The nearest class is not always that of the nearest adversarial.
STARTS = 5


class StartingPoints:
    """The nearest training images that the model takes for other classes.

    Noise, the usual start, does not change the class of many robust models, and the attack then has nowhere to begin. A
    training image of another class nearly always exists, and near ones make short walks.

    Args:
        target: the model.
        train: images to choose from; the first 2,000 are used.
    """

    def __init__(self, target: Target, train: Split) -> None:
        self._images = train.images[:CANDIDATES]
        self._predictions = target.predict(self._images)

    def nearest(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns the L2-nearest candidate of each of the nearest other predicted classes, nearest first.

        Args:
            images: float32, (n, height, width, channels).
            labels: int, (n,).

        Returns:
            float32, (n, STARTS, height, width, channels). Where there are fewer classes the nearest candidate again, and
            where there is none the image itself.
        """
        flat, own = self._images.reshape(len(self._images), -1), images.reshape(len(images), -1)
        square = np.sum(flat**2, axis=1) - 2 * own @ flat.T
        square[labels[:, None] == self._predictions] = np.inf
        starts = np.repeat(images[:, None], STARTS, axis=1)
        for k in range(STARTS):
            chosen, found = square.argmin(axis=1), np.isfinite(square).any(axis=1)
            starts[found, k] = self._images[chosen[found]]
            starts[~found, k] = starts[~found, 0]
            square[self._predictions == self._predictions[chosen][:, None]] = np.inf
        return starts
