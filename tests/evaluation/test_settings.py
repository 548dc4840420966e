"""Settings that an attack cannot have are refused when it is made, and not taken for others."""

from typing import Any

import pytest

from cortexzoo.evaluation.attacks import (
    LBFGS,
    SPSA,
    AdditiveNoise,
    Attack,
    BasicIterativeMethod,
    DeepFool,
    ElasticNet,
    FoolboxAttack,
    GradientAttack,
    Inversion,
    MomentumIterativeMethod,
)

STEPS: dict[str, Any] = {"steps": 1, "relative_step": 1.0, "epsilon": 1.0}
REFUSED: list[tuple[type[Attack], dict[str, Any]]] = [
    (Inversion, {"norm": "l3"}),
    # CleverHans' L1 step has no projection: only one step stays in the ball.
    (BasicIterativeMethod, {"norm": "l1", "epsilon": 8.0}),
    (MomentumIterativeMethod, {"norm": "l1", "epsilon": 8.0}),
    (GradientAttack, {"norm": "linf", "loss": "crossentropy", **STEPS}),
    (SPSA, {"norm": "l2", "epsilon": 1.0}),
    (DeepFool, {"norm": "l1"}),
    (AdditiveNoise, {"norm": "l1", "epsilon": 1.0, "distribution": "uniform"}),
    (AdditiveNoise, {"norm": "l2", "epsilon": 1.0, "distribution": "normal"}),
    (AdditiveNoise, {"norm": "linf", "epsilon": 1.0, "distribution": "uniform", "clipping_aware": True}),
    (ElasticNet, {"decision_rule": "L2"}),
    (LBFGS, {"norm": "linf"}),
]


@pytest.mark.parametrize(("attack_class", "options"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_impossible_settings_are_refused(attack_class: type[Attack], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Received: "):
        attack_class(**options)


@pytest.mark.parametrize(
    ("algorithm", "expected"), [("BoundaryAttack", False), ("L2BrendelBethgeAttack", True), ("GaussianBlurAttack", False)]
)
def test_foolbox_attacks_that_see_decisions_alone_use_no_gradients(algorithm: str, expected: bool) -> None:
    assert FoolboxAttack(algorithm=algorithm, norm="l2").uses_gradients is expected
