"""Distribution shifts: noise, common corruptions, FGSM made on another network, PGD at fixed radii.

An attack finds the smallest distance for each image. A shift has levels, and the model is right or wrong at each of them.
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
