"""Where the attacks begin that need an adversarial to start from."""

import numpy as np

from evaluation.target import Target
from zoo.datasets import Split

CANDIDATES = 2000


class StartingPoints:
    """The nearest training image that the model takes for another class.

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
        """Returns each image's L2-nearest candidate of another predicted class; itself where there is none."""
        flat, own = self._images.reshape(len(self._images), -1), images.reshape(len(images), -1)
        square = np.sum(flat**2, axis=1) - 2 * own @ flat.T
        square[labels[:, None] == self._predictions] = np.inf
        found = np.isfinite(square).any(axis=1)[:, None, None, None]
        return np.where(found, self._images[square.argmin(axis=1)], images)
