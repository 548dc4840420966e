"""The pixels that the gradient ranks first do no harm, and others do: the network was trained to hide them."""

import numpy as np

from cortexzoo.evaluation.diagnosis.flips import flip_at_once, flip_one_by_one
from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign
from cortexzoo.evaluation.diagnosis.subject import Subject


def _measure(subject: Subject) -> Measurement:
    scan, classifier = subject.single_pixels, subject.classifier
    batch, pixels = scan.batch, subject.pixels
    searched = np.stack([scan.search(classifier, i, pixels) for i in range(len(batch))])
    broken = classifier.misclassifies(searched, batch.labels)
    harmless = np.ones(len(batch), bool)
    withstand = np.ones(len(subject), bool)
    before = classifier.loses_by(batch.images, batch.labels)
    for endpoint in subject.endpoints:
        at_once = flip_at_once(classifier, endpoint, batch.images, batch.labels, pixels)
        harmless &= classifier.loses_by(at_once, batch.labels) <= before
        one_by_one = flip_one_by_one(classifier, endpoint, subject.batch.images, subject.batch.labels, pixels)
        withstand &= ~subject.misclassified(one_by_one)
    return {
        "value": float(np.mean(harmless & broken)),
        "ranked": float(np.mean(withstand)),
        "searched": float(np.mean(~broken)),
        "pixels": pixels,
        "samples": len(batch),
    }


def _finding(measurement: Measurement) -> str:
    left = [f"{100 * measurement[name]:.0f} %" for name in ("ranked", "searched")]
    return (
        f"{100 * measurement['value']:.1f} % of {measurement['samples']} images are not harmed at all by the "
        f"{measurement['pixels']} pixels that the gradient ranks first, and broken by others; pixels ranked anew after each "
        f"one leave {left[0]}, a search without the gradient {left[1]}"
    )


SIGN = Sign("sparse_search", "Gradient ranks harmless pixels first", _measure, _finding, threshold=0.2)
