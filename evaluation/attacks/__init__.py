"""Attacks behind one small protocol; see `base.Attack`."""

from evaluation.attacks.base import Attack, Batch, EpsilonSearch
from evaluation.attacks.best_of import BestOf
from evaluation.attacks.boundary import BoundaryAttack
from evaluation.attacks.brendel_bethge import BrendelBethge
from evaluation.attacks.carlini_wagner import CarliniWagnerL2
from evaluation.attacks.cleverhans import (
    BasicIterativeMethod,
    FastGradientMethod,
    GradientAttack,
    MadryEtAl,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
)
from evaluation.attacks.decoupled_direction_norm import DecoupledDirectionNorm
from evaluation.attacks.deepfool import DeepFool
from evaluation.attacks.elastic_net import ElasticNet
from evaluation.attacks.epsilon_grid import EpsilonGrid
from evaluation.attacks.foolbox import FoolboxAttack
from evaluation.attacks.greedy_pixels import GreedyPixels
from evaluation.attacks.l1_descent import L1Descent, SparseL1Descent
from evaluation.attacks.lbfgs import LBFGS
from evaluation.attacks.line_search import (
    BinaryContrastReduction,
    BlendedUniformNoise,
    GaussianBlur,
    Inversion,
    L2ContrastReduction,
    LinearContrastReduction,
)
from evaluation.attacks.nearest_start import NearestStart
from evaluation.attacks.noise import AdditiveNoise
from evaluation.attacks.pointwise import Pointwise
from evaluation.attacks.rays import RayS
from evaluation.attacks.refinement import Refined
from evaluation.attacks.rescaled_gradient import RescaledGradientAttack
from evaluation.attacks.spsa import SPSA
from evaluation.attacks.transfer import Transfer

__all__ = [
    "LBFGS",
    "SPSA",
    "AdditiveNoise",
    "Attack",
    "BasicIterativeMethod",
    "Batch",
    "BestOf",
    "BinaryContrastReduction",
    "BlendedUniformNoise",
    "BoundaryAttack",
    "BrendelBethge",
    "CarliniWagnerL2",
    "DecoupledDirectionNorm",
    "DeepFool",
    "ElasticNet",
    "EpsilonGrid",
    "EpsilonSearch",
    "FastGradientMethod",
    "FoolboxAttack",
    "GaussianBlur",
    "GradientAttack",
    "GreedyPixels",
    "Inversion",
    "L1Descent",
    "L2ContrastReduction",
    "LinearContrastReduction",
    "MadryEtAl",
    "MomentumIterativeMethod",
    "NearestStart",
    "Pointwise",
    "ProjectedGradientDescent",
    "RayS",
    "Refined",
    "RescaledGradientAttack",
    "SparseL1Descent",
    "Transfer",
]
