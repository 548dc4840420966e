"""Gradient attacks fail where every change is allowed."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject, descent

_STEPS = 100


def _measure(subject: Subject) -> Measurement:
    left = np.ones(len(subject), bool)
    for endpoint in subject.endpoints:
        for random_start in (False, True):
            left &= ~subject.broken_by(descent(1.0, _STEPS, random_start=random_start), endpoint, left)
    return {"value": float(np.mean(left)), "samples": len(subject)}


SIGN = Sign("unbounded", "Unbounded gradient attack fails", _measure, lambda m: share_of_images(m, "withstand L∞ 1"))
