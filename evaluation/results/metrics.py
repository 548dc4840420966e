"""Accuracies, medians, unions and intervals from per-sample distances. Pure functions of arrays."""

from collections.abc import Sequence

import numpy as np

# Relative. The measured size of a float32 perturbation of exactly epsilon may be a rounding error larger.
TOLERANCE = 1e-5
_Z95 = 1.959963984540054


def survivors(distances: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns which samples stay correctly classified at `epsilon`, bool, (n,): those with d > epsilon (1 + TOLERANCE).

    Args:
        distances: float, (n,); 0 where the clean image is misclassified, infinity where the attack failed.
        epsilon: the radius, inclusive.
    """
    return distances > epsilon * (1 + TOLERANCE)


def accuracy_at(distances: np.ndarray, epsilon: float) -> float:
    """Returns the share of samples with d > epsilon, in [0, 1]; at epsilon 0 that is the clean accuracy."""
    return float(np.mean(survivors(distances, epsilon)))


def union(distances: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the per-sample minimum over attacks, (n,)."""
    return np.min(np.stack(list(distances)), axis=0)


def median_distance(distances: np.ndarray) -> float:
    """Returns the median over all samples; infinite if the attack failed on half of them or more."""
    ordered = np.sort(distances)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    # `np.median` would subtract infinities.
    return float(low if low == high else (low + high) / 2)


def median_interval(distances: np.ndarray) -> tuple[float, float]:
    """Returns the interval of the median by order statistics, with at least 95 % coverage for any distribution.

    The number of values below the median is binomial with p = 1/2. For fewer than six values the interval is their range,
    and the coverage is lower.
    """
    from scipy.stats import binom

    ordered = np.sort(distances)
    # The probability that fewer values than this lie below the median is at most 2.5 %.
    rank = max(int(binom.ppf(0.025, len(ordered), 0.5)), 1)
    return float(ordered[rank - 1]), float(ordered[len(ordered) - rank])


def wilson_interval(successes: float, samples: int) -> tuple[float, float]:
    """Returns the 95 % Wilson score interval of a share (Wilson 1927), within [0, 1].

    The successes need not be whole: for values in [0, 1] with this sum the interval is conservative.

    Raises:
        ValueError: `successes` is not between 0 and `samples`, or there are no samples.
    """
    if samples <= 0 or not 0 <= successes <= samples:
        raise ValueError(f"Expected 0 <= successes <= samples, samples > 0. Received: {successes} of {samples}.")
    share = successes / samples
    scale = 1 + _Z95**2 / samples
    centre = (share + _Z95**2 / (2 * samples)) / scale
    half = _Z95 * np.sqrt(share * (1 - share) / samples + _Z95**2 / (4 * samples**2)) / scale
    # Without or with only successes the bound is exactly the share; rounding must not change that.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == samples else min(1.0, centre + half)
    return float(low), float(high)


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % interval of a mean by Student's t, for example over the seeds of a training.

    Raises:
        ValueError: there are fewer than two values.
    """
    from scipy.stats import t

    if len(values) < 2:
        raise ValueError(f"Expected two values or more. Received: {len(values)}.")
    mean, half = np.mean(values), t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(mean - half), float(mean + half)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the two-sided p of McNemar's exact test (McNemar 1947): are two models equally accurate on the same images?

    Only the images on which they differ count. If the models are equally good, each is right on half of these.

    Args:
        first, second: bool, (n,): whether each image is classified correctly, in the same order.
    """
    # Slow to import and rarely needed.
    from scipy.stats import binomtest

    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    if not only_first + only_second:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)
