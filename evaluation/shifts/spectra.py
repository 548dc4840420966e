"""Power spectra of perturbations: which spatial frequencies a corruption, noise or an attack changes."""

import dataclasses
import math

import numpy as np

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.shifts.base import Shift

GROUPS = ("low", "medium", "high")
# Mean of the radius over the square of frequencies, [-1/2, 1/2]^2 cycles per pixel: the centroid of white noise.
WHITE_CENTROID = (math.sqrt(2) + math.asinh(1)) / 6


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Mean power of perturbations by frequency.

    Attributes:
        power: float, (height, width), frequency 0 in the middle (as `numpy.fft.fftshift` places it). Its mean is the
            perturbations' mean square.
    """

    power: np.ndarray

    @classmethod
    def of(cls, perturbations: np.ndarray) -> "Spectrum":
        """Returns the mean over samples and channels.

        Args:
            perturbations: float, (n, height, width, channels), changed images less images.
        """
        height, width = perturbations.shape[1:3]
        transformed = np.fft.fft2(perturbations.astype(np.float64), axes=(1, 2))
        power = np.mean(np.abs(transformed) ** 2, axis=(0, 3)) / (height * width)
        return cls(np.fft.fftshift(power))

    @property
    def frequencies(self) -> np.ndarray:
        """Radius of each frequency in cycles per pixel, (height, width)."""
        vertical, horizontal = (np.fft.fftshift(np.fft.fftfreq(size)) for size in self.power.shape)
        return np.hypot(vertical[:, None], horizontal)

    def radial(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean power in rings of one cycle per image.

        Returns:
            Frequencies in cycles per pixel, from 0 to 1/2, and the power, (k,) each.
        """
        side = min(self.power.shape)
        rings = np.round(self.frequencies * side).astype(int).ravel()
        mean = np.bincount(rings, self.power.ravel()) / np.bincount(rings)
        kept = np.arange(side // 2 + 1)
        return kept / side, mean[kept]

    @property
    def centroid(self) -> float:
        """Mean frequency, weighted by power, in cycles per pixel; 0 where nothing is changed."""
        total = self.power.sum()
        return float((self.frequencies * self.power).sum() / total) if total > 0 else 0.0

    @property
    def group(self) -> str:
        """The third of the way to white noise in which the centroid lies: "low", "medium" or "high"."""
        return GROUPS[min(2, int(3 * self.centroid / WHITE_CENTROID))]


def shift_spectrum(shift: Shift, split: Split, seed: int = 0) -> Spectrum:
    """Returns the spectrum of what a shift adds to images, the mean over its levels.

    Args:
        shift: one that follows no gradients.
        split: the images.
        seed: of the shift.
    """
    batch = Batch(split.images, split.labels, split.ids, seed)
    powers = [Spectrum.of(shift.apply(None, batch, level) - split.images).power for level in shift.levels]
    return Spectrum(np.mean(powers, axis=0))
