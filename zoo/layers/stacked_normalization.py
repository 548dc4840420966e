"""Batch normalisation of several models side by side, each with statistics of its own."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class StackedBatchNormalization(keras.layers.Layer):
    """`models` independent batch normalisations of the channels; the stack is the leading axis.

    Args:
        momentum: float. Weight of the old moving average. Defaults to 0.99.
        epsilon: float. Added to the variance. Defaults to 1e-3.

    Input and output shape: (models, batch, ..., channels); float dtype. Statistics are float32 or finer.
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: tuple) -> None:
        shape = (input_shape[0], *(1,) * (len(input_shape) - 2), input_shape[-1])
        self.gamma = self.add_weight(shape, "ones", name="gamma")
        self.beta = self.add_weight(shape, "zeros", name="beta")
        self.moving_mean = self.add_weight(shape, "zeros", trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(shape, "ones", trainable=False, name="moving_variance")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Normalises with the statistics of the batch in training, which update the moving averages."""
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            values = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
            mean, variance = ops.moments(values, axes=tuple(range(1, len(inputs.shape) - 1)), keepdims=True)
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + ops.cast(value, moving.dtype) * (1.0 - self.momentum))
        scale = ops.rsqrt(variance + self.epsilon) * self.gamma
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(self.beta - mean * scale, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
