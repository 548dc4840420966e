"""Logits of few digits: what a small step changes is rounded away, and tiny gradients underflow."""

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject

_TYPES = {"float16": tf.float16.as_numpy_dtype, "bfloat16": tf.bfloat16.as_numpy_dtype}


def _measure(subject: Subject) -> Measurement:
    noise = np.random.default_rng(subject.batch.seed).random(subject.batch.images.shape, np.float32)
    logits = subject.classifier.serving_logits(np.concatenate([subject.batch.images, noise]))
    kinds = [name for name, kind in _TYPES.items() if np.array_equal(logits, logits.astype(kind).astype(np.float32))]
    # Whole numbers have few digits in any type.
    kind = kinds[-1] if kinds and not np.array_equal(logits, np.round(logits)) else ""
    # What is lost is the gradient of the cross-entropy. In bfloat16, which has the range of float32, none is.
    lost = subject.no_gradient("logits", "cross_entropy") & ~subject.no_gradient("logits", "margin")
    return {"value": float(np.mean(lost)) if kind == "float16" else 0.0, "type": kind, "samples": len(subject)}


def _finding(measurement: Measurement) -> str:
    if not measurement["type"]:
        return "the logits have the digits of float32 or more"
    return f"the logits are {measurement['type']}; " + share_of_images(measurement, "lose the gradient of the cross-entropy")


SIGN = Sign("half_precision", "Gradient lost in half precision", _measure, _finding, threshold=0.0)
