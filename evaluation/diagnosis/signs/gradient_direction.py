"""A step along the gradient does not raise the loss."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

# As shares of the threshold: the smallest is below what half precision shows, the largest is no small step any more.
STEPS = (1 / 64, 1 / 16, 1 / 4)


def _measure(subject: Subject) -> Measurement:
    images, direction = subject.batch.images, np.sign(subject.gradient)
    steps = np.reshape(STEPS, (-1, 1, 1, 1, 1)) * subject.epsilon
    moved = np.clip(images + steps * direction, 0.0, 1.0).astype(np.float32)
    rises = np.any(subject.margins(moved) > subject.margins(images), axis=0)
    return {"value": float(np.mean(~rises)), "samples": len(subject)}


SIGN = Sign(
    "gradient_direction",
    "No step along the gradient raises the margin",
    _measure,
    lambda m: share_of_images(m, "see no rise up to a quarter of the threshold"),
)
