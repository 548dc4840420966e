"""Random noise breaks what the gradient does not."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

_DRAWS = 50


def _measure(subject: Subject) -> Measurement:
    generator, images = np.random.default_rng(subject.batch.seed), subject.batch.images
    left = subject.withstand.copy()
    for _ in range(_DRAWS if left.any() else 0):
        # The corners of the ball: the strongest noise that it holds.
        signs = generator.choice(np.array([-1.0, 1.0], np.float32), images.shape)
        left &= ~subject.misclassified(np.clip(images + np.float32(subject.epsilon) * signs, 0.0, 1.0))
    return {"value": float(np.mean(subject.withstand & ~left)), "samples": len(subject)}


SIGN = Sign(
    "random_noise",
    "Random noise beats gradients",
    _measure,
    lambda m: share_of_images(m, f"fall to noise, drawn {_DRAWS} times"),
)
