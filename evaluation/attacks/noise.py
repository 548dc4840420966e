"""Additive noise of a given size: the weakest of all attacks, and a check on the others."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Batch, Choices, EpsilonSearch, sample_generator
from cortexzoo.evaluation.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdditiveNoise(EpsilonSearch):
    """Adds noise scaled to epsilon and clips; tries again where that is not enough.

    The combinations of these settings are the ten noise attacks of Foolbox 3. Its Linf variants divide by the greatest
    signed value instead of the greatest magnitude, so that their noise may leave the ball; here it stays inside.

    Attributes:
        distribution: "gaussian" or "uniform" (in [-1, 1]).
        clipping_aware: scale so that the norm is epsilon after clipping (Rauber and Bethge 2020,
            https://arxiv.org/abs/2007.07677), L2 only.
        repeats: draws for one epsilon.
    """

    name: ClassVar[str] = "additive_noise"
    uses_gradients: ClassVar[bool] = False
    choices: ClassVar[Choices] = {"norm": ("linf", "l2"), "distribution": ("gaussian", "uniform")}

    distribution: str
    clipping_aware: bool = False
    repeats: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clipping_aware and self.norm != "l2":
            raise ValueError(f"Expected norm='l2' of clipping-aware noise. Received: {self.norm!r}.")

    def perturb(self, classifier: Classifier, endpoint: str, batch: Batch, epsilon: np.ndarray, draw: int) -> np.ndarray:
        """See `EpsilonSearch.perturb`."""
        results, active = batch.images.copy(), np.arange(len(batch))
        for repeat in range(self.repeats):
            part = batch.take(active)
            noise = self._draw(part, draw * self.repeats + repeat)
            results[active] = np.clip(part.images + self._scale(part.images, noise, epsilon[active]) * noise, 0.0, 1.0)
            # The caller classifies the last draw.
            if repeat + 1 < self.repeats:
                active = active[~classifier.misclassifies(results[active], part.labels)]
            if len(active) == 0:
                break
        return results

    def _draw(self, batch: Batch, stream: int) -> np.ndarray:
        noise = np.empty_like(batch.images)
        for i, row in enumerate(noise):
            generator = sample_generator(batch, i, stream)
            gaussian = self.distribution == "gaussian"
            row[...] = generator.standard_normal(row.shape) if gaussian else generator.uniform(-1, 1, row.shape)
        return noise

    def _scale(self, images: np.ndarray, noise: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        axes = (1, 2, 3)
        if self.norm == "linf":
            scale = epsilon / np.abs(noise).max(axis=axes)
        elif self.clipping_aware:
            scale = _clipping_aware_scale(images, noise, epsilon)
        else:
            scale = epsilon / np.sqrt(np.sum(noise**2, axis=axes))
        return scale.astype(np.float32)[:, None, None, None]


def _clipping_aware_scale(images: np.ndarray, noise: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """The s with ||clip(x + s noise) - x||_2 = epsilon, or the least that clips every value where there is none."""
    noise, images = (values.reshape(len(values), -1).astype(np.float64) for values in (noise, images))
    room = np.where(noise > 0, 1 - images, images)
    # A value is clipped from this scale on.
    limits = room / np.maximum(np.abs(noise), 1e-12)
    order = np.argsort(limits, axis=1)
    limits, steep, room = (np.take_along_axis(values, order, axis=1) for values in (limits, noise**2, room**2))
    # Before the i-th limit: the first i values are at their bound, the others grow with the scale.
    bounded = np.cumsum(room, axis=1) - room
    growing = np.cumsum(steep[:, ::-1], axis=1)[:, ::-1]
    square = bounded + growing * limits**2
    reached = square >= epsilon[:, None] ** 2
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), limits.shape[1] - 1)
    rows = np.arange(len(noise))
    missing = np.maximum(epsilon**2 - bounded[rows, first], 0.0)
    scale = np.sqrt(missing / np.maximum(growing[rows, first], 1e-300))
    return np.where(reached.any(axis=1), scale, limits[:, -1])
