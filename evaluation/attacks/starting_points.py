"""Where the attacks begin that need an adversarial to start from."""

import numpy as np
from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks.base import Batch
from cortexzoo.evaluation.attacks.line_search import BlendedUniformNoise
from cortexzoo.evaluation.classifier import Classifier

CANDIDATES = 2000
# Starts of each sample. The first is not always the one from which the nearest adversarial is reached.
STARTS = 5


class StartingPoints:
    """Noise, and the nearest training images that the model takes for other classes.

    The image blended with uniform noise is where Foolbox's attacks start. Noise does not change the class of many robust
    models, and the attack then has nowhere to begin; a training image of another class nearly always exists.

    Args:
        classifier: the model.
        train: images to choose from; the first 2,000 are used.
    """

    def __init__(self, classifier: Classifier, train: Split) -> None:
        self._classifier, self._images = classifier, train.images[:CANDIDATES]
        self._predictions = classifier.predict(self._images)
        self._known: dict[int, np.ndarray] = {}

    def of(self, batch: Batch) -> np.ndarray:
        """Returns the starts of each sample; what was computed before is not computed again.

        Args:
            batch: the samples, always of one seed.

        Returns:
            float32, (n, STARTS, height, width, channels). First the blended noise where it changes the class, then what
            `nearest` returns.
        """
        missing = np.array([i for i, sample in enumerate(batch.ids) if int(sample) not in self._known], int)
        if len(missing):
            part = batch.take(missing)
            self._known |= dict(zip(map(int, part.ids), self._compute(part), strict=True))
        return np.stack([self._known[int(sample)] for sample in batch.ids])

    def _compute(self, batch: Batch) -> np.ndarray:
        starts = self.nearest(batch.images, batch.labels)
        noise = BlendedUniformNoise(norm="l2").run(self._classifier, "logits", batch)
        found = self._classifier.misclassifies(noise, batch.labels)
        starts[found, 1:] = starts[found, :-1]
        starts[found, 0] = noise[found]
        return starts

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
