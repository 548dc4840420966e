"""What a model does to its input before anything else, found by asking it: attacks are chosen by that, not by names."""

from collections.abc import Callable

import numpy as np

from cortexzoo.evaluation.classifier import Classifier

# Logits are the same where they differ by less than this share of the largest.
_SAME = 1e-5
_NOISE = 8
# More halvings than there are float32 numbers in [0, 1].
_HALVINGS = 200
# The least width of a dead zone, and a shift of the values beside it that every logit must notice.
_LEAST, _SHIFT = 0.01, 0.002


def input_threshold(classifier: Classifier, images: np.ndarray) -> float | None:
    """Returns the least value that counts as above a model's hard input threshold, or None if it has none.

    A model has one where it answers for any image as for the image of zeros and ones that the threshold makes of it.

    Args:
        classifier: the model.
        images: a few images of its data set, float32, (n, height, width, channels), in [0, 1].
    """
    noise = _noise(images.shape[1:])
    threshold = _step(classifier, (noise >= 0.5).astype(np.float32))
    if threshold is None:
        return None
    # Values near the threshold tell a hard one from a steep slope.
    near = np.clip(threshold + 0.1 * (noise - 0.5), 0.0, 1.0).astype(np.float32)
    shown = np.concatenate([images, noise, near])
    binary = (shown >= np.float32(threshold)).astype(np.float32)
    return threshold if _same(classifier, shown, binary).all() else None


def dead_zone(classifier: Classifier, images: np.ndarray) -> tuple[float, float] | None:
    """Returns (low, high) where a model answers for values up to low as for low and from high on as for high, or None.

    Between the two its answers change with every value: a hard threshold is no dead zone, nor are rounded logits.

    Args:
        classifier: the model.
        images: a few images of its data set, float32, (n, height, width, channels), in [0, 1].
    """
    noise = _noise(images.shape[1:])
    shown = np.concatenate([images, noise])
    below = _largest(lambda level: _same(classifier, shown, np.maximum(shown, level)).all())
    above = _largest(lambda level: _same(classifier, shown, np.minimum(shown, np.float32(1.0 - level))).all())
    # Few of the values shown lie that near to an end.
    low, high = (0.0 if below < _LEAST else below), (1.0 if above < _LEAST else 1.0 - above)
    if (low, high) == (0.0, 1.0) or high - low < _LEAST:
        return None
    inside = (low + (high - low) * noise).astype(np.float32)
    moved = np.where(inside < (low + high) / 2, inside + np.float32(_SHIFT), inside - np.float32(_SHIFT))
    return None if _same(classifier, inside, moved).any() else (low, high)


def _noise(image_shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random((_NOISE, *image_shape), np.float32)


def _same(classifier: Classifier, images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where the model gives two images the same logits, bool, (n,)."""
    one, other = classifier.serving_logits(images), classifier.serving_logits(others)
    return np.abs(one - other).max(axis=1) <= _SAME * np.abs(one).max()


def _step(classifier: Classifier, patterns: np.ndarray) -> float | None:
    """The least value of a pattern's ones for which the answer is that for ones, and not that for a black image."""
    visible = np.flatnonzero(~_same(classifier, patterns, np.zeros_like(patterns)))
    if len(visible) == 0:
        return None
    pattern = patterns[visible[:1]]
    low, high = np.float32(0.0), np.float32(1.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / np.float32(2.0)
        if middle in (low, high):
            break
        if _same(classifier, pattern, middle * pattern)[0]:
            high = middle
        else:
            low = middle
    return float(high)


def _largest(holds: Callable[[np.float32], bool]) -> float:
    """The largest level in [0, 1] up to which something holds, to about 1e-6."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(np.float32(middle)) else (low, middle)
    return low
