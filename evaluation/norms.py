"""Norms of perturbations. All distances are measured by them."""

import math

import numpy as np

from cortexzoo.norms import NORMS

# In L0 a pixel counts as changed only beyond this, as float32 rounding of an untouched pixel is not a change.
_CHANGED = 1e-6


def distances(images: np.ndarray, others: np.ndarray, norm: str) -> np.ndarray:
    """Returns the norm of each `others - images`, float64, (n,).

    Args:
        images: float, (n, height, width, channels), in [0, 1].
        others: the same shape.
        norm: "linf", "l2", "l1" or "l0". L0 counts pixels, a pixel with several channels once.
    """
    difference = np.abs(others.astype(np.float64) - images.astype(np.float64))
    if norm == "l0":
        return np.sum(np.any(difference > _CHANGED, axis=-1), axis=(1, 2)).astype(np.float64)
    difference = difference.reshape(len(difference), math.prod(difference.shape[1:]))
    if norm == "linf":
        return difference.max(axis=1, initial=0.0)
    if norm == "l2":
        return np.sqrt(np.sum(difference**2, axis=1))
    if norm == "l1":
        return difference.sum(axis=1)
    raise ValueError(f"`norm` must be one of {', '.join(NORMS)}. Received: norm={norm!r}")


def largest_distance(image_shape: tuple[int, int, int], norm: str) -> float:
    """Returns the largest possible distance between two images in [0, 1]."""
    height, width, channels = image_shape
    values = height * width * channels
    return {"linf": 1.0, "l2": values**0.5, "l1": float(values), "l0": float(height * width)}[norm]
