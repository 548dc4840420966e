"""A first look in a few minutes."""

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import AutoPGD, FastGradientMethod, ProjectedGradientDescent
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.suites.standard import in_a_row
from cortexzoo.norms import NORM_NAMES


def in_norms(attack_class: type, label: str, info: DatasetInfo, norms: tuple[str, ...] = ("linf", "l2")) -> list[Member]:
    """Returns an attack in several norms, at the data set's thresholds."""
    return [Member(attack_class(norm=norm, epsilon=info.thresholds[norm]), f"{label} {NORM_NAMES[norm]}") for norm in norms]


def _targeted(info: DatasetInfo) -> list[Member]:
    """What PGD on the cross-entropy leaves: towards three classes each, and in L1 from the start."""
    members = []
    for norm in ("linf", "l2", "l1"):
        common: dict = {"norm": norm, "epsilon": info.thresholds[norm], "large_radii": norm == "l1", "steps": 50}
        targeted = ("APGD-T", AutoPGD(loss="targeted_dlr", target_classes=3, **common))
        attacks = [("APGD-CE", AutoPGD(**common)), targeted] if norm == "l1" else [targeted]
        members += in_a_row(attacks, info.thresholds[norm])
    return members


def _members(info: DatasetInfo) -> tuple[Member, ...]:
    return (
        *in_norms(ProjectedGradientDescent, "PGD", info),
        *in_norms(FastGradientMethod, "FGM", info),
        *_targeted(info),
    )


QUICK = AttackSuite("quick", "FGM, PGD-40, and APGD on the images that they leave: a few minutes per model", 200, _members)
SUITES = (QUICK,)
