"""Keras layers of the zoo, written in `keras.ops` so that they run on every Keras backend."""

from cortexzoo.layers.batch_normalization import PartialBatchNormalization
from cortexzoo.layers.binarize import Binarize
from cortexzoo.layers.blur import GaussianBlur
from cortexzoo.layers.gaussian_sampling import GaussianSampling
from cortexzoo.layers.noise import RandomGaussianNoise
from cortexzoo.layers.nonlinearities import NONLINEARITIES, Nonlinearity, nonlinearity
from cortexzoo.layers.saturation import SaturationPenalty
from cortexzoo.layers.similarity import RepresentationalSimilarityRegularizer
from cortexzoo.layers.stacked_convolution import StackedConv2D, StackedConv2DTranspose
from cortexzoo.layers.stacked_dense import StackedDense
from cortexzoo.layers.stacked_normalization import StackedBatchNormalization

__all__ = [
    "NONLINEARITIES",
    "Binarize",
    "GaussianBlur",
    "GaussianSampling",
    "Nonlinearity",
    "PartialBatchNormalization",
    "RandomGaussianNoise",
    "RepresentationalSimilarityRegularizer",
    "SaturationPenalty",
    "StackedBatchNormalization",
    "StackedConv2D",
    "StackedConv2DTranspose",
    "StackedDense",
    "nonlinearity",
]
