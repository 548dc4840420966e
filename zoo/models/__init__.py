"""Model families of the zoo: subclassed, registered Keras models."""

from zoo.models.base import ImageClassifier
from zoo.models.cnn import ConvolutionalNetwork
from zoo.models.internal_models import DenoisedInternalModels
from zoo.models.mlp import MultilayerPerceptron
from zoo.models.pooling_cnn import MaxPoolingNetwork
from zoo.models.resnet import ResidualNetwork

__all__ = [
    "ConvolutionalNetwork",
    "DenoisedInternalModels",
    "ImageClassifier",
    "MaxPoolingNetwork",
    "MultilayerPerceptron",
    "ResidualNetwork",
]
