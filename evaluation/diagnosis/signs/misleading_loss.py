"""Steps on the margin break what steps on the cross-entropy do not."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject


def _measure(subject: Subject) -> Measurement:
    broken = subject.withstand & ~subject.withstand_margin
    return {"value": float(np.mean(broken)), "samples": len(subject)}


# Two losses differ a little on any network.
SIGN = Sign(
    "misleading_loss",
    "Margin beats cross-entropy",
    _measure,
    lambda m: share_of_images(m, "fall to steps on the margin alone"),
    threshold=0.15,
)
