"""The gradient is zero in every pixel: an attack that follows it does not move."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject


def _measure(subject: Subject) -> Measurement:
    margin = subject.no_gradient("logits", "margin")
    others = [subject.no_gradient(name, "margin") for name in subject.classifier.endpoints if name != "logits"]
    noise = np.random.default_rng(subject.batch.seed).random(subject.batch.images.shape, np.float32)
    _, in_noise = subject.margins_and_gradients(noise)
    return {
        "value": float(np.mean(margin)),
        # Some endpoint's gradient is there.
        "elsewhere": float(np.mean(margin & ~np.all(others, axis=0))) if others else 0.0,
        # A threshold has no gradient anywhere; a flat stretch or an underflow has some in places.
        "in_noise": float(np.mean(np.all(in_noise == 0.0, axis=(1, 2, 3)))),
        "samples": len(subject),
    }


SIGN = Sign("zero_gradient", "All-zero gradient of the margin", _measure, lambda m: share_of_images(m, "have none"))
