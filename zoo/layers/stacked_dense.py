"""Several dense layers of one shape, computed as one batched matrix product."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class StackedDense(keras.layers.Layer):
    """`models` independent dense layers side by side: y[k] = activation(x[k] W[k] + b[k]).

    The stack is the leading axis of values and weights, the layout of a batched matrix product, so that nothing is
    transposed. One call replaces `models` calls of `Dense`.

    Args:
        units: int. Output width of each dense layer.
        models: int. How many dense layers are stacked.
        activation: str, callable or None. Defaults to None (linear).

    Input shape: (models, batch, features), or (batch, features) to give every layer the same input.
    Output shape: (models, batch, units).
    """

    def __init__(self, units: int, models: int, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.models = models
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple) -> None:
        features = input_shape[-1]
        # The bound of Glorot and Bengio for a single layer. A Keras initializer would take the stack for a receptive field.
        limit = (6.0 / (features + self.units)) ** 0.5
        initializer = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight((self.models, features, self.units), initializer, name="kernel")
        self.bias = self.add_weight((self.models, 1, self.units), "zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        return self.activation(ops.matmul(inputs, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (self.models, input_shape[-2], self.units)

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "models": self.models, "activation": activation}
