"""The battery of Liu et al. (2022): 42 attacks, inferred from the counts and citations of the paper, whose appendix is lost.

The paper names 22 attacks in L2, 12 in Linf, 6 in L1 and 2 in L0 of Foolbox 3.2.1 (Pointwise of 2.4.0). As published they
have Foolbox's default settings; hardened, what one would use today: more steps, several starts, the cross-entropy and a
margin that no softmax flattens, and a refinement for thresholded pixels. Of the attacks made for L1 the paper has none but
Brendel-Bethge.
"""

import dataclasses

from evaluation.attacks import (
    AdditiveNoise,
    Attack,
    BestOf,
    BinaryContrastReduction,
    BlendedUniformNoise,
    BoundaryAttack,
    BrendelBethge,
    CarliniWagnerL2,
    DecoupledDirectionNorm,
    DeepFool,
    ElasticNet,
    GaussianBlur,
    GradientAttack,
    GreedyPixels,
    Inversion,
    L1Descent,
    L2ContrastReduction,
    LinearContrastReduction,
    Pointwise,
    SparseL1Descent,
)
from evaluation.attacks.starting_points import STARTS

# Foolbox's rule for the end of a descent, at 1,000 steps: small steps need a long look.
_PATIENT: dict = {"window": 100, "improvement": 1e-4}
_EPSILONS = {"linf": 0.3, "l2": 1.5, "l1": 8.0}


def flexible(norm: str) -> list[tuple[str, Attack]]:
    """Returns the five attacks that Foolbox offers for any norm."""
    return [
        ("Inversion", Inversion(norm=norm)),
        ("Binary contrast", BinaryContrastReduction(norm=norm)),
        ("Linear contrast", LinearContrastReduction(norm=norm)),
        ("Blur", GaussianBlur(norm=norm)),
        ("Blended noise", BlendedUniformNoise(norm=norm)),
    ]


def gradient_steps(norm: str, hardened: bool) -> list[tuple[str, Attack]]:
    """Returns FGM, BIM and PGD in Linf or L2."""
    bim: dict = {"steps": 10, "relative_step": 0.2}
    pgd: dict = {"steps": 40, "relative_step": 0.01 / 0.3} if norm == "linf" else {"steps": 50, "relative_step": 0.025}
    if hardened:
        bim, pgd = {"steps": 50, "relative_step": 0.1}, {"steps": 200, "relative_step": 0.05, "restarts": 2}
    common = {"norm": norm, "epsilon": _EPSILONS[norm]}
    return [
        ("PGD", _with_losses(GradientAttack(random_start=True, **pgd, **common), hardened)),
        ("BIM", _with_losses(GradientAttack(**bim, **common), hardened)),
        ("FGM", GradientAttack(steps=1, relative_step=1.0, rounds=12, **common)),
    ]


def _with_losses(attack: Attack, hardened: bool) -> Attack:
    """The attack with its cross-entropy; hardened, also with a margin, and the nearer adversarial counts."""
    return BestOf(attacks=(attack, dataclasses.replace(attack, loss="margin"))) if hardened else attack


def noise(norm: str) -> list[tuple[str, Attack]]:
    """Returns the additive-noise attacks: eight in L2, two in Linf."""
    found = []
    for distribution in ("gaussian", "uniform") if norm == "l2" else ("uniform",):
        for aware in (False, True) if norm == "l2" else (False,):
            for repeats in (1, 100):
                label = ("repeated " if repeats > 1 else "") + ("clipping-aware " if aware else "") + f"{distribution} noise"
                attack = AdditiveNoise(
                    norm=norm, epsilon=_EPSILONS[norm], distribution=distribution, clipping_aware=aware, repeats=repeats
                )
                found.append((label[0].upper() + label[1:], attack))
    return found


def battery(hardened: bool) -> list[tuple[str, Attack]]:
    """Returns the 42 attacks with their names, cheap and strong ones first in each norm."""
    restarts = STARTS if hardened else 1
    published = {"learning_rate": 1e-2, "initial_constant": 1e-3, "steps": 10_000, **_PATIENT}
    carlini = {"learning_rate": 5e-2} if hardened else published
    return [
        *gradient_steps("linf", hardened),
        ("DeepFool", DeepFool(norm="linf")),
        ("Brendel-Bethge", BrendelBethge(norm="linf", restarts=restarts)),
        *noise("linf"),
        *flexible("linf"),
        ("DDN", _with_losses(DecoupledDirectionNorm(steps=300 if hardened else 100), hardened)),
        *gradient_steps("l2", hardened),
        ("DeepFool", DeepFool(norm="l2")),
        ("C&W", CarliniWagnerL2(**carlini)),
        ("Brendel-Bethge", BrendelBethge(norm="l2", restarts=restarts)),
        ("Boundary", BoundaryAttack()),
        ("L2 contrast", L2ContrastReduction(epsilon=_EPSILONS["l2"])),
        *noise("l2"),
        *flexible("l2"),
        ("Brendel-Bethge", BrendelBethge(norm="l1", restarts=restarts)),
        *flexible("l1"),
        ("Brendel-Bethge", BrendelBethge(norm="l0", restarts=restarts)),
        ("Pointwise x 10", Pointwise()),
    ]


def sparse(hardened: bool) -> list[tuple[str, Attack]]:
    """Returns the attacks made for L1, and a search for few pixels that no hidden gradient misleads."""
    epsilon = _EPSILONS["l1"]
    elastic = {"decision_rule": "L1", "initial_constant": 1e-1} if hardened else {"steps": 10_000}
    elastic |= _PATIENT
    return [
        ("FGM", L1Descent(epsilon=epsilon, steps=1, relative_step=1.0, rounds=12)),
        ("BIM", _with_losses(L1Descent(epsilon=epsilon, steps=10, relative_step=0.2), hardened)),
        ("PGD", _with_losses(L1Descent(epsilon=epsilon, steps=50, relative_step=0.025, random_start=True), hardened)),
        ("Sparse descent", SparseL1Descent(epsilon=epsilon, **({"steps": 100, "relative_step": 0.05} if hardened else {}))),
        ("EAD", ElasticNet(**elastic)),
        *([("Greedy pixels", GreedyPixels())] if hardened else []),
    ]
