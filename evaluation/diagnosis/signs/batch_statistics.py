"""Answers that depend on the other images of the batch, as with batch statistics at inference."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject, differs

_ALONE = 16


def _measure(subject: Subject) -> Measurement | None:
    images, classifier = subject.batch.images, subject.classifier
    together = classifier.serving_logits(images)
    if np.any(differs(classifier.serving_logits(images), together)):
        # Of a random model nobody can tell.
        return None
    few = images[:_ALONE]
    alone = np.concatenate([classifier.serving_logits(image[None]) for image in few])
    changed = differs(alone, together[:_ALONE])
    return {"value": float(np.mean(changed)), "samples": len(few)}


SIGN = Sign(
    "batch_statistics",
    "Answers depend on the batch",
    _measure,
    lambda m: share_of_images(m, "get other logits alone than among others"),
    threshold=0.0,
)
