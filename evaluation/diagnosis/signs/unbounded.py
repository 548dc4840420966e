"""Gradient attacks fail where every change is allowed."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

_STEPS = 100


def _measure(subject: Subject) -> Measurement:
    left = subject.after_descent(np.ones(len(subject), bool), 1.0, _STEPS)
    return {"value": float(np.mean(left)), "samples": len(subject)}


SIGN = Sign("unbounded", "Unbounded gradient attack fails", _measure, lambda m: share_of_images(m, "withstand L∞ 1"))
