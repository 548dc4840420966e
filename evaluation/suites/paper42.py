"""The 42 attacks of Liu et al. (2022), inferred from the paper's counts and citations, as its appendix is not available.

The paper names 22 attacks in L2, 12 in Linf, 6 in L1 and 2 in L0 from Foolbox 3.2.1 (Pointwise from 2.4.0). The published
variant has Foolbox's default settings. The hardened variant has today's: more steps, several starts, the cross-entropy and
a margin loss that no softmax flattens, and a refinement for thresholded pixels. Brendel-Bethge is the paper's only attack
made for L1.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.attacks import (
    AdditiveNoise,
    Attack,
    BasicIterativeMethod,
    BestOf,
    BinaryContrastReduction,
    BlendedUniformNoise,
    BoundaryAttack,
    BrendelBethge,
    CarliniWagnerL2,
    DecoupledDirectionNorm,
    DeepFool,
    ElasticNet,
    FastGradientMethod,
    GaussianBlur,
    GradientAttack,
    GreedyPixels,
    Inversion,
    L1Descent,
    L2ContrastReduction,
    LinearContrastReduction,
    MadryEtAl,
    Pointwise,
    SparseL1Descent,
)
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.attacks.starting_points import STARTS
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.norms import NORM_NAMES, NORMS

# With small steps, progress shows only over many of them. Foolbox checks the loss every 1,000 steps, ten times in all.
_PATIENT: dict = {"window": 100, "improvement": 1e-4}


def flexible(norm: str) -> list[tuple[str, Attack]]:
    """Returns the five attacks that Foolbox offers for any norm."""
    return [
        ("Inversion", Inversion(norm=norm)),
        ("Binary contrast", BinaryContrastReduction(norm=norm)),
        ("Linear contrast", LinearContrastReduction(norm=norm)),
        ("Blur", GaussianBlur(norm=norm)),
        ("Blended noise", BlendedUniformNoise(norm=norm)),
    ]


def gradient_steps(norm: str, hardened: bool, thresholds: Mapping[str, float]) -> list[tuple[str, Attack]]:
    """Returns FGM, BIM and PGD in Linf or L2."""
    common: dict = {"norm": norm, "epsilon": thresholds[norm]}
    if hardened:
        pgd = _with_both_losses(GradientAttack(steps=200, relative_step=0.05, random_start=True, restarts=2, **common))
        bim = _with_both_losses(GradientAttack(steps=50, relative_step=0.1, **common))
    else:
        # Foolbox's defaults for PGD in Linf are those of Madry et al.; for BIM they are CleverHans' in both norms.
        pgd = MadryEtAl(**common) if norm == "linf" else _foolbox_pgd(GradientAttack, **common)
        bim = BasicIterativeMethod(**common)
    return [("PGD", pgd), ("BIM", bim), ("FGM", FastGradientMethod(**common))]


def _foolbox_pgd(attack_class: type[GradientAttack], **common: Any) -> GradientAttack:
    return attack_class(steps=50, relative_step=0.025, random_start=True, **common)


def _with_both_losses(attack: Attack) -> Attack:
    """The attack with the cross-entropy and with the margin; the nearer adversarial image counts."""
    return BestOf(attacks=(attack, dataclasses.replace(attack, loss="margin")))


def noise(norm: str, thresholds: Mapping[str, float]) -> list[tuple[str, Attack]]:
    """Returns the additive-noise attacks: eight in L2, two in Linf."""
    found = []
    for distribution in ("gaussian", "uniform") if norm == "l2" else ("uniform",):
        for aware in (False, True) if norm == "l2" else (False,):
            for repeats in (1, 100):
                label = ("repeated " if repeats > 1 else "") + ("clipping-aware " if aware else "") + f"{distribution} noise"
                attack = AdditiveNoise(
                    norm=norm, epsilon=thresholds[norm], distribution=distribution, clipping_aware=aware, repeats=repeats
                )
                found.append((label[0].upper() + label[1:], attack))
    return found


def battery(hardened: bool, thresholds: Mapping[str, float]) -> list[tuple[str, Attack]]:
    """Returns the 42 attacks with their names, cheap and strong ones first in each norm."""
    restarts = STARTS if hardened else 1
    ddn = DecoupledDirectionNorm()
    return [
        *gradient_steps("linf", hardened, thresholds),
        ("DeepFool", DeepFool(norm="linf")),
        ("Brendel-Bethge", BrendelBethge(norm="linf", restarts=restarts)),
        *noise("linf", thresholds),
        *flexible("linf"),
        ("DDN", _with_both_losses(dataclasses.replace(ddn, steps=300)) if hardened else ddn),
        *gradient_steps("l2", hardened, thresholds),
        ("DeepFool", DeepFool(norm="l2")),
        ("C&W", CarliniWagnerL2(learning_rate=1e-2, initial_constant=1e-3, steps=10_000, **_PATIENT)),
        ("Brendel-Bethge", BrendelBethge(norm="l2", restarts=restarts)),
        ("Boundary", BoundaryAttack()),
        ("L2 contrast", L2ContrastReduction(epsilon=thresholds["l2"])),
        *noise("l2", thresholds),
        *flexible("l2"),
        ("Brendel-Bethge", BrendelBethge(norm="l1", restarts=restarts)),
        *flexible("l1"),
        ("Brendel-Bethge", BrendelBethge(norm="l0", restarts=restarts)),
        ("Pointwise x 10", Pointwise()),
    ]


def sparse(hardened: bool, thresholds: Mapping[str, float]) -> list[tuple[str, Attack]]:
    """Returns the attacks made for L1; if hardened, also a greedy pixel search that does not rely on gradients."""
    epsilon = thresholds["l1"]
    bim = L1Descent(epsilon=epsilon, steps=10, relative_step=0.2)
    pgd = _foolbox_pgd(L1Descent, epsilon=epsilon)
    descent = {"steps": 100, "relative_step": 0.05} if hardened else {}
    elastic = {"decision_rule": "L1", "initial_constant": 1e-1} if hardened else {"steps": 10_000}
    elastic |= _PATIENT
    return [
        ("FGM", L1Descent(epsilon=epsilon, steps=1, relative_step=1.0, rounds=12)),
        ("BIM", _with_both_losses(bim) if hardened else bim),
        ("PGD", _with_both_losses(pgd) if hardened else pgd),
        ("Sparse descent", SparseL1Descent(epsilon=epsilon, **descent)),
        ("EAD", ElasticNet(**elastic)),
        *([("Greedy pixels", GreedyPixels())] if hardened else []),
    ]


def _suite(hardened: bool, l1: bool) -> AttackSuite:
    def members(info: DatasetInfo) -> tuple[Member, ...]:
        attacks = battery(hardened, info.thresholds) + (sparse(hardened, info.thresholds) if l1 else [])
        found = [Member(attack, f"{label} {NORM_NAMES[attack.norm]}") for label, attack in attacks]
        return tuple(sorted(found, key=lambda member: NORMS.index(member.attack.norm)))

    name = "paper42" + ("_l1" if l1 else "") + ("_hardened" if hardened else "")
    more = " and six for sparse norms" if hardened else " and five for L1"
    text = "42 attacks of Liu et al. (inferred)" + (more if l1 else "")
    changes = "hardened, refined on binarised models" if hardened else "with the settings of Foolbox"
    return AttackSuite(name, f"{text}, {changes}", 200, members, refined=hardened)


SUITES = tuple(_suite(hardened, l1) for hardened in (False, True) for l1 in (False, True))
