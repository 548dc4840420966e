"""Keras layers of the zoo, written in `keras.ops` so that they run on every Keras backend."""

from zoo.layers.batch_normalization import PartialBatchNormalization
from zoo.layers.binarize import Binarize
from zoo.layers.blur import GaussianBlur
from zoo.layers.noise import RandomGaussianNoise
from zoo.layers.nonlinearities import NONLINEARITIES, Nonlinearity, nonlinearity
from zoo.layers.saturation import SaturationPenalty
from zoo.layers.similarity import RepresentationalSimilarityRegularizer
from zoo.layers.stacked_dense import StackedDense

__all__ = [
    "NONLINEARITIES",
    "Binarize",
    "GaussianBlur",
    "Nonlinearity",
    "PartialBatchNormalization",
    "RandomGaussianNoise",
    "RepresentationalSimilarityRegularizer",
    "SaturationPenalty",
    "StackedDense",
    "nonlinearity",
]
