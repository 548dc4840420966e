"""A linear classifier of two classes: the worst image of a ball is known without any search."""

import numpy as np

from cortexzoo.models import MultilayerPerceptron

IMAGES = np.random.default_rng(0).random((12, 4, 4, 1), np.float32)
LABELS = np.arange(12) % 2


def linear_classifier() -> MultilayerPerceptron:
    """Returns a built model, the same in every call."""
    model = MultilayerPerceptron((), image_shape=(4, 4, 1), num_classes=2)
    model.build()
    model.set_weights([np.random.default_rng(1).normal(size=weight.shape) for weight in model.weights])
    return model


MODEL = linear_classifier()


def rising() -> np.ndarray:
    """Returns w_other - w_label of each image: the gradient of its margin."""
    kernel = MODEL.readout.get_weights()[0]
    return (kernel[:, 1 - LABELS] - kernel[:, LABELS]).T.reshape(IMAGES.shape)
