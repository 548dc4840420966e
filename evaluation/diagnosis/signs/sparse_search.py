"""A search for pixels breaks what pixels ranked by the gradient do not, though the gradient ranks every pixel."""

import numpy as np

from cortexzoo.evaluation.diagnosis.sign import Measurement, Sign
from cortexzoo.evaluation.diagnosis.subject import Subject

# Where more pixels than this have no gradient at all, the ranking is incomplete, not wrong: that is the sign of a dead zone,
# which networks trained in L-infinity have to some degree.
_DEAD = 0.1


def _measure(subject: Subject) -> Measurement:
    found, missed = subject.pixels_found, subject.pixels_missed
    hidden = missed[: len(found)] & found
    dead = np.mean(np.all(subject.gradient[: len(found)] == 0.0, axis=3), axis=(1, 2))
    return {
        "value": float(np.mean(hidden & (dead <= _DEAD))),
        # The same, whatever the reason.
        "hidden": float(np.mean(hidden)),
        "missed": float(np.mean(missed)),
        "found": float(np.mean(found)),
        "pixels": subject.pixels,
        "samples": len(found),
    }


def _finding(measurement: Measurement) -> str:
    missed, found = (f"{100 * measurement[name]:.0f} %" for name in ("missed", "found"))
    share = f"{100 * measurement['value']:.1f} % of {measurement['samples']} images fall to a search alone"
    return f"{share}; {measurement['pixels']} pixels ranked by the gradient miss {missed}, and a search breaks {found}"


SIGN = Sign("sparse_search", "Pixel search beats gradients", _measure, _finding, threshold=0.35, version=2)
