"""The cross-entropy is flat where the logits are not: they are so large that the softmax rounds to 0 and 1."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject


def _measure(subject: Subject) -> Measurement:
    flat = subject.no_gradient("logits", "cross_entropy") & ~subject.no_gradient("logits", "margin")
    lead = -np.median(subject.margins(subject.batch.images))
    return {"value": float(np.mean(flat)), "lead": float(lead), "samples": len(subject)}


def _finding(measurement: Measurement) -> str:
    lead = f"the label leads by {measurement['lead']:,.3g} (median)"
    return share_of_images(measurement, f"have a gradient of the margin and none of the cross-entropy; {lead}")


SIGN = Sign("saturated_loss", "Cross-entropy flat where the margin is not", _measure, _finding)
