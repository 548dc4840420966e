"""The multilayer perceptron of Nayebi and Ganguli (2017), with or without their saturation penalty."""

from collections.abc import Sequence
from typing import Any

import keras

from cortexzoo.models.feedforward import FeedforwardNetwork


@keras.saving.register_keras_serializable(package="cortexzoo")
class MultilayerPerceptron(FeedforwardNetwork):
    """Dense hidden layers of one nonlinearity, then linear logits.

    Source: Nayebi, Ganguli, "Biologically inspired protection of deep networks from adversarial attacks",
    https://arxiv.org/abs/1703.09202; the widths are our choice.

    Args:
        hidden_units: widths of the hidden layers. Defaults to (200, 200, 200).
        activation: str. "sigmoid", "relu", "tanh" or "hard_tanh". Defaults to "sigmoid".
        saturation_penalty: float or None. Initial weight of the penalty on the hidden pre-activations in training; None
            for a network without. Defaults to None.
        image_shape: (height, width, channels). Defaults to (28, 28, 1).
        num_classes: int. Defaults to 10.

    Input: float images in [0, 1], (batch, height, width, channels). Output: float logits, (batch, num_classes).
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (200, 200, 200),
        activation: str = "sigmoid",
        saturation_penalty: float | None = None,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int = 10,
        **kwargs: Any,
    ) -> None:
        dtype = kwargs.get("dtype")
        hidden = [keras.layers.Dense(units, name=f"dense_{i}", dtype=dtype) for i, units in enumerate(hidden_units)]
        super().__init__(hidden, activation, saturation_penalty, image_shape, num_classes, **kwargs)
        self.hidden_units = tuple(hidden_units)

    def hyperparameters(self) -> dict[str, Any]:
        return {"hidden_units": list(self.hidden_units), **super().hyperparameters()}
