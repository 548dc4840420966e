"""Several convolutions of one shape side by side, each with kernels and an input of its own."""

from typing import Any

import keras
from keras import ops


class _StackedConvolution(keras.layers.Layer):
    """What both directions share: unpadded, channels last, and the stack as the leading axis of values and weights.

    Each kernel is applied by a convolution of its own. TensorFlow has no gradient of grouped convolutions on CPUs, and one
    batched matrix product over patches moves so much more memory that it took three times as long.
    """

    def __init__(
        self, filters: int, kernel_size: int, models: int, strides: int = 1, use_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.models = filters, kernel_size, models
        self.strides, self.use_bias = strides, use_bias

    def build(self, input_shape: tuple) -> None:
        channels, area = input_shape[-1], self.kernel_size**2
        # The bound of Glorot and Bengio for one convolution, not for the whole stack.
        limit = (6.0 / (area * (channels + self.filters))) ** 0.5
        shape = (self.models, self.kernel_size, self.kernel_size, *self._channels(channels))
        self.kernel = self.add_weight(shape, keras.initializers.RandomUniform(-limit, limit), name="kernel")
        self.bias = self.add_weight((self.models, 1, 1, 1, self.filters), "zeros", name="bias") if self.use_bias else None

    def call(self, inputs: Any) -> Any:
        # Unstacked, not sliced: the gradient of a slice is as large as the whole stack.
        parts = ops.unstack(inputs, self.models) if len(inputs.shape) == 5 else [inputs] * self.models
        kernels = ops.unstack(ops.convert_to_tensor(self.kernel), self.models)
        outputs = ops.stack([self._convolve(part, kernel) for part, kernel in zip(parts, kernels, strict=True)])
        return outputs + self.bias if self.use_bias else outputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (self.models, input_shape[-4], *map(self.output_size, input_shape[-3:-1]), self.filters)

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "kernel_size", "models", "strides", "use_bias")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="cortexzoo")
class StackedConv2D(_StackedConvolution):
    """`models` independent, unpadded 2-D convolutions side by side.

    Args:
        filters: int. Output channels of each convolution.
        kernel_size: int. Height and width of the kernels.
        models: int. How many convolutions are stacked.
        strides: int. Defaults to 1.
        use_bias: bool. Defaults to True.

    Input shape: (models, batch, height, width, channels), or (batch, height, width, channels) to give every convolution the
    same input. Output shape: (models, batch, new height, new width, filters).
    """

    def output_size(self, size: int) -> int:
        """Returns the height or width of the output for that of the input."""
        return (size - self.kernel_size) // self.strides + 1

    def _channels(self, inputs: int) -> tuple[int, int]:
        return inputs, self.filters

    def _convolve(self, values: Any, kernel: Any) -> Any:
        return ops.conv(values, kernel, self.strides, "valid", data_format="channels_last")


@keras.saving.register_keras_serializable(package="cortexzoo")
class StackedConv2DTranspose(_StackedConvolution):
    """`models` independent, unpadded transposed 2-D convolutions side by side.

    Args: those of `StackedConv2D`.

    Input shape: (models, batch, height, width, channels), or (batch, height, width, channels) to give every convolution the
    same input. Output shape: (models, batch, (height - 1) strides + kernel_size, the same of width, filters).
    """

    def output_size(self, size: int) -> int:
        """Returns the height or width of the output for that of the input."""
        return (size - 1) * self.strides + self.kernel_size

    def _channels(self, inputs: int) -> tuple[int, int]:
        return self.filters, inputs

    def _convolve(self, values: Any, kernel: Any) -> Any:
        return ops.conv_transpose(values, kernel, self.strides, "valid", data_format="channels_last")
