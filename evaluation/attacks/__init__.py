"""Attacks behind one small protocol; see `base.Attack`."""

from cortexzoo.evaluation.attacks.auto_pgd import AutoPGD
from cortexzoo.evaluation.attacks.base import Attack, Batch, EpsilonSearch
from cortexzoo.evaluation.attacks.best_of import BestOf
from cortexzoo.evaluation.attacks.boundary import BoundaryAttack
from cortexzoo.evaluation.attacks.brendel_bethge import BrendelBethge
from cortexzoo.evaluation.attacks.carlini_wagner import CarliniWagnerL2
from cortexzoo.evaluation.attacks.cleverhans import (
    BasicIterativeMethod,
    FastGradientMethod,
    GradientAttack,
    MadryEtAl,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
)
from cortexzoo.evaluation.attacks.decoupled_direction_norm import DecoupledDirectionNorm
from cortexzoo.evaluation.attacks.deepfool import DeepFool
from cortexzoo.evaluation.attacks.elastic_net import ElasticNet
from cortexzoo.evaluation.attacks.epsilon_grid import EpsilonGrid
from cortexzoo.evaluation.attacks.fab import FAB
from cortexzoo.evaluation.attacks.fast_minimum_norm import FastMinimumNorm
from cortexzoo.evaluation.attacks.foolbox import FoolboxAttack
from cortexzoo.evaluation.attacks.greedy_pixels import GreedyPixels
from cortexzoo.evaluation.attacks.l1_descent import L1Descent, SparseL1Descent
from cortexzoo.evaluation.attacks.latent_descent import LatentDescent
from cortexzoo.evaluation.attacks.lbfgs import LBFGS
from cortexzoo.evaluation.attacks.line_search import (
    BinaryContrastReduction,
    BlendedUniformNoise,
    GaussianBlur,
    Inversion,
    L2ContrastReduction,
    LinearContrastReduction,
)
from cortexzoo.evaluation.attacks.nearest_start import NearestStart
from cortexzoo.evaluation.attacks.noise import AdditiveNoise
from cortexzoo.evaluation.attacks.pixel_beam import PixelBeam
from cortexzoo.evaluation.attacks.pointwise import Pointwise
from cortexzoo.evaluation.attacks.rays import RayS
from cortexzoo.evaluation.attacks.refinement import Refined
from cortexzoo.evaluation.attacks.rescaled_gradient import RescaledGradientAttack
from cortexzoo.evaluation.attacks.sparse_rs import SparseRS
from cortexzoo.evaluation.attacks.spsa import SPSA
from cortexzoo.evaluation.attacks.square import Square
from cortexzoo.evaluation.attacks.threshold_ascent import ThresholdAscent
from cortexzoo.evaluation.attacks.threshold_flips import ThresholdFlips
from cortexzoo.evaluation.attacks.transfer import Transfer

__all__ = [
    "FAB",
    "LBFGS",
    "SPSA",
    "AdditiveNoise",
    "Attack",
    "AutoPGD",
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
    "FastMinimumNorm",
    "FoolboxAttack",
    "GaussianBlur",
    "GradientAttack",
    "GreedyPixels",
    "Inversion",
    "L1Descent",
    "L2ContrastReduction",
    "LatentDescent",
    "LinearContrastReduction",
    "MadryEtAl",
    "MomentumIterativeMethod",
    "NearestStart",
    "PixelBeam",
    "Pointwise",
    "ProjectedGradientDescent",
    "RayS",
    "Refined",
    "RescaledGradientAttack",
    "SparseL1Descent",
    "SparseRS",
    "Square",
    "ThresholdAscent",
    "ThresholdFlips",
    "Transfer",
]
