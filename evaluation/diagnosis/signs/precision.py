"""A rescaled or float64 gradient breaks what the same loss in float32 does not."""

import numpy as np

from cortexzoo.evaluation.attacks import RescaledGradientAttack
from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

_STEPS = 40


def _measure(subject: Subject) -> Measurement:
    attack = RescaledGradientAttack(epsilons=(subject.epsilon,), steps=_STEPS, restarts=2)
    broken = subject.broken_by(attack, subject.stabilized, subject.withstand_margin)
    return {"value": float(np.mean(broken)), "endpoint": subject.stabilized, "samples": len(subject)}


SIGN = Sign(
    "precision",
    "Rescaled gradient beats float32",
    _measure,
    lambda m: share_of_images(m, f"fall to it alone (`{m['endpoint']}`)"),
)
