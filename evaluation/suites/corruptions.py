"""Common corruptions."""

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.shifts import CORRUPTIONS, Corruption
from cortexzoo.evaluation.shifts.member import ShiftMember
from cortexzoo.evaluation.suites.shift_suite import ShiftSuite


def corruptions() -> tuple[ShiftMember, ...]:
    """Returns the corruptions, which are the same for all data sets."""
    return tuple(
        ShiftMember(Corruption(kind=kind), kind.replace("_", " ").capitalize().replace("Jpeg", "JPEG"), "severity")
        for kind in CORRUPTIONS
    )


def _members(info: DatasetInfo, sources: tuple[Model, ...]) -> tuple[ShiftMember, ...]:
    return corruptions()


CORRUPTION = ShiftSuite("corruptions", "15 common corruptions at five severities", 1000, _members)
SUITES = (CORRUPTION,)
