"""Logits that are multiples of one number: steps that do not reach the next multiple change nothing."""

import ml_dtypes
import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

# As a share of the range: smaller steps drown in the rounding of float32.
_LEAST_STEP = 1e-5
_TOLERANCE = 1e-2
_HALF = (tf.float16.as_numpy_dtype, tf.bfloat16.as_numpy_dtype)


def _measure(subject: Subject) -> Measurement:
    noise = np.random.default_rng(subject.batch.seed).random(subject.batch.images.shape, np.float32)
    step = lattice(subject.classifier.serving_logits(np.concatenate([subject.batch.images, noise])))
    lost = float(np.mean(subject.no_gradient("logits", "margin")))
    return {"value": lost if step else 0.0, "step": step, "samples": len(subject)}


def lattice(logits: np.ndarray) -> float:
    """Returns the number of which all logits are multiples, up to a common offset; 0 if there is none.

    Numbers in half precision are multiples of the last digit of the smallest one. That does not count.
    """
    values = np.unique(logits.astype(np.float64))
    gaps = np.diff(values)
    # Rounding of float32 parts equal values.
    gaps = gaps[gaps > 1e-6 * np.max(np.abs(values))]
    if len(gaps) == 0 or (step := float(gaps.min())) < max(_LEAST_STEP * np.ptp(values), _last_digit(values)):
        return 0.0
    # From the middle, where values lie close together.
    distances = np.abs(values - values[len(values) // 2])
    places = distances / _refined(distances, step)
    return step if np.max(np.abs(places - np.round(places))) < _TOLERANCE else 0.0


def _refined(distances: np.ndarray, step: float) -> float:
    """Returns the step without the rounding of the one gap that it was read from: over a hundred steps that is less."""
    for reach in (1e2, 1e4, 1e6):
        farthest = np.max(distances[distances <= reach * step])
        step = farthest / round(farthest / step) if farthest > step else step
    return step


def _last_digit(values: np.ndarray) -> float:
    """Of the largest number, if all are numbers in half precision; else 0."""
    largest = np.max(np.abs(values))
    kinds = [kind for kind in _HALF if np.array_equal(values, values.astype(kind).astype(np.float64))]
    return max((float(largest.astype(kind)) * float(ml_dtypes.finfo(kind).eps) / 2 for kind in kinds), default=0.0)


def _finding(measurement: Measurement) -> str:
    if not measurement["step"]:
        return "the logits take any value"
    step = f"the logits are multiples of {measurement['step']:.3g}"
    return f"{step}; " + share_of_images(measurement, "have no gradient")


SIGN = Sign("rounded_logits", "Gradient lost in rounded logits", _measure, _finding)
