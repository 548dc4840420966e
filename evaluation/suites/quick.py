"""A first look in about a minute."""

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import FastGradientMethod, ProjectedGradientDescent
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.norms import NORM_NAMES


def in_norms(attack_class: type, label: str, info: DatasetInfo, norms: tuple[str, ...] = ("linf", "l2")) -> list[Member]:
    """Returns an attack in several norms, at the data set's thresholds."""
    return [Member(attack_class(norm=norm, epsilon=info.thresholds[norm]), f"{label} {NORM_NAMES[norm]}") for norm in norms]


def _members(info: DatasetInfo) -> tuple[Member, ...]:
    return (
        *in_norms(ProjectedGradientDescent, "PGD", info),
        *in_norms(FastGradientMethod, "FGM", info),
        *in_norms(FastGradientMethod, "FGM", info, ("l1",)),
    )


QUICK = AttackSuite("quick", "FGM and PGD-40, about a minute per model", 200, _members)
SUITES = (QUICK,)
