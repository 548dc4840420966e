"""Asks the model about single pixels: what each of them would change, whatever the gradient says."""

import dataclasses
import itertools

import numpy as np

from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.classifier import Classifier

# Pixels tried in each image: all of a small one, else a random choice of `_CHOSEN_PIXELS`, on fewer images.
_MOST_PIXELS, _CHOSEN_PIXELS = 784, 256
_IMAGES, _FEW_IMAGES = 16, 6
# Pixels of a large image.
_LARGE = 64 * 64
# Up to so many channels all corners of the colour cube are tried; of more, and where answers are costly, black and white.
_MOST_CHANNELS = 3
# The changes that a search goes on with.
_SHORTLIST = 64


@dataclasses.dataclass(frozen=True)
class Scan:
    """The effect of every single change on the margin.

    Attributes:
        batch: the images.
        rows, columns: int, (changes,): the pixel that a change sets.
        colours: float32, (changes, channels): what it is set to.
        gains: float64, (n, changes): by how much the margin rises.
    """

    batch: Batch
    rows: np.ndarray
    columns: np.ndarray
    colours: np.ndarray
    gains: np.ndarray

    def changed(self, image: np.ndarray, changes: np.ndarray) -> np.ndarray:
        """Returns copies of an image, each with one of these changes."""
        copies = np.repeat(image[None], len(changes), axis=0)
        copies[np.arange(len(changes)), self.rows[changes], self.columns[changes]] = self.colours[changes]
        return copies

    def search(self, classifier: Classifier, i: int, pixels: int) -> np.ndarray:
        """Returns image `i` with up to `pixels` of the best changes: at each step the one that raises the margin most.

        The local search of Narodytska and Kasiviswanathan (2017, https://arxiv.org/abs/1612.06299) among the changes that
        are best alone.
        """
        image, label = self.batch.images[i], self.batch.labels[i : i + 1]
        shortlist = np.argsort(-self.gains[i], kind="stable")[:_SHORTLIST]
        for _ in range(pixels):
            copies = self.changed(image, shortlist)
            image = copies[np.argmax(classifier.loses_by(copies, np.repeat(label, len(copies))))]
            if classifier.misclassifies(image[None], label)[0]:
                break
        return image


def scan(classifier: Classifier, batch: Batch) -> Scan:
    """Tries changes of single pixels to the extremes on the first images; see the constants above for how many."""
    height, width, channels = classifier.image_shape
    is_small = height * width <= _MOST_PIXELS and channels == 1 and not is_costly(classifier)
    batch = batch.take(np.arange(min(_IMAGES if is_small else _FEW_IMAGES, len(batch))))
    colours = _colours(classifier)
    places = np.random.default_rng(batch.seed).permutation(height * width)
    places = np.repeat(places[: None if is_small else _CHOSEN_PIXELS], len(colours))
    rows, columns = np.divmod(places, width)
    colours = np.tile(colours, (len(places) // len(colours), 1))
    found = Scan(batch, rows, columns, colours, np.zeros((len(batch), len(places))))
    before = classifier.loses_by(batch.images, batch.labels)
    for i, (image, label) in enumerate(zip(batch.images, batch.labels, strict=True)):
        copies = found.changed(image, np.arange(len(places)))
        found.gains[i] = classifier.loses_by(copies, np.full(len(copies), label)) - before[i]
    return found


def is_costly(classifier: Classifier) -> bool:
    """Returns whether an answer takes long: of large images, or of a random model, which is asked many times for it."""
    height, width, _ = classifier.image_shape
    return height * width > _LARGE or classifier.repeats > 1


def _colours(classifier: Classifier) -> np.ndarray:
    channels = classifier.image_shape[2]
    if channels > _MOST_CHANNELS or is_costly(classifier):
        return np.repeat(np.array([[0.0], [1.0]], np.float32), channels, axis=1)
    return np.array(list(itertools.product((0.0, 1.0), repeat=channels)), np.float32)
