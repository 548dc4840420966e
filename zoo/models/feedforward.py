"""The base class of feed-forward networks with one nonlinearity: a saturation penalty, and endpoints for attacks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from cortexzoo.layers import SaturationPenalty, nonlinearity
from cortexzoo.models.base import ImageClassifier


class FeedforwardNetwork(ImageClassifier):
    """Linear hidden layers (convolutions, then dense ones), each followed by the same nonlinearity; linear logits.

    The gradient of a saturated unit is so small that float32 rounds it to zero, which stops an attack and protects nothing.
    Besides `logits` the network therefore has endpoints with the same values and other gradients:

    - `logits_float64`: every layer in float64; the logits are float64.
    - `logits_stable` (sigmoid and tanh): float64 as well, with a formula for the nonlinearity's derivative that never rounds
      to zero. The gradient of the image is float32. If it is still too small, an attack may scale its loss.
    - `logits_softened`: changes the backward pass only, to sigma'(z / 10), or to a slope of a tenth where a ReLU has none.

    Args:
        hidden: the hidden layers in order, `Conv2D` before `Dense`, without activation. The maps of a convolution are
            max-pooled, 2 x 2, before the nonlinearity. As that is monotone, pooling after it would give the same values
            from four times as many units. This way every unit is one that the next layer sees.
        activation: str. A name of `cortexzoo.layers.NONLINEARITIES`.
        saturation_penalty: float or None. Initial weight of a `SaturationPenalty` on all hidden pre-activations.
        image_shape: (height, width, channels).
        num_classes: int.

    Raises:
        ValueError: the activation is unknown or the penalty negative.
    """

    def __init__(
        self,
        hidden: Sequence[keras.layers.Layer],
        activation: str,
        saturation_penalty: float | None,
        image_shape: tuple[int, int, int],
        num_classes: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, **kwargs)
        self.activation = activation
        self.saturation_penalty = saturation_penalty
        self._nonlinearity = nonlinearity(activation)
        self.hidden = list(hidden)
        self.readout = keras.layers.Dense(num_classes, name="readout", dtype=self.dtype_policy)
        # Tracked last, so that its scalar comes last in `weights`.
        self.penalty = None
        if saturation_penalty is not None:
            options = {"name": "saturation_penalty", "dtype": self.dtype_policy}
            self.penalty = SaturationPenalty(activation, saturation_penalty, **options)

    @property
    def class_layers(self) -> list[keras.layers.Layer]:
        return [self.readout]

    def call(self, images: Any, training: bool = False) -> Any:
        return self._propagate(images, training=training)["logits"]

    def features(self, images: Any) -> dict[str, Any]:
        """Returns `pre_activation_<i>` and `activation_<i>` of each hidden layer i and `logits`."""
        return self._propagate(images)

    def endpoints(self) -> dict[str, Callable[[Any], Any]]:
        """Returns the functions of an image batch by name, with `logits_stable` for smooth nonlinearities only."""
        functions = super().endpoints()
        functions["logits_float64"] = self._logits_through(dtype="float64")
        functions["logits_softened"] = self._logits_through(activate=self._nonlinearity.softened)
        if self._nonlinearity.stable_slope:
            functions["logits_stable"] = self._logits_through(dtype="float64", activate=self._nonlinearity.stable)
        return functions

    def _logits_through(self, **options: Any) -> Callable[[Any], Any]:
        return lambda images: self._propagate(images, **options)["logits"]

    def _propagate(
        self,
        images: Any,
        training: bool = False,
        dtype: str | None = None,
        activate: Callable[[Any], Any] | None = None,
    ) -> dict[str, Any]:
        """Returns all values by name; computes in `dtype`, and with `activate` in place of the nonlinearity."""
        activate = activate or self._nonlinearity.function
        values = ops.cast(images, dtype) if dtype else images
        named = {}
        for i, layer in enumerate(self.hidden):
            values = _apply(layer, values, dtype)
            if isinstance(layer, keras.layers.Conv2D):
                values = ops.max_pool(values, 2, 2, data_format="channels_last")
            if self.penalty is not None and dtype is None:
                values = self.penalty(values, training=training)
            named[f"pre_activation_{i}"] = values
            values = named[f"activation_{i}"] = activate(values)
        return {**named, "logits": _apply(self.readout, values, dtype)}

    def hyperparameters(self) -> dict[str, Any]:
        return {"activation": self.activation, "saturation_penalty": self.saturation_penalty}


def _apply(layer: keras.layers.Layer, values: Any, dtype: str | None) -> Any:
    """Calls a dense layer or a convolution, with its weights cast to `dtype` if there is one."""
    if isinstance(layer, keras.layers.Dense):
        values = ops.reshape(values, (-1, math.prod(values.shape[1:])))
    if dtype is None:
        return layer(values)
    kernel, bias = (ops.cast(weight, dtype) for weight in (layer.kernel, layer.bias))
    if isinstance(layer, keras.layers.Dense):
        return ops.matmul(values, kernel) + bias
    return ops.conv(values, kernel, padding=layer.padding, data_format="channels_last") + bias
