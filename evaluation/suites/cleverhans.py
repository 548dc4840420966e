"""The attacks of CleverHans."""

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import (
    SPSA,
    BasicIterativeMethod,
    CarliniWagnerL2,
    FastGradientMethod,
    MadryEtAl,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
)
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.suites.quick import in_norms


def _members(info: DatasetInfo) -> tuple[Member, ...]:
    return (
        *in_norms(ProjectedGradientDescent, "PGD", info),
        *in_norms(MadryEtAl, "Madry", info),
        *in_norms(BasicIterativeMethod, "BIM", info),
        *in_norms(MomentumIterativeMethod, "MIM", info),
        *in_norms(FastGradientMethod, "FGM", info),
        *in_norms(FastGradientMethod, "FGM", info, ("l1",)),
        Member(CarliniWagnerL2(), "C&W L2", samples=200),
        Member(SPSA(epsilon=info.thresholds["linf"]), "SPSA L∞", samples=200),
    )


CLEVERHANS = AttackSuite("cleverhans", "every attack of CleverHans at full strength", 1000, _members)
SUITES = (CLEVERHANS,)
