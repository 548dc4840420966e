"""Adversarial training as a tool for any Keras classifier."""

from cortexzoo.training.adversarial.corruption import GaussianNoise, InTurn, PixelFlips, UniformNoise
from cortexzoo.training.adversarial.cost import CleanEpochs
from cortexzoo.training.adversarial.perturbation import Perturbation
from cortexzoo.training.adversarial.projected_gradient import ProjectedGradient
from cortexzoo.training.adversarial.several_norms import AllOf, SteepestDescent, WorstOf
from cortexzoo.training.adversarial.trainer import AdversarialTrainer
from cortexzoo.training.adversarial.validation import RobustValidation, robust_accuracy

__all__ = [
    "AdversarialTrainer",
    "AllOf",
    "CleanEpochs",
    "GaussianNoise",
    "InTurn",
    "Perturbation",
    "PixelFlips",
    "ProjectedGradient",
    "RobustValidation",
    "SteepestDescent",
    "UniformNoise",
    "WorstOf",
    "robust_accuracy",
]
