"""The nonlinearities of hidden layers: how saturated they are, and slopes for attacks on saturated networks."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# A softened backward pass divides pre-activations by this. Where a ReLU is flat its slope is 1 divided by this.
TEMPERATURE = 10.0


@dataclasses.dataclass(frozen=True)
class Nonlinearity:
    """A nonlinearity of hidden layers, each function elementwise on tensors of any shape and float dtype.

    Attributes:
        function: from pre-activations z to activations.
        saturation: psi_c(z) of Nayebi and Ganguli, https://arxiv.org/abs/1703.09202: the distance from z to the nearest
            point where the derivative is zero, or, where there is none, the size of the derivative itself.
        softened_slope: replaces the derivative in a backward pass that must not vanish.
        stable_slope: the derivative, by a formula that stays exact far from zero; None where the usual one does.
    """

    function: Callable[[Any], Any]
    saturation: Callable[[Any], Any]
    softened_slope: Callable[[Any], Any]
    stable_slope: Callable[[Any], Any] | None = None

    def softened(self, values: Any) -> Any:
        """Returns `function(values)`; its derivative is `softened_slope`."""
        return _with_slope(self.function(values), values, self.softened_slope(values))

    def stable(self, values: Any) -> Any:
        """Returns `function(values)`; its derivative is `stable_slope`."""
        return _with_slope(self.function(values), values, self.stable_slope(values))


def _with_slope(outputs: Any, inputs: Any, slope: Any) -> Any:
    # `inputs - stop_gradient(inputs)` is exactly zero, so no rounding error reaches the output.
    return ops.stop_gradient(outputs) + ops.stop_gradient(slope) * (inputs - ops.stop_gradient(inputs))


def _sigmoid_slope(values: Any) -> Any:
    """sigma'(z) without 1 - sigma(z), which is exactly 0 in float32 from z = 17 on and in float64 from z = 37 on."""
    decay = ops.exp(-ops.abs(values))
    return decay / ops.square(1.0 + decay)


def _sigmoid_saturation(values: Any) -> Any:
    activations = ops.sigmoid(values)
    return activations * (1.0 - activations)


def _leaky_slope(values: Any, active: Any) -> Any:
    return ops.where(active, ops.ones_like(values), ops.full_like(values, 1.0 / TEMPERATURE))


NONLINEARITIES: dict[str, Nonlinearity] = {
    "sigmoid": Nonlinearity(
        function=ops.sigmoid,
        saturation=_sigmoid_saturation,
        softened_slope=lambda values: _sigmoid_slope(values / TEMPERATURE),
        stable_slope=_sigmoid_slope,
    ),
    "tanh": Nonlinearity(
        function=ops.tanh,
        saturation=lambda values: 1.0 - ops.square(ops.tanh(values)),
        # tanh(z) = 2 sigma(2 z) - 1.
        softened_slope=lambda values: 4.0 * _sigmoid_slope(2.0 * values / TEMPERATURE),
        stable_slope=lambda values: 4.0 * _sigmoid_slope(2.0 * values),
    ),
    "relu": Nonlinearity(
        function=ops.relu,
        saturation=ops.relu,
        softened_slope=lambda values: _leaky_slope(values, values > 0.0),
    ),
    "hard_tanh": Nonlinearity(
        function=keras.activations.hard_tanh,
        saturation=lambda values: ops.relu(1.0 - ops.abs(values)),
        softened_slope=lambda values: _leaky_slope(values, ops.abs(values) < 1.0),
    ),
}


def nonlinearity(name: str) -> Nonlinearity:
    """Returns the nonlinearity called `name`.

    Raises:
        ValueError: there is none.
    """
    if name not in NONLINEARITIES:
        raise ValueError(f"`activation` must be one of {', '.join(NONLINEARITIES)}. Received: activation={name!r}")
    return NONLINEARITIES[name]
