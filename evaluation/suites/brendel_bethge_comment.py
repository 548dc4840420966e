"""The attacks of Brendel and Bethge's comment (2017, https://arxiv.org/abs/1704.01547) on saturating networks, today's way.

Nayebi and Ganguli (2017, https://arxiv.org/abs/1703.09202) report networks that resist the fast gradient sign method. The
comment's answer: their gradients vanish in float32, and stabilised ones attack them with success. First come the attacks
as a user without suspicion runs them, then those that no vanishing gradient stops, each on the endpoint made for it; where
a model lacks one, the next best is attacked. All are in L-infinity, at the sizes of one grid.
"""

from cortexzoo.evaluation.attacks import (
    Attack,
    BestOf,
    EpsilonGrid,
    FastGradientMethod,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
    RayS,
    RescaledGradientAttack,
    Transfer,
)
from cortexzoo.evaluation.norms import THRESHOLDS

EPSILONS = (0.05, 0.1, 0.2, 0.25, 0.3)
PROBABILITIES, LOGITS, PGD, FLOAT64 = "FGSM on probabilities", "FGSM on logits", "PGD", "Margin, float64"
TRANSFER, DECISIONS = "Transfer", "RayS"
# Those beside the true one, where there are ten.
_OTHER_CLASSES = 9
_FLOAT64 = ("logits_float64", "logits")
_STABLE = ("logits_stable", *_FLOAT64)
# Many steps, which float64 makes several times as slow and only a smooth nonlinearity needs.
_STABLE_IF_SMOOTH = ("logits_stable", "logits")
_SOFTENED = ("logits_softened", *_STABLE)
_COMMON: dict = {"norm": "linf", "epsilon": THRESHOLDS["linf"]}


def plain() -> list[tuple[str, Attack]]:
    """Returns the attacks on the float32 endpoint `logits`, at each epsilon of the grid, with their names."""
    return [
        (PROBABILITIES, EpsilonGrid(inner=FastGradientMethod(loss="clipped_probabilities", **_COMMON), epsilons=EPSILONS)),
        (LOGITS, EpsilonGrid(inner=FastGradientMethod(**_COMMON), epsilons=EPSILONS)),
        (PGD, EpsilonGrid(inner=ProjectedGradientDescent(steps=100, relative_step=0.05, **_COMMON), epsilons=EPSILONS)),
    ]


def stabilized() -> list[tuple[str, Attack, tuple[str, ...]]]:
    """Returns the stabilised attacks, with their names and the endpoints that they want, the best first."""
    margin = RescaledGradientAttack(epsilons=EPSILONS, steps=60, restarts=2)
    scaled = tuple(
        RescaledGradientAttack(epsilons=EPSILONS, steps=30, loss="cross_entropy", logit_scale=scale)
        for scale in (0.01, 1.0, 100.0)
    )
    targeted = RescaledGradientAttack(epsilons=EPSILONS, steps=20, restarts=_OTHER_CLASSES, loss="targeted_margin")
    return [
        ("Margin", margin, ("logits",)),
        (FLOAT64, margin, _FLOAT64),
        ("Margin, stable sigmoid", margin, _STABLE),
        ("Margin, softened sigmoid", margin, _SOFTENED),
        ("Temperature", BestOf(attacks=scaled), _STABLE_IF_SMOOTH),
        ("Targeted margin", targeted, _STABLE_IF_SMOOTH),
    ]


def transferred() -> Transfer:
    """Returns the transfer attack, which still wants its sources: momentum steps and a single one."""
    steps = MomentumIterativeMethod(steps=20, relative_step=0.1, loss="margin", **_COMMON)
    return Transfer(attacks=(FastGradientMethod(loss="margin", **_COMMON), steps), epsilons=EPSILONS)


def decisions() -> RayS:
    """Returns the attack that sees decisions alone, run until it has converged."""
    return RayS()
