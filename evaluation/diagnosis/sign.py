"""One sign of masking: what is measured on the model, and what the measurement means."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from cortexzoo.evaluation.diagnosis import signs
from cortexzoo.evaluation.diagnosis.subject import Subject
from cortexzoo.evaluation.results.diagnostics import Check

# Numbers, and other plain JSON values, by name. "value" is the sign's own.
Measurement = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Sign:
    """A sign of masking. A file in the folder `signs` adds one by defining `SIGN`.

    Attributes:
        key: identifies the sign in the store.
        title: its name in tables.
        measure: returns the measurement, of which "value" is in [0, 1]; None where the sign does not apply.
        finding: puts a measurement into words.
        threshold: the largest value that is no reason for distrust.
        uses_sources: whether it depends on the models from which images are transferred.
        version: int. Raised whenever a change of code changes measurements.
    """

    key: str
    title: str
    measure: Callable[[Subject], Measurement | None]
    finding: Callable[[Measurement], str]
    threshold: float = 0.05
    uses_sources: bool = False
    version: int = 1

    def check(self, measurement: Measurement) -> Check:
        """Returns what a measurement means."""
        value = measurement["value"]
        return Check(self.title, self.finding(measurement), value, value > self.threshold, self.threshold)


def all_signs() -> tuple[Sign, ...]:
    """Returns the signs of the folder, by the names of their files."""
    names = sorted(module.name for module in pkgutil.iter_modules(signs.__path__))
    return tuple(importlib.import_module(f"{signs.__name__}.{name}").SIGN for name in names)


def share_of_images(measurement: Measurement, what: str) -> str:
    """Returns the finding of a sign whose value is a share of the images: "12.5 % of 64 images WHAT"."""
    return f"{100 * measurement['value']:.1f} % of {measurement['samples']:,} images {what}"
