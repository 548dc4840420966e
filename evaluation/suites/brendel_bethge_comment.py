"""The attacks of Brendel and Bethge's comment (2017, https://arxiv.org/abs/1704.01547) on saturating networks, modernised.

Nayebi and Ganguli (2017, https://arxiv.org/abs/1703.09202) report networks that resist the fast gradient sign method. The
comment shows that their gradients only vanish in float32, and that stabilised gradients break them. The suite starts with
attacks as an unsuspecting user would run them. Then come attacks that vanishing gradients cannot stop, each on the endpoint
made for it or, if a model lacks that, on the next best one. All are in L-infinity, at the same epsilons.
"""

from cortexzoo.datasets import DatasetInfo
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
from cortexzoo.evaluation.attacks.member import Member
from cortexzoo.evaluation.models import plain_twin
from cortexzoo.evaluation.suites.attack_suite import AttackSuite

# Shares of the data set's threshold. For a threshold of 0.3 the epsilons are 0.05, 0.1, 0.2, 0.25 and 0.3.
_SHARES = (1 / 6, 1 / 3, 2 / 3, 5 / 6)
PROBABILITIES, LOGITS, PGD, FLOAT64 = "FGSM on probabilities", "FGSM on logits", "PGD", "Margin, float64"
TRANSFER, DECISIONS = "Transfer", "RayS"
_FLOAT64 = ("logits_float64", "logits")
_STABLE = ("logits_stable", *_FLOAT64)
# For attacks of many steps: float64 would make them several times slower, and only smooth nonlinearities need it.
_STABLE_IF_SMOOTH = ("logits_stable", "logits")
_SOFTENED = ("logits_softened", *_STABLE)
# With more classes, only the most likely ones are targeted.
_MOST_CLASSES = 9
# The stabilised attacks by label, with their preferred endpoints, best first.
STABILIZED = {
    "Margin": ("logits",),
    FLOAT64: _FLOAT64,
    "Margin, stable sigmoid": _STABLE,
    "Margin, softened sigmoid": _SOFTENED,
    "Temperature": _STABLE_IF_SMOOTH,
    "Targeted margin": _STABLE_IF_SMOOTH,
}


def epsilons(threshold: float) -> tuple[float, ...]:
    """Returns the epsilons at which all attacks run, up to the threshold."""
    # Rounded, because they are part of the attacks' identity in the store.
    return (*(round(share * threshold, 9) for share in _SHARES), threshold)


def plain(threshold: float) -> list[tuple[str, Attack]]:
    """Returns the attacks on the float32 endpoint `logits`, at all of `epsilons`, with their names."""
    common: dict = {"norm": "linf", "epsilon": threshold}
    attacks = {
        PROBABILITIES: FastGradientMethod(loss="clipped_probabilities", **common),
        LOGITS: FastGradientMethod(**common),
        PGD: ProjectedGradientDescent(steps=100, relative_step=0.05, **common),
    }
    return [(label, EpsilonGrid(inner=attack, epsilons=epsilons(threshold))) for label, attack in attacks.items()]


def stabilized(threshold: float, classes: int) -> list[tuple[str, Attack, tuple[str, ...]]]:
    """Returns the attacks of `STABILIZED`, with their names and preferred endpoints."""
    sizes = epsilons(threshold)
    margin = RescaledGradientAttack(epsilons=sizes, steps=60, restarts=2)
    scaled = tuple(
        RescaledGradientAttack(epsilons=sizes, steps=30, loss="cross_entropy", logit_scale=scale)
        for scale in (0.01, 1.0, 100.0)
    )
    restarts = min(classes - 1, _MOST_CLASSES)
    targeted = RescaledGradientAttack(epsilons=sizes, steps=20, restarts=restarts, loss="targeted_margin")
    others = {"Temperature": BestOf(attacks=scaled), "Targeted margin": targeted}
    return [(label, others.get(label, margin), endpoints) for label, endpoints in STABILIZED.items()]


def transferred(threshold: float) -> Transfer:
    """Returns the transfer attack, a single step and momentum steps; its sources are added later."""
    common: dict = {"norm": "linf", "epsilon": threshold, "loss": "margin"}
    steps = MomentumIterativeMethod(steps=20, relative_step=0.1, **common)
    return Transfer(attacks=(FastGradientMethod(**common), steps), epsilons=epsilons(threshold))


def _members(info: DatasetInfo) -> tuple[Member, ...]:
    threshold = info.thresholds["linf"]
    return (
        # These show what the gradient of `logits` hides, so no other endpoint may replace it.
        *(Member(attack, label, endpoints=("logits",)) for label, attack in plain(threshold)),
        *(Member(attack, label, endpoints=wanted) for label, attack, wanted in stabilized(threshold, info.num_classes)),
        Member(transferred(threshold), TRANSFER),
        # Decision-based; runs until it converges.
        Member(RayS(), DECISIONS, samples=200),
    )


COMMENT = AttackSuite(
    "brendel_bethge_comment",
    "plain, stabilised, transferred and decision-based attacks in L∞ against vanishing gradients",
    1000,
    _members,
    gradients=True,
    sources=plain_twin,
)
SUITES = (COMMENT,)
