"""Adversarial images of another network break what the model's own gradient does not."""

import numpy as np

from cortexzoo.evaluation.attacks import Transfer
from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject, descent

_STEPS = 10


def _measure(subject: Subject) -> Measurement | None:
    if not subject.sources:
        return None
    attack = Transfer(attacks=(descent(subject.epsilon, _STEPS),), epsilons=(subject.epsilon,))
    broken = subject.broken_by(attack.from_sources(subject.sources), "logits", subject.withstand)
    return {"value": float(np.mean(broken)), "sources": list(subject.sources), "samples": len(subject)}


def _finding(measurement: Measurement) -> str:
    return share_of_images(measurement, f"fall to images made for {', '.join(measurement['sources'])}, not to their own")


SIGN = Sign("transfer", "Transfer beats gradients", _measure, _finding, uses_sources=True)
