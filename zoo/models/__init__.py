"""Model families of the zoo: subclassed, registered Keras models."""

from cortexzoo.models.base import ImageClassifier
from cortexzoo.models.cnn import ConvolutionalNetwork
from cortexzoo.models.internal_models import DenoisedInternalModels
from cortexzoo.models.mlp import MultilayerPerceptron
from cortexzoo.models.pooling_cnn import MaxPoolingNetwork
from cortexzoo.models.resnet import ResidualNetwork

__all__ = [
    "ConvolutionalNetwork",
    "DenoisedInternalModels",
    "ImageClassifier",
    "MaxPoolingNetwork",
    "MultilayerPerceptron",
    "ResidualNetwork",
]
