"""Whether a model thresholds its input, so that it sees only which values reach a level; found by asking it."""

import numpy as np

from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.evaluation import INPUT_THRESHOLD, Evaluation

_IMAGES = 16
# Gray images tried first, and bisections between two of them, which end at neighbouring float32 numbers.
_LEVELS, _BISECTIONS = 65, 30
# Logits are equal up to rounding; relative to the largest.
_ROUNDING = 1e-5


def input_threshold(classifier: Classifier, images: np.ndarray) -> float | None:
    """Returns the threshold, in (0, 1); values equal to it count as above. None if the model sees more of its input.

    Args:
        classifier: the model.
        images: a few images, float32, (n, height, width, channels).
    """
    levels = np.linspace(0.0, 1.0, _LEVELS, dtype=np.float32)
    logits = classifier.serving_logits(_gray(levels, classifier))
    changes = np.flatnonzero([_differ(one, other) for one, other in zip(logits[1:], logits[:-1], strict=True)])
    if len(changes) != 1:
        return None
    threshold = _bisect(classifier, levels[changes[0]], levels[changes[0] + 1], logits[changes[0]])
    noise = np.random.default_rng(0).random((_IMAGES, *classifier.image_shape), np.float32)
    seen = np.concatenate([images[:_IMAGES], noise])
    whole = classifier.serving_logits(seen)
    same = not _differ(classifier.serving_logits((seen >= threshold).astype(np.float32)), whole)
    return threshold if same and _differ(whole, np.broadcast_to(whole[:1], whole.shape)) else None


def examine(evaluation: Evaluation) -> None:
    """Keeps the threshold in the store, unless the model was examined before."""
    if evaluation.store.check(evaluation.digest, evaluation.images.info.name, INPUT_THRESHOLD) is None:
        found = input_threshold(evaluation.classifier, evaluation.first(_IMAGES).images)
        evaluation.store.set_check(evaluation.digest, evaluation.images.info.name, INPUT_THRESHOLD, {"value": found})


def _gray(levels: np.ndarray, classifier: Classifier) -> np.ndarray:
    return np.broadcast_to(levels[:, None, None, None], (len(levels), *classifier.image_shape)).astype(np.float32)


def _bisect(classifier: Classifier, low: np.float32, high: np.float32, below: np.ndarray) -> float:
    """The least gray level with other logits than those of the lower level."""
    for _ in range(_BISECTIONS):
        middle = np.float32((low + high) / 2)
        if middle in (low, high):
            break
        changed = _differ(classifier.serving_logits(_gray(np.array([middle]), classifier))[0], below)
        low, high = (low, middle) if changed else (middle, high)
    return float(high)


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    return not np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING * float(np.max(np.abs(other), initial=0.0)))
