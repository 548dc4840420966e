"""Greedy search for few pixels: asks the model about every pixel, so that no hidden gradient misleads it."""

import dataclasses
import itertools
from typing import ClassVar

import numpy as np
from cortexzoo.evaluation.attacks.base import Attack, Batch
from cortexzoo.evaluation.attacks.pointwise import take_back
from cortexzoo.evaluation.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class GreedyPixels(Attack):
    """Sets one pixel after the other to a corner of the colour cube, each time the one that brings a wrong class nearest.

    The local search of Narodytska & Kasiviswanathan (2017, https://arxiv.org/abs/1612.06299) without its sampling: every
    step tries every pixel with both ends of every channel. In the end no changed pixel can be taken back. It is the check
    on networks that hide from attacks which rank pixels by gradients.

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
        current = image
        for _ in range(self.steps):
            candidates = [_best_pixel(classifier, current, label, corner) for corner in _corners(image)]
            _, current = max(candidates, key=lambda candidate: candidate[0])
            if classifier.misclassifies(current[None], np.array([label]))[0]:
                break
        return current


def _corners(image: np.ndarray) -> list[tuple[float, ...]]:
    """The colours whose channels are all 0 or 1."""
    return list(itertools.product((0.0, 1.0), repeat=image.shape[-1]))


def _best_pixel(
    classifier: Classifier, image: np.ndarray, label: int, colour: tuple[float, ...]
) -> tuple[float, np.ndarray]:
    """By how much the label loses at best with one more pixel of that colour, and that image."""
    height, width, channels = image.shape
    pixels = np.arange(height * width)
    candidates = np.tile(image.reshape(1, -1, channels), (len(pixels), 1, 1))
    candidates[pixels, pixels] = colour
    candidates = candidates.reshape(-1, *image.shape)
    loses_by = classifier.loses_by(candidates, np.full(len(candidates), label))
    return loses_by.max(), candidates[loses_by.argmax()]
