"""One shift of a suite, with its name in tables and figures."""

import dataclasses

from cortexzoo.evaluation.shifts.base import Shift


@dataclasses.dataclass(frozen=True)
class ShiftMember:
    """One shift of a suite.

    Attributes:
        shift: the shift with its levels.
        label: its name in tables and figures.
        unit: what its levels are.
    """

    shift: Shift
    label: str
    unit: str
