"""AutoAttack, as published: four attacks in a row, without a parameter to choose.

Croce and Hein 2020, https://arxiv.org/abs/2003.01690; in L1 Croce and Hein 2021, https://arxiv.org/abs/2103.01208. An image
that an attack has broken leaves. Order, steps, restarts, target classes and queries are those of the authors' version
`standard`: APGD on the cross-entropy, targeted APGD, targeted FAB, Square.
"""

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import FAB, Attack, AutoPGD, Square
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.norms import NORM_NAMES

_NORMS = ("linf", "l2", "l1")


def auto_attack(norm: str, epsilon: float) -> list[tuple[str, Attack]]:
    """Returns the four attacks in Linf, L2 or L1 with their names."""
    common: dict = {"norm": norm, "epsilon": epsilon}
    if norm == "l1":
        gradient, targeted = {"restarts": 5, "large_radii": True}, {"target_classes": 5, "large_radii": True}
    else:
        gradient, targeted = {"restarts": 1}, {"target_classes": 9}
    return [
        ("APGD-CE", AutoPGD(**common, **gradient)),
        ("APGD-T", AutoPGD(loss="targeted_dlr", **common, **targeted)),
        ("FAB-T", FAB(target_classes=9, **common)),
        ("Square", Square(queries=5000, **common)),
    ]


def in_a_row(
    attacks: list[tuple[str, Attack]], epsilon: float, samples: int | None = None, endpoints: tuple[str, ...] = ("logits",)
) -> list[Member]:
    """Returns members that an image leaves once it is broken.

    Args:
        attacks: with their names, all of one norm.
        epsilon: the threshold.
        samples: at most this many of the images; None for all.
        endpoints: see `Member`.
    """
    named = [(attack, f"{name} {NORM_NAMES[attack.norm]}") for name, attack in attacks]
    return [Member(attack, label, samples, endpoints, leaves_at=epsilon) for attack, label in named]


def members(info: DatasetInfo) -> tuple[Member, ...]:
    """Returns AutoAttack in three norms at the data set's thresholds."""
    epsilons = info.thresholds
    return tuple(member for norm in _NORMS for member in in_a_row(auto_attack(norm, epsilons[norm]), epsilons[norm]))


STANDARD = AttackSuite("standard", "AutoAttack as published, in L∞, L2 and L1; broken images leave", 500, members)
SUITES = (STANDARD,)
