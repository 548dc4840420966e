"""A black-box search breaks what the gradient does not."""

import numpy as np

from cortexzoo.evaluation.attacks import Square
from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

_QUERIES = 300


def _measure(subject: Subject) -> Measurement:
    broken = subject.broken_by(Square(norm="linf", epsilon=subject.epsilon, queries=_QUERIES), "logits", subject.withstand)
    return {"value": float(np.mean(broken)), "samples": len(subject)}


SIGN = Sign(
    "gradient_free",
    "Black-box search beats gradients",
    _measure,
    lambda m: share_of_images(m, f"fall to {_QUERIES} queries of the Square attack"),
)
