"""The saturation penalty of Nayebi and Ganguli (2017)."""

from typing import Any

import keras
from keras import ops

from cortexzoo.layers.nonlinearities import nonlinearity


@keras.saving.register_keras_serializable(package="cortexzoo")
class SaturationPenalty(keras.layers.Layer):
    """Drives units into the flat parts of their nonlinearity: weight * mean over the batch of sum over units of psi_c(z).

    Call the layer on the pre-activations z of hidden layers, not on the logits. It returns them unchanged, and in training
    adds the penalty to the model's losses. One layer may be called on several hidden layers; their penalties add up. The
    penalty is computed in float32 even in networks of half precision, as a sum over all units would overflow float16.

    Source: Nayebi, Ganguli, "Biologically inspired protection of deep networks from adversarial attacks",
    https://arxiv.org/abs/1703.09202. psi_c(z) is the distance to the nearest point where the derivative is zero:

    | activation | psi_c(z)                                                                 |
    |------------|--------------------------------------------------------------------------|
    | relu       | relu(z)                                                                  |
    | hard_tanh  | relu(1 - abs(z))                                                         |
    | sigmoid    | sigmoid(z) (1 - sigmoid(z)): the derivative itself, as it is never zero  |
    | tanh       | 1 - tanh(z)^2: likewise (our choice)                                     |

    Args:
        activation: str. The nonlinearity that follows: "sigmoid", "relu", "tanh" or "hard_tanh".
        weight: float. Initial weight of the penalty, lambda. `layer.weight` is a scalar variable that is not trained; a
            callback may change it between batches without retracing. Defaults to 1.

    Input and output shape: (batch, ...), float dtype.

    Raises:
        ValueError: the activation is unknown or the weight negative.
    """

    def __init__(self, activation: str, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if weight < 0.0:
            raise ValueError(f"Expected `weight` >= 0. Received: weight={weight}")
        self.activation = activation
        self.initial_weight = weight
        self._saturation = nonlinearity(activation).saturation
        # Created here and not in `build`, so that a callback can hold it before the first batch.
        self.weight = self.add_weight(
            (), keras.initializers.Constant(weight), trainable=False, autocast=False, name="weight"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            values = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
            per_sample = ops.sum(self._saturation(values)) / ops.cast(ops.shape(values)[0], values.dtype)
            # Keras adds it to losses of this dtype.
            self.add_loss(ops.cast(ops.cast(self.weight, values.dtype) * per_sample, keras.backend.floatx()))
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": self.activation, "weight": self.initial_weight}
