"""A fixed blur of the input."""

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class GaussianBlur(keras.layers.Layer):
    """Convolves each channel with a Gaussian that is cut off at 3 standard deviations. Borders are mirrored.

    Args:
        stddev: float, above 0. In pixels.

    Input and output shape: (batch, height, width, channels), with height and width above 3 `stddev`; float dtype.
    """

    def __init__(self, stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if stddev <= 0.0:
            raise ValueError(f"Expected `stddev` > 0. Received: stddev={stddev}")
        self.stddev = stddev

    def call(self, inputs: Any) -> Any:
        radius = int(np.ceil(3.0 * self.stddev))
        weights = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / self.stddev))
        window = (weights / weights.sum()).astype("float32")
        # In half precision the window's weights would no longer sum to 1.
        values = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        values = ops.pad(values, ((0, 0), (radius, radius), (radius, radius), (0, 0)), mode="reflect")
        # A Gaussian is separable: once along the columns, once along the rows.
        for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
            kernel = ops.cast(np.tile(window.reshape(shape), (1, 1, inputs.shape[-1], 1)), values.dtype)
            values = ops.depthwise_conv(values, kernel, padding="valid", data_format="channels_last")
        return ops.cast(values, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}
