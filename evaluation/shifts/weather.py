"""The common corruptions of weather and light, on whole batches: float32, (n, height, width, channels), in [0, 1]."""

import math

import numpy as np

from cortexzoo.evaluation.shifts.base import SampleGenerators
from cortexzoo.evaluation.shifts.blurs import magnify, smear

# ITU-R BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114])
# Side of a height map for images up to this size; larger ones get the next power of two.
_MAP = 32


def snow(
    images: np.ndarray,
    draws: SampleGenerators,
    mean: float,
    deviation: float,
    flake: float,
    threshold: float,
    radius: float,
    sigma: float,
    clearness: float,
) -> np.ndarray:
    """Whitens the image and adds smeared flakes twice: as they are, and turned by 180 degrees.

    Args:
        images: the images.
        draws: random numbers.
        mean, deviation: of the noise that flakes are made of.
        flake: magnification of the noise.
        threshold: noise below this value is no flake.
        radius, sigma: of the motion blur.
        clearness: share of the image that is not whitened.
    """
    layer = mean + deviation * draws.normal((*images.shape[1:3], 1))
    layer = magnify(layer, flake)
    layer = np.clip(np.where(layer < threshold, 0.0, layer), 0.0, 1.0)
    layer = smear(layer, radius, sigma, draws.uniform(-135.0, -45.0))
    gray = images @ _LUMA[:, None] if images.shape[-1] == 3 else images.mean(axis=-1, keepdims=True)
    whitened = clearness * images + (1 - clearness) * np.maximum(images, 1.5 * gray + 0.5)
    return whitened + layer + layer[:, ::-1, ::-1]


def frost(images: np.ndarray, draws: SampleGenerators, image_share: float, frost_share: float) -> np.ndarray:
    """Adds ice to the image.

    The published corruption adds photographs of frost. This one draws it from the ridges of two height maps: thin bright
    lines on a misty ground, similar to the photographs but not the same.
    """
    first, second = (_height_map(images, draws, 2.0) for _ in range(2))
    ridges = np.maximum(*(1 - np.abs(2 * heights - 1) for heights in (first, second)))
    ice = 0.3 * first + 0.7 * ridges**4
    return image_share * images + frost_share * ice


def fog(images: np.ndarray, draws: SampleGenerators, density: float, decay: float) -> np.ndarray:
    """Adds a cloudy height map and darkens the sum to the image's range."""
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    cloud = _height_map(images, draws, decay)
    return (images + density * cloud) * brightest / (brightest + density)


def _height_map(images: np.ndarray, draws: SampleGenerators, decay: float) -> np.ndarray:
    """A height map for each image, (n, height, width, 1): the corner of a larger one, as published."""
    height, width = images.shape[1:3]
    side = max(_MAP, 2 ** math.ceil(math.log2(max(height, width))))
    return plasma(draws, decay, side)[:, :height, :width, None]


def plasma(draws: SampleGenerators, decay: float, side: int = _MAP) -> np.ndarray:
    """Returns random height maps by the diamond-square algorithm (Fournier et al. 1982).

    Args:
        draws: random numbers.
        decay: by how much the square root of the noise's size falls whenever the lattice is halved; 3 is smooth, 1.75 rough.
        side: a power of two.

    Returns:
        float64, (n, side, side), in [0, 1], periodic.
    """
    step, size = side, 100.0
    heights = np.zeros((len(draws), side, side))

    def noisy_mean(total: np.ndarray) -> np.ndarray:
        return total / 4 + size * draws.uniform(-size, size, total.shape[1:])

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        centres = noisy_mean(pairs + np.roll(pairs, -1, axis=2))
        heights[:, half::step, half::step] = centres
        sides = centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=2)
        heights[:, ::step, half::step] = noisy_mean(sides)
        sides = centres + np.roll(centres, 1, axis=2) + corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, ::step] = noisy_mean(sides)
        step, size = half, size / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return heights / heights.max(axis=(1, 2), keepdims=True)


def brightness(images: np.ndarray, draws: SampleGenerators, added: float) -> np.ndarray:
    """Adds to the value of hue, saturation and value: of a gray image, to the image."""
    value = images.max(axis=-1, keepdims=True)
    brighter = np.minimum(value + added, 1.0)
    # Scaling all channels alike keeps hue and saturation; black has neither and becomes gray.
    return np.where(value > 0, images * (brighter / np.where(value > 0, value, 1.0)), brighter)
