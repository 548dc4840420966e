"""The pixels that the gradient ranks first do no harm, and others do: the network was trained to hide them."""

import numpy as np

from cortexzoo.evaluation.diagnosis.flips import flip_at_once
from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign
from cortexzoo.evaluation.diagnosis.subject import Subject


def _measure(subject: Subject) -> Measurement:
    batch, classifier = subject.single_pixels.batch, subject.classifier
    before = classifier.loses_by(batch.images, batch.labels)
    harmless = np.ones(len(batch), bool)
    for endpoint in subject.endpoints:
        flipped = flip_at_once(classifier, endpoint, batch.images, batch.labels, subject.pixels)
        harmless &= classifier.loses_by(flipped, batch.labels) <= before
    hidden = harmless & subject.pixels_missed[: len(batch)] & subject.pixels_found
    return {
        "value": float(np.mean(hidden)),
        "missed": float(np.mean(subject.pixels_missed)),
        "found": float(np.mean(subject.pixels_found)),
        "pixels": subject.pixels,
        "samples": len(batch),
    }


def _finding(measurement: Measurement) -> str:
    missed, found = (f"{100 * measurement[name]:.0f} %" for name in ("missed", "found"))
    return (
        f"{100 * measurement['value']:.1f} % of {measurement['samples']} images are not harmed by the "
        f"{measurement['pixels']} pixels that the gradient ranks first, and broken by others; ranked anew after each pixel, "
        f"it misses {missed}, and a search without it breaks {found}"
    )


SIGN = Sign("sparse_search", "Gradient ranks harmless pixels first", _measure, _finding, threshold=0.3)
