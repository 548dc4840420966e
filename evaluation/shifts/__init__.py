"""Shifts of the images' distribution: noise, common corruptions, FGSM from another network, PGD at fixed radii.

An attack has a smallest distance for each image; a shift has levels, and the model is right or wrong at each.
"""

from cortexzoo.evaluation.shifts.base import SampleGenerators, Shift
from cortexzoo.evaluation.shifts.corruptions import CORRUPTIONS, Corruption
from cortexzoo.evaluation.shifts.gradients import FastGradientTransfer, ProjectedGradient
from cortexzoo.evaluation.shifts.noise import GaussianNoise, SaltAndPepperNoise, UniformNoise

__all__ = [
    "CORRUPTIONS",
    "Corruption",
    "FastGradientTransfer",
    "GaussianNoise",
    "ProjectedGradient",
    "SaltAndPepperNoise",
    "SampleGenerators",
    "Shift",
    "UniformNoise",
]
