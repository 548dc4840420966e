"""The common corruptions that blur, on whole batches: float32, (n, height, width, channels), in [0, 1]."""

import functools
import math

import numpy as np
from scipy import ndimage

from cortexzoo.evaluation.shifts.base import SampleGenerators

# Up to this size a zoom blur is one matrix of pixels by pixels; at 224x224 that would take 20 GB.
_MATRIX_PIXELS = 32 * 32


def defocus_blur(images: np.ndarray, draws: SampleGenerators, radius: float, softness: float) -> np.ndarray:
    """Averages over a disk whose edge is smoothed by a 3x3 Gaussian of standard deviation `softness`."""
    return ndimage.correlate(images, disk(radius, softness)[None, :, :, None], mode="mirror")


def disk(radius: float, softness: float) -> np.ndarray:
    """Returns the kernel of `defocus_blur`, float32, square, of sum 1."""
    extent = np.arange(-math.floor(radius) - 1, math.floor(radius) + 2)
    inside = (extent[:, None] ** 2 + extent**2 <= radius**2).astype(np.float32)
    taps = np.exp(-(np.array([-1.0, 0.0, 1.0]) ** 2) / (2 * softness**2))
    kernel = ndimage.correlate(inside / inside.sum(), np.outer(taps, taps) / taps.sum() ** 2, mode="constant")
    return kernel.astype(np.float32)


def glass_blur(images: np.ndarray, draws: SampleGenerators, sigma: float, iterations: int) -> np.ndarray:
    """Blurs, lets each pixel take the value of itself or of its upper, left or upper left neighbour, and blurs again.

    The published loop means to swap neighbours; on images with a channel axis it copies them, and so does this. An offset of
    one pixel only reaches pixels that the loop has not visited yet, so a pass is one gather. The first two rows and columns
    stay as they are, and so does all of a narrower image.
    """
    images = _gaussian(images, sigma)
    height, width = images.shape[1:3]
    offsets = draws.integers(-1, 1, (iterations, max(height - 2, 0), max(width - 2, 0), 2))
    samples = np.arange(len(images))[:, None, None]
    for across, down in np.moveaxis(offsets, (1, 4), (0, 1)):
        source = images[samples, np.arange(2, height)[:, None] + down, np.arange(2, width) + across]
        images = images.copy()
        images[:, 2:, 2:] = source
    return _gaussian(images, sigma)


def _gaussian(images: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(images, sigma, axes=(1, 2), mode="nearest")


def motion_blur(images: np.ndarray, draws: SampleGenerators, radius: float, sigma: float) -> np.ndarray:
    """Smears along a direction between -45 and 45 degrees."""
    return smear(images, radius, sigma, draws.uniform(-45.0, 45.0))


def smear(images: np.ndarray, radius: float, sigma: float, degrees: np.ndarray) -> np.ndarray:
    """Returns ImageMagick's motion blur: a one-sided Gaussian of whole-pixel steps along a direction of each sample's own.

    Args:
        images: float32, (n, height, width, channels).
        radius: length of the trail in pixels.
        sigma: standard deviation of its weights in pixels.
        degrees: float, (n,). Measured clockwise from the right.
    """
    steps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    down, across = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    height, width = images.shape[1:3]
    samples, smeared = np.arange(len(images))[:, None, None], np.zeros(images.shape)
    for step, weight in zip(steps, weights, strict=True):
        rows = np.arange(height) + np.ceil(step * down - 0.5).astype(int)[:, None]
        columns = np.arange(width) + np.ceil(step * across - 0.5).astype(int)[:, None]
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
        smeared += weight * images[samples, rows[:, :, None], columns[:, None, :]]
    return smeared


def zoom_blur(images: np.ndarray, draws: SampleGenerators, factors: tuple[float, ...]) -> np.ndarray:
    """Averages the images and their magnifications, see `magnify`."""
    height, width, channels = images.shape[1:]
    if height * width > _MATRIX_PIXELS:
        return (images + sum(magnify(images, factor) for factor in factors)) / (len(factors) + 1)
    matrix = _zoom_matrix(height, width, factors)
    flat = images.astype(np.float64).reshape(len(images), -1, channels)
    return np.moveaxis(np.moveaxis(flat, 2, 1) @ matrix.T, 1, 2).reshape(images.shape)


@functools.lru_cache(maxsize=8)
def _zoom_matrix(height: int, width: int, factors: tuple[float, ...]) -> np.ndarray:
    """The whole blur as one matrix of pixels by pixels: many magnifications then cost no more than one."""
    total = np.eye(height * width)
    for factor in factors:
        total += np.kron(_magnification(height, factor), _magnification(width, factor))
    return total / (len(factors) + 1)


def magnify(images: np.ndarray, factor: float) -> np.ndarray:
    """Returns the middle of the images, magnified bilinearly to their size, the shape of `images`."""
    rows, columns = (_magnification(size, factor) for size in images.shape[1:3])
    return np.einsum("ij,njkc,lk->nilc", rows, images, columns, optimize=True)


def _magnification(size: int, factor: float) -> np.ndarray:
    """What `magnify` does to rows, and to columns: bilinear zoom is linear in both."""
    crop = math.ceil(size / factor)
    zoomed = ndimage.zoom(np.eye(crop), (factor, 1), order=1)
    trimmed, first = (len(zoomed) - size) // 2, (size - crop) // 2
    return np.pad(zoomed[trimmed : trimmed + size], ((0, 0), (first, size - crop - first)))
