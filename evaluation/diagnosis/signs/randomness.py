"""Answers that differ when asked again: one gradient is a draw, and one answer is another."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject, differs

_REPEATS = 8


def _measure(subject: Subject) -> Measurement:
    classifier, images = subject.classifier, subject.batch.images
    # Of a model that is known to be random, each answer is the mean of several.
    answers = [classifier.serving_logits(images) for _ in range(_REPEATS)]
    others = np.any([differs(answer, answers[0]) for answer in answers[1:]], axis=0)
    labels = classifier.answers(images)
    return {
        "value": float(np.mean(others)),
        "labels": float(np.mean(np.any(labels != labels[0], axis=0))),
        "samples": len(subject),
    }


def _finding(measurement: Measurement) -> str:
    labels = f"{100 * measurement['labels']:.1f} % other labels"
    return share_of_images(measurement, f"get other logits when asked again, {labels}")


SIGN = Sign("randomness", "Random answers", _measure, _finding, threshold=0.0)
