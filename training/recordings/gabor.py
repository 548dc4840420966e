"""Gabor cells with the tuning of macaque V1: the distributions of VOneNet (Dapello et al. 2020).

https://proceedings.neurips.cc/paper/2020/hash/98b17f068d5d9b7668e19fb8ae470841-Abstract.html
"""

import dataclasses

import numpy as np

from cortexzoo import datasets

# Bins of 45 degrees around 0, 45, 90 and 135 degrees, and how many cells were found in each (De Valois et al. 1982a).
_ORIENTATION_EDGES = np.deg2rad([-22.5, 22.5, 67.5, 112.5, 157.5])
_ORIENTATION_WEIGHTS = np.array([66, 49, 77, 54])
# Cycles per degree (De Valois et al. 1982b). Cells above 8 cpd are left out: 16 pixels per degree cannot show them.
_FREQUENCY_EDGES = np.array([0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0])
_FREQUENCY_WEIGHTS = np.array([4, 4, 8, 25, 32, 26, 28, 12])
# Standard deviations of the envelope in cycles, across (rows) and along (columns) the bars (Ringach 2002).
_ENVELOPE_EDGES = np.logspace(-1.0, 0.2, 6)
_ENVELOPE_WEIGHTS = np.array([[2, 0, 1, 0, 0], [8, 9, 4, 1, 0], [1, 2, 19, 17, 3], [0, 0, 1, 7, 4], [0, 0, 0, 0, 0]])


@dataclasses.dataclass(frozen=True)
class GaborCells:
    """A population of cells, each looking at one place.

    Attributes:
        x, y: float, (units,). Centre of the receptive field in degrees of visual angle, to the right of and above the centre
            of the image.
        orientation: float, (units,). Direction of the grating's wave vector, in radians.
        frequency: float, (units,). Spatial frequency in cycles per degree.
        phase: float, (units,). In radians.
        across, along: float, (units,). Standard deviations of the envelope in degrees, across and along the bars.
        complex: bool, (units,). Complex cells; the others are simple.
    """

    x: np.ndarray
    y: np.ndarray
    orientation: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray
    across: np.ndarray
    along: np.ndarray
    complex: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def responses(self, images: np.ndarray, pixels_per_degree: float) -> np.ndarray:
        """Returns the responses to the images' luminance, from which their mean luminance was subtracted.

        A simple cell gives max(q0, 0), a complex one sqrt((q0^2 + q1^2) / 2), q0 and q1 being the products of the image with
        two Gabors a quarter of a cycle apart.

        Args:
            images: float, (n, height, width, 1 or 3), in [0, 1].
            pixels_per_degree: float. Pixels in a degree of visual angle.

        Returns:
            float32, (n, units), >= 0, in arbitrary units.
        """
        luminance = images if images.shape[-1] == 1 else datasets.luma(images)
        contrast = (luminance - luminance.mean(dtype=np.float64)).astype(np.float32).reshape(len(images), -1)
        even, odd = (contrast @ self.filters(images.shape[1:3], pixels_per_degree, shift) for shift in (0.0, np.pi / 2))
        return np.where(self.complex, np.sqrt((np.square(even) + np.square(odd)) / 2.0), np.maximum(even, 0.0))

    def filters(self, shape: tuple[int, int], pixels_per_degree: float, shift: float = 0.0) -> np.ndarray:
        """Returns the Gabors sampled at the centres of the pixels, float32, (height * width, units).

        Args:
            shape: (height, width) of the image.
            pixels_per_degree: float.
            shift: float. Added to the phase, in radians.
        """
        height, width = shape
        rows, columns = np.mgrid[:height, :width].reshape(2, -1, 1)
        x = (columns - (width - 1) / 2) / pixels_per_degree - self.x
        y = ((height - 1) / 2 - rows) / pixels_per_degree - self.y
        u = x * np.cos(self.orientation) + y * np.sin(self.orientation)
        v = y * np.cos(self.orientation) - x * np.sin(self.orientation)
        envelope = np.exp(-0.5 * (np.square(u / self.across) + np.square(v / self.along)))
        return (envelope * np.cos(2.0 * np.pi * self.frequency * u + self.phase + shift)).astype(np.float32)


def sample_cells(
    units: int, extent: tuple[float, float], complex_share: float, generator: np.random.Generator
) -> GaborCells:
    """Draws cells whose centres are uniform over the image.

    Args:
        units: int. Number of cells.
        extent: (height, width) of the image in degrees.
        complex_share: float, in [0, 1]. Share of complex cells.
        generator: source of randomness.
    """
    frequency = _draw(generator, np.log(_FREQUENCY_EDGES), _FREQUENCY_WEIGHTS, units)
    cell = generator.choice(_ENVELOPE_WEIGHTS.size, units, p=_ENVELOPE_WEIGHTS.ravel() / _ENVELOPE_WEIGHTS.sum())
    across, along = (
        np.exp(_within(generator, np.log(_ENVELOPE_EDGES), index))
        for index in np.unravel_index(cell, _ENVELOPE_WEIGHTS.shape)
    )
    return GaborCells(
        x=generator.uniform(-0.5, 0.5, units) * extent[1],
        y=generator.uniform(-0.5, 0.5, units) * extent[0],
        orientation=_draw(generator, _ORIENTATION_EDGES, _ORIENTATION_WEIGHTS, units),
        frequency=np.exp(frequency),
        phase=generator.uniform(0.0, 2.0 * np.pi, units),
        across=across / np.exp(frequency),
        along=along / np.exp(frequency),
        complex=np.arange(units) < round(complex_share * units),
    )


def _draw(generator: np.random.Generator, edges: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Draws from a histogram: a bin by its weight, then uniformly within it."""
    return _within(generator, edges, generator.choice(len(weights), count, p=weights / weights.sum()))


def _within(generator: np.random.Generator, edges: np.ndarray, index: np.ndarray) -> np.ndarray:
    return generator.uniform(edges[index], edges[index + 1])
