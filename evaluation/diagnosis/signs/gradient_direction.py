"""A step along the gradient does not raise the loss."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

# As shares of the threshold: the smallest is below what half precision shows, the largest is no small step any more.
STEPS = (1 / 64, 1 / 16, 1 / 4)


def _measure(subject: Subject) -> Measurement:
    _, precise = subject.margins_and_gradients(subject.batch.images, subject.stabilized)
    return {
        "value": _share_without_rise(subject, subject.gradient),
        # Along the gradient of the endpoint that loses least of it.
        "stabilized": _share_without_rise(subject, precise),
        "samples": len(subject),
    }


def _share_without_rise(subject: Subject, gradient: np.ndarray) -> float:
    images = subject.batch.images
    steps = np.reshape(STEPS, (-1, 1, 1, 1, 1)) * subject.epsilon
    moved = np.clip(images + steps * np.sign(gradient), 0.0, 1.0).astype(np.float32)
    return float(np.mean(~np.any(subject.margins(moved) > subject.margins(images), axis=0)))


SIGN = Sign(
    "gradient_direction",
    "No step along the gradient raises the margin",
    _measure,
    lambda m: share_of_images(m, "see no rise up to a quarter of the threshold"),
)
