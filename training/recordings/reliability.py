"""Means over trials, and how much of a unit's response is due to the image rather than to chance."""

import numpy as np


def mean_over_trials(responses: np.ndarray) -> np.ndarray:
    """Returns the mean response to each image, float64, (images, units); NaN where no trial was recorded.

    Args:
        responses: float, (trials, images, units); NaN where a trial is missing.
    """
    counts = np.sum(np.isfinite(responses), axis=0)
    sums = np.nansum(responses, axis=0, dtype=np.float64)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def standardized(responses: np.ndarray) -> np.ndarray:
    """Subtracts each unit's mean over the images and divides by its standard deviation (0 where it does not vary).

    Args:
        responses: float, (images, units); NaN, where nothing was recorded, stays NaN.
    """
    centred = responses - np.nanmean(responses, axis=0)
    spread = np.nanstd(responses, axis=0)
    return centred * np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)


def reliability(responses: np.ndarray) -> np.ndarray:
    """Returns the share of signal variance in the variance of each unit's mean responses.

    The variance over images of the mean over T trials is that of the signal plus 1 / T of that of the noise, and that of the
    noise is the variance over trials, pooled over the images that were repeated. With as many trials of every image this
    estimates the split-half correlation after the Spearman-Brown correction.

    Args:
        responses: float, (trials, images, units); NaN where a trial is missing.

    Returns:
        float64, (units,), in [0, 1]; 0 for units that never respond or respond alike to all images.

    Raises:
        ValueError: a unit has no image with two trials, or fewer than two images.
    """
    counts = np.sum(np.isfinite(responses), axis=0)
    means = mean_over_trials(responses)
    freedom = np.sum(np.maximum(counts - 1, 0), axis=0)
    images = np.sum(counts > 0, axis=0)
    if (freedom < 1).any() or (images < 2).any():
        poor = np.flatnonzero((freedom < 1) | (images < 2))
        raise ValueError(
            "Expected two recorded images, and two trials of at least one, for every unit, as reliability compares trials. "
            f"Received: fewer for {len(poor)} of {len(images)} units, such as unit {poor[0]}."
        )
    noise = sum(np.nansum(np.square(trial - means), axis=0) for trial in responses) / freedom
    total = np.nanvar(means, axis=0, ddof=1)
    of_means = noise * np.sum(1.0 / np.maximum(counts, 1), axis=0, where=counts > 0) / images
    return np.divide(np.maximum(total - of_means, 0.0), total, out=np.zeros_like(total), where=total > 0)
