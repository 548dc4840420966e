"""One step of the gradient breaks what many steps do not."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject, descent


def _measure(subject: Subject) -> Measurement:
    attack = descent(subject.epsilon, 1)
    broken = [subject.broken_by(attack, endpoint, subject.withstand) for endpoint in subject.endpoints]
    return {"value": float(np.mean(np.any(broken, axis=0))), "samples": len(subject)}


SIGN = Sign(
    "single_step", "Single step beats iterative", _measure, lambda m: share_of_images(m, "fall to one step, not to forty")
)
