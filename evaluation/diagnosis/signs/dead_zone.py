"""Pixels without gradient that matter: the input is flat near black and white, and changes beyond."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign, share_of_images
from cortexzoo.evaluation.diagnosis.subject import Subject


def _measure(subject: Subject) -> Measurement:
    scan = subject.single_pixels
    dead = np.all(subject.gradient[: len(scan.batch)] == 0.0, axis=3)
    best = np.argmax(scan.gains, axis=1)
    hidden = dead[np.arange(len(dead)), scan.rows[best], scan.columns[best]]
    # Where nothing has a gradient, no pixel is worse than another.
    hidden &= ~np.all(dead, axis=(1, 2))
    # A network of ReLU has such pixels as well. They hide something if attacks miss it.
    hidden &= subject.pixels_missed[: len(hidden)] & subject.pixels_found
    share = float(np.median(np.mean(dead, axis=(1, 2))))
    return {"value": float(np.mean(hidden)), "dead_pixels": share, "samples": len(dead)}


def _finding(measurement: Measurement) -> str:
    dead = f"{100 * measurement['dead_pixels']:.0f} % of the pixels have none (median)"
    return share_of_images(measurement, f"suffer most from a pixel without gradient, and attacks miss it; {dead}")


SIGN = Sign("dead_zone", "Pixels without gradient that matter", _measure, _finding, threshold=0.4, version=2)
