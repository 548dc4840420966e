"""Attacks behind one small protocol; see `base.Attack`."""

from evaluation.attacks.base import Attack, Batch, EpsilonSearch
from evaluation.attacks.carlini_wagner import CarliniWagnerL2
from evaluation.attacks.cleverhans import (
    BasicIterativeMethod,
    FastGradientMethod,
    GradientAttack,
    MadryEtAl,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
)
from evaluation.attacks.spsa import SPSA

__all__ = [
    "SPSA",
    "Attack",
    "BasicIterativeMethod",
    "Batch",
    "CarliniWagnerL2",
    "EpsilonSearch",
    "FastGradientMethod",
    "GradientAttack",
    "MadryEtAl",
    "MomentumIterativeMethod",
    "ProjectedGradientDescent",
]
