"""Greedy search for few pixels: asks the model about every pixel, so that no hidden gradient misleads it."""

import dataclasses
import itertools
import math
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Attack, Batch
from cortexzoo.evaluation.attacks.pointwise import take_back
from cortexzoo.evaluation.classifier import Classifier

# Values of the images that are made at once: without a bound memory would grow with the square of an image's size.
_VALUES = 2**24
# Up to so many channels all corners of the colour cube are tried.
_MOST_CHANNELS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class GreedyPixels(Attack):
    """Sets one pixel after the other to an end of each channel, each time the one that brings a wrong class nearest.

    The local search of Narodytska and Kasiviswanathan (2017, https://arxiv.org/abs/1612.06299) without its sampling: every
    step tries every pixel in every extreme colour. At the end no changed pixel can be taken back. It checks networks that
    hide from attacks which rank pixels by gradients.

    Attributes:
        norm: "l0", which is what the search minimises.
        steps: int. Most pixels that change.
    """

    name: ClassVar[str] = "greedy_pixels"
    chunk_size: ClassVar[int] = 10
    uses_gradients: ClassVar[bool] = False

    norm: str = "l0"
    steps: int = 20

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        found = np.stack([self._search(classifier, *sample) for sample in zip(batch.images, batch.labels, strict=True)])
        wrong = classifier.misclassifies(found, batch.labels)
        height, width = batch.images.shape[1:3]
        orders = np.tile(np.arange(height * width), (int(wrong.sum()), 1))
        found[wrong] = take_back(classifier, batch.take(wrong), found[wrong], orders)
        return found

    def _search(self, classifier: Classifier, image: np.ndarray, label: int) -> np.ndarray:
        current, colours = image, extreme_colours(image.shape[-1])
        for _ in range(self.steps):
            candidates = [_best_pixel(classifier, current, label, colour) for colour in colours]
            _, current = max(candidates, key=lambda candidate: candidate[0])
            if classifier.misclassifies(current[None], np.array([label]))[0]:
                break
        return current


def extreme_colours(channels: int) -> list[tuple[float, ...]]:
    """The colours that a pixel may get: all corners of the colour cube, where they are few.

    Of many channels, a pixel may turn black or white, or one channel go to either end; NaN leaves a channel as it is.
    """
    if channels <= _MOST_CHANNELS:
        return list(itertools.product((0.0, 1.0), repeat=channels))
    single = [tuple(end if k == i else math.nan for k in range(channels)) for i in range(channels) for end in (0.0, 1.0)]
    return [(0.0,) * channels, (1.0,) * channels, *single]


def _best_pixel(
    classifier: Classifier, image: np.ndarray, label: int, colour: tuple[float, ...]
) -> tuple[float, np.ndarray]:
    """By how much the label loses at best with one more pixel of that colour, and that image."""
    best, found = -math.inf, image
    pixels, count = np.arange(image.shape[0] * image.shape[1]), max(1, _VALUES // image.size)
    changed = np.where(np.isnan(colour), image.reshape(-1, image.shape[-1]), np.float32(colour))
    for first in range(0, len(pixels), count):
        part = pixels[first : first + count]
        candidates = np.tile(image.reshape(1, -1, image.shape[-1]), (len(part), 1, 1))
        candidates[np.arange(len(part)), part] = changed[part]
        candidates = candidates.reshape(-1, *image.shape)
        loses_by = classifier.loses_by(candidates, np.full(len(candidates), label))
        if loses_by.max() > best:
            best, found = loses_by.max(), candidates[loses_by.argmax()].copy()
    return best, found
