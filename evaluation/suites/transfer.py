"""FGSM images transferred from other networks."""

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.shifts import FastGradientTransfer
from cortexzoo.evaluation.shifts.member import ShiftMember
from cortexzoo.evaluation.suites.noise import ten_levels
from cortexzoo.evaluation.suites.shift_suite import ShiftSuite


def _members(info: DatasetInfo, sources: tuple[Model, ...]) -> tuple[ShiftMember, ...]:
    levels = ten_levels(0.02 if info.natural else 0.5)
    members = []
    for source in sources:
        shift = FastGradientTransfer(source=source.path, digest=source.digest, dataset=info, levels=levels)
        members.append(ShiftMember(shift, f"FGSM of {source.name}", "ε, L∞"))
    return tuple(members)


TRANSFER = ShiftSuite("transfer", "FGSM at ten levels, transferred from --source", 1000, _members, transfers=True)
SUITES = (TRANSFER,)
