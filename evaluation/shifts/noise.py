"""Gaussian, uniform and salt-and-pepper noise of a given size (Attias, Pehlevan and Obeid 2024)."""

import dataclasses
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.shifts.base import SampleGenerators, Shift


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianNoise(Shift):
    """Adds normal noise whose standard deviation is the level, and clips."""

    name: ClassVar[str] = "noise/gaussian"

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        noise = SampleGenerators(batch, self.name, level).normal(batch.images.shape[1:])
        return np.clip(batch.images + level * noise, 0.0, 1.0).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformNoise(Shift):
    """Adds noise uniform in [-level, level], and clips."""

    name: ClassVar[str] = "noise/uniform"

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        noise = SampleGenerators(batch, self.name, level).uniform(-level, level, batch.images.shape[1:])
        return np.clip(batch.images + noise, 0.0, 1.0).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaltAndPepperNoise(Shift):
    """Sets a share of the values, the level, to 0 or 1 with equal probability; each channel is drawn separately."""

    name: ClassVar[str] = "noise/salt_and_pepper"

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        return salt_and_pepper(batch.images, SampleGenerators(batch, self.name, level), level)


def salt_and_pepper(images: np.ndarray, draws: SampleGenerators, amount: float) -> np.ndarray:
    """Returns images of which a share `amount` of the values is 0 or 1, half and half, in expectation."""
    chosen = draws.uniform(0.0, 1.0, images.shape[1:])
    # Of the values below `amount` the lower half are pepper.
    return np.where(chosen < amount, np.where(chosen < amount / 2, 0.0, 1.0), images).astype(np.float32)
