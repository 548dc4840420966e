"""Where the attacks begin that need an adversarial to start from."""

from collections.abc import Iterator

import numpy as np

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks.base import Batch
from cortexzoo.evaluation.attacks.line_search import BlendedUniformNoise
from cortexzoo.evaluation.classifier import Classifier

CANDIDATES = 2000
# Of large images fewer are kept: at most this many values, 256 MB.
_VALUES = 2**26
# Starts of each sample. The first is not always the one from which the nearest adversarial is reached.
STARTS = 5


def candidates(split: Split) -> Split:
    """Returns the first images of a split, as many as `StartingPoints` chooses from."""
    size = int(np.prod(split.images.shape[1:]))
    return split.first(max(1, min(CANDIDATES, _VALUES // size)))


class StartingPoints:
    """Noise, and the nearest images that the model takes for other classes.

    The image blended with uniform noise is where Foolbox's attacks start. Noise does not change the class of many robust
    models, and the attack then has nowhere to begin; an image of another class nearly always exists.

    Args:
        classifier: the model.
        split: images to choose from, see `candidates`: training images, or the evaluated images themselves. A correctly
            classified sample is never its own start, as the model gives it its own label.
    """

    def __init__(self, classifier: Classifier, split: Split) -> None:
        self._classifier, self._images = classifier, candidates(split).images
        self._predictions = classifier.predict(self._images)
        self._known: dict[int, np.ndarray] = {}

    def of(self, batch: Batch) -> np.ndarray:
        """Returns the starts of each sample; what was computed before is not computed again.

        Args:
            batch: the samples, always of one seed.

        Returns:
            float32, (n, STARTS, height, width, channels). First the blended noise where it changes the class, then what
            `nearest` returns. Where neither changes the class, all are the first of `_plain_images` that does; where none
            of them does, the image itself: an attack from there fails.
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
        alone = np.all(batch.labels[:, None] == self._predictions, axis=1)
        starts[alone & found] = noise[alone & found, None]
        self._try_plain_images(batch, starts, np.flatnonzero(alone & ~found))
        return starts

    def _try_plain_images(self, batch: Batch, starts: np.ndarray, missing: np.ndarray) -> None:
        """Fills in the starts of the samples at these positions."""
        for images in _plain_images(batch.images):
            if len(missing) == 0:
                return
            found = self._classifier.misclassifies(images[missing], batch.labels[missing])
            starts[missing[found]] = images[missing[found], None]
            missing = missing[~found]

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


def to_boundary(classifier: Classifier, batch: Batch, far: np.ndarray, norm: str) -> np.ndarray:
    """Returns the last misclassified points of ten bisections between images and starts, on the path natural in the norm.

    Args:
        classifier: the model.
        batch: the samples.
        far: the starts, the shape of `batch.images`. One that is classified correctly is returned if no point is better.
        norm: "linf", "l2", "l1" or "l0".
    """
    low, high, best = np.zeros(len(batch)), np.ones(len(batch)), far
    for _ in range(10):
        middle = (low + high) / 2
        points = _between(batch.images, far, middle[:, None, None, None].astype(np.float32), norm)
        wrong = classifier.misclassifies(points, batch.labels)
        best = np.where(wrong[:, None, None, None], points, best)
        low, high = np.where(wrong, low, middle), np.where(wrong, middle, high)
    return best


def _between(images: np.ndarray, far: np.ndarray, share: np.ndarray, norm: str) -> np.ndarray:
    """A point between the image (share 0) and another (share 1)."""
    difference = far - images
    if norm == "l2":
        return images + share * difference
    if norm == "linf":
        return images + np.clip(difference, -share, share)
    if norm == "l1":
        return images + np.sign(difference) * np.maximum(np.abs(difference) - (1 - share), 0)
    return np.where(np.abs(difference) < share, far, images)


def _plain_images(images: np.ndarray) -> Iterator[np.ndarray]:
    """Images that a model may take for another class: the negative, grays, mirror images, a checkerboard."""
    yield 1 - images
    for gray in (0.0, 1.0, 0.5):
        yield np.full_like(images, gray)
    for axes in (1, 2):
        yield np.flip(images, axes)
    rows, columns = np.indices(images.shape[1:3])
    yield np.broadcast_to(((rows + columns) % 2).astype(np.float32)[None, :, :, None], images.shape)
