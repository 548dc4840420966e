"""Weather and light among the common corruptions, on whole batches: float32, (n, height, width, channels), in [0, 1]."""

import numpy as np
from cortexzoo.evaluation.shifts.base import SampleGenerators
from cortexzoo.evaluation.shifts.blurs import magnify, smear

# ITU-R BT.601 luma.
_LUMA = np.array([0.299, 0.587, 0.114])
# Side of a height map: a power of two that holds the images.
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
    """Whitens the image and adds smeared flakes, once as they are and once turned by half.

    Args:
        images: the images.
        draws: random numbers.
        mean, deviation: of the noise that flakes are made of.
        flake: magnification of the noise.
        threshold: what lies below is no flake.
        radius, sigma: of the motion blur.
        clearness: share of the image that is not whitened.
    """
    layer = mean + deviation * draws.normal((*images.shape[1:3], 1))
    layer = magnify(layer, flake)
    layer = np.clip(np.where(layer < threshold, 0.0, layer), 0.0, 1.0)
    layer = smear(layer, radius, sigma, draws.uniform(-135.0, -45.0))
    gray = images @ _LUMA[:, None] if images.shape[-1] == 3 else images
    whitened = clearness * images + (1 - clearness) * np.maximum(images, 1.5 * gray + 0.5)
    return whitened + layer + layer[:, ::-1, ::-1]


def frost(images: np.ndarray, draws: SampleGenerators, image_share: float, frost_share: float) -> np.ndarray:
    """Adds ice to the image.

    The published corruption adds photographs of frost. This one draws it: ridges of two height maps, thin bright lines on a
    misty ground, of the photographs' kind but not the same.
    """
    first, second = (plasma(draws, 2.0) for _ in range(2))
    ridges = np.maximum(*(1 - np.abs(2 * heights - 1) for heights in (first, second)))
    ice = (0.3 * first + 0.7 * ridges**4)[:, : images.shape[1], : images.shape[2], None]
    return image_share * images + frost_share * ice


def fog(images: np.ndarray, draws: SampleGenerators, density: float, decay: float) -> np.ndarray:
    """Adds a cloudy height map and darkens the sum to the image's range."""
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    cloud = plasma(draws, decay)[:, : images.shape[1], : images.shape[2], None]
    return (images + density * cloud) * brightest / (brightest + density)


def plasma(draws: SampleGenerators, decay: float) -> np.ndarray:
    """Returns random height maps by the diamond-square algorithm (Fournier et al. 1982), periodic, (n, 32, 32), in [0, 1].

    Args:
        draws: random numbers.
        decay: by which each halving of the grid divides the noise's root; 3 is smooth, 1.75 rough.
    """
    step, size = _MAP, 100.0
    heights = np.zeros((len(draws), _MAP, _MAP))

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
    # Hue and saturation stay where all channels are scaled alike; black has neither and becomes gray.
    return np.where(value > 0, images * (brighter / np.where(value > 0, value, 1.0)), brighter)
