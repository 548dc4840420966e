"""Perturbations that ask no gradient: noise, and pixels turned from black to white."""

import dataclasses
from typing import Any

import keras
from keras import ops

from cortexzoo.training.adversarial.perturbation import Batch, Perturbation


@dataclasses.dataclass(frozen=True)
class UniformNoise(Perturbation):
    """Uniform noise within epsilon, clipped to [0, 1]."""

    epsilon: float

    def __call__(self, batch: Batch) -> Any:
        noise = keras.random.uniform(ops.shape(batch.images), -1.0, 1.0, seed=batch.seed)
        return ops.clip(batch.images + self.epsilon * batch.scale * noise, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class GaussianNoise(Perturbation):
    """Gaussian noise of a standard deviation, clipped to [0, 1]."""

    standard_deviation: float

    def __call__(self, batch: Batch) -> Any:
        noise = keras.random.normal(ops.shape(batch.images), seed=batch.seed)
        return ops.clip(batch.images + self.standard_deviation * batch.scale * noise, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class PixelFlips(Perturbation):
    """Pixels x turned into 1 - x, each with a probability that is drawn for each image from U(0, share)."""

    share: float

    def __call__(self, batch: Batch) -> Any:
        shape = ops.shape(batch.images)
        probability = self.share * batch.scale * keras.random.uniform((shape[0], 1, 1, 1), seed=batch.seed)
        flips = keras.random.uniform((*shape[:-1], 1), seed=batch.seed) < probability
        return ops.where(flips, 1.0 - batch.images, batch.images)


@dataclasses.dataclass(frozen=True)
class InTurn(Perturbation):
    """Several perturbations, each of what the one before it left; the last alone may have several copies."""

    perturbations: tuple[Perturbation, ...]

    @property
    def copies(self) -> int:  # type: ignore[override]
        return self.perturbations[-1].copies

    def __call__(self, batch: Batch) -> Any:
        for perturbation in self.perturbations:
            batch = dataclasses.replace(batch, images=perturbation(batch))
        return batch.images
