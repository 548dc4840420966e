"""Thresholding of pixels, with gradients for training and for attacks."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class Binarize(keras.layers.Layer):
    """Sets every value to 1 where it reaches `threshold` and to 0 elsewhere.

    The true derivative is zero almost everywhere, which stops training and gradient attacks alike. The layer therefore uses
    the straight-through estimator (Bengio et al. 2013, https://arxiv.org/abs/1308.3432). `soft` is a second surrogate, a
    steep sigmoid with smooth values and derivative.

    Args:
        threshold: float. Values at or above it become 1. Defaults to 0.5.
        steepness: float. Slope factor of the sigmoid in `soft`. Defaults to 20.

    Input and output shape: any; float dtype.
    """

    def __init__(self, threshold: float = 0.5, steepness: float = 20.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold
        self.steepness = steepness

    def call(self, inputs: Any) -> Any:
        """Returns exact zeros and ones; the gradient is that of the identity."""
        hard = ops.cast(inputs >= self.threshold, inputs.dtype)
        # `inputs - stop_gradient(inputs)` is exactly zero, so no rounding error reaches the output.
        return ops.stop_gradient(hard) + (inputs - ops.stop_gradient(inputs))

    def soft(self, inputs: Any) -> Any:
        """Returns sigmoid(steepness * (inputs - threshold))."""
        return ops.sigmoid(self.steepness * (inputs - self.threshold))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold, "steepness": self.steepness}
