"""The saturation penalty of Nayebi and Ganguli (2017)."""

from typing import Any

import keras
from cortexzoo.layers.nonlinearities import nonlinearity
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class SaturationPenalty(keras.layers.Layer):
    """Drives units into the flat parts of their nonlinearity: weight * mean over the batch of sum over units of psi_c(z).

    The layer goes on the pre-activations z, those of hidden layers and never the logits, returns them unchanged and adds
    the penalty to the model's losses in training. One layer may be called on the pre-activations of many layers; their
    penalties add up. The penalty is computed in float32 also where the network is of half precision: a sum over all units
    would overflow float16.

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
        weight: float. The penalty's initial weight, lambda. It is a scalar variable, `layer.weight`, that is not trained
            and that a callback may change between batches without a new trace. Defaults to 1.

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
        # Made here and not in `build`: a callback may hold it before the first batch.
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
