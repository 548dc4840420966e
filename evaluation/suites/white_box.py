"""PGD at fixed radii."""

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.shifts import ProjectedGradient
from cortexzoo.evaluation.shifts.member import ShiftMember
from cortexzoo.evaluation.suites.shift_suite import ShiftSuite


def _members(info: DatasetInfo, sources: tuple[Model, ...]) -> tuple[ShiftMember, ...]:
    # From radii that networks without adversarial training partly withstand up to the usual thresholds.
    if info.natural:
        linf, l2 = tuple(eps / 255 for eps in (0.25, 0.5, 1, 2, 4, 8)), (0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
    else:
        linf, l2 = (0.005, 0.01, 0.02, 0.05, 0.1, 0.3), (0.1, 0.2, 0.5, 1.0, 1.5, 3.0)
    return (
        ShiftMember(ProjectedGradient(norm="linf", levels=linf), "PGD L∞", "ε, L∞"),
        ShiftMember(ProjectedGradient(norm="l2", levels=l2), "PGD L2", "ε, L2"),
    )


WHITE_BOX = ShiftSuite("white_box", "PGD-40 in L∞ and L2 at six radii, the worse of two losses", 500, _members)
SUITES = (WHITE_BOX,)
