"""Common corruptions, 15 types of five severities (Hendrycks and Dietterich 2019, https://arxiv.org/abs/1903.12261).

Types and constants are those of CIFAR-10-C (`make_cifar_c.py` of https://github.com/hendrycks/robustness), which TensorFlow
Datasets publishes as `cifar10_corrupted`. They are used for images of any size and number of channels. Their sizes are in
pixels and made for 32x32, except those of the elastic transform, which are shares of the shorter side: on much larger images
the blurs are mild. There are four differences: frost is drawn (see `weather.frost`), only the result has eight bits, it is
rounded and not truncated, and each sample has its own random numbers.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cortexzoo.evaluation.attacks.base import Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.shifts import blurs, digital, weather
from cortexzoo.evaluation.shifts.base import SampleGenerators, Shift
from cortexzoo.evaluation.shifts.noise import salt_and_pepper

SEVERITIES = (1, 2, 3, 4, 5)


def gaussian_noise(images: np.ndarray, draws: SampleGenerators, deviation: float) -> np.ndarray:
    """Adds normal noise."""
    return images + deviation * draws.normal(images.shape[1:])


def shot_noise(images: np.ndarray, draws: SampleGenerators, photons: float) -> np.ndarray:
    """Counts photons, `photons` of them where the image is 1."""
    return draws.poisson(photons * images.astype(np.float64)) / photons


def _zooms(most: float) -> tuple[tuple[float, ...]]:
    # The published ranges are NumPy's, which may include their end.
    return (tuple(np.arange(1, most, 0.01).tolist()),)


# Function and its constants at each severity.
CORRUPTIONS: dict[str, tuple[Callable[..., np.ndarray], tuple[tuple[Any, ...], ...]]] = {
    "gaussian_noise": (gaussian_noise, ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,))),
    "shot_noise": (shot_noise, ((500,), (250,), (100,), (75,), (50,))),
    "impulse_noise": (salt_and_pepper, ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,))),
    "defocus_blur": (blurs.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass_blur": (blurs.glass_blur, ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))),
    "motion_blur": (blurs.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": (blurs.zoom_blur, tuple(_zooms(most) for most in (1.06, 1.11, 1.16, 1.21, 1.26))),
    "snow": (
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": (weather.frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": (weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (weather.brightness, ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,))),
    "contrast": (digital.contrast, ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,))),
    "elastic_transform": (
        digital.elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": (digital.pixelate, ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,))),
    "jpeg_compression": (digital.jpeg_compression, ((80,), (65,), (58,), (50,), (40,))),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corruption(Shift):
    """One type of common corruption; its levels are severities.

    Attributes:
        kind: str. One of `CORRUPTIONS`.
    """

    name: ClassVar[str] = "corruption"
    ordinal: ClassVar[bool] = True

    kind: str
    levels: tuple[float, ...] = SEVERITIES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in CORRUPTIONS:
            raise ValueError(f"`kind` must be one of {', '.join(CORRUPTIONS)}. Received: {self.kind!r}.")
        if not set(self.levels) <= set(SEVERITIES):
            raise ValueError(f"`levels` of a corruption must be among {SEVERITIES}. Received: {self.levels}.")

    def apply(self, classifier: Classifier | None, batch: Batch, level: float) -> np.ndarray:
        """See `Shift.apply`."""
        function, constants = CORRUPTIONS[self.kind]
        draws = SampleGenerators(batch, f"{self.name}/{self.kind}", level)
        return eight_bits(function(batch.images, draws, *constants[int(level) - 1]))


def eight_bits(images: np.ndarray) -> np.ndarray:
    """Clips to [0, 1] and rounds to multiples of 1/255, float32."""
    return (np.round(255 * np.clip(images, 0.0, 1.0)) / 255).astype(np.float32)
