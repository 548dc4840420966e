"""The catalogue's networks in PyTorch, with their weights carried over, for attacks that exist only there.

PyTorch is no dependency: `pip install torch`.
"""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import torch
from torch.nn import functional

from cortexzoo.models.cnn import ConvolutionalNetwork
from cortexzoo.models.feedforward import FeedforwardNetwork
from cortexzoo.models.resnet import ResidualBlock, ResidualNetwork

_Function = Callable[[torch.Tensor], torch.Tensor]
_ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "hard_tanh": functional.hardtanh}


@functools.singledispatch
def torch_twin(model: keras.Model) -> _Function:
    """Returns the same network in PyTorch, from float32 images, (n, channels, height, width), to logits, (n, classes).

    Raises:
        TypeError: the architecture has no twin, or an option of the model has none.
    """
    raise TypeError(f"Expected a convolutional, feed-forward or residual network. Received: {type(model).__name__}.")


@torch_twin.register
def _(model: ConvolutionalNetwork) -> _Function:
    if model.binarize:
        raise TypeError("Expected a network without a threshold, which has no gradient. Received: binarize=True.")
    *hidden, last = map(_convolution, model.convolutions)
    layers = []
    for convolution, normalization in zip(hidden, map(_normalization, model.normalizations), strict=True):
        layers += [convolution, normalization, functional.elu]
    return _in_a_row([*layers, last, _mean_of_map])


@torch_twin.register
def _(model: FeedforwardNetwork) -> _Function:
    activation, layers = _ACTIVATIONS[model.activation], []
    for layer in model.hidden:
        layers += [_pooled(layer) if isinstance(layer, keras.layers.Conv2D) else _dense(layer), activation]
    return _in_a_row([*layers, _dense(model.readout)])


@torch_twin.register
def _(model: ResidualNetwork) -> _Function:
    if model.blur:
        raise TypeError(f"Expected a residual network without blur. Received: blur={model.blur}.")
    stem = [_centred, _convolution(model.stem), _normalization(model.stem_normalization), torch.relu]
    return _in_a_row([*stem, *map(_residual, model.blocks), _mean_of_map, _dense(model.head)])


def _residual(block: ResidualBlock) -> _Function:
    first = [_convolution(block.first), _normalization(block.first_normalization), torch.relu]
    branch = _in_a_row([*first, _convolution(block.second), _normalization(block.second_normalization)])
    shortcut = _in_a_row([])
    if block.shortcut is not None:
        shortcut = _in_a_row([_convolution(block.shortcut), _normalization(block.shortcut_normalization)])

    def apply(values: torch.Tensor) -> torch.Tensor:
        padded = values if block.stride == 1 else functional.pad(values, (1, 1, 1, 1))
        return torch.relu(branch(padded) + shortcut(values))

    return apply


def _convolution(layer: keras.layers.Conv2D) -> _Function:
    # Keras has (height, width, input, output).
    kernel = _tensor(layer.kernel).permute(3, 2, 0, 1).contiguous()
    bias = _tensor(layer.bias) if layer.use_bias else None
    return lambda values: functional.conv2d(values, kernel, bias, layer.strides, layer.padding)


def _pooled(layer: keras.layers.Conv2D) -> _Function:
    convolution = _convolution(layer)
    return lambda values: functional.max_pool2d(convolution(values), 2)


def _normalization(layer: keras.layers.BatchNormalization) -> _Function:
    numbers = [_tensor(value) for value in (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)]
    return lambda values: functional.batch_norm(values, *numbers, eps=layer.epsilon)


def _dense(layer: keras.layers.Dense) -> _Function:
    kernel, bias = _tensor(layer.kernel).T.contiguous(), _tensor(layer.bias)

    def apply(values: torch.Tensor) -> torch.Tensor:
        # Keras flattens maps with the channels last.
        flat = values.permute(0, 2, 3, 1).flatten(1) if values.ndim == 4 else values
        return functional.linear(flat, kernel, bias)

    return apply


def _centred(images: torch.Tensor) -> torch.Tensor:
    return 5.0 * (images - 0.5)


def _mean_of_map(values: torch.Tensor) -> torch.Tensor:
    return values.mean(dim=(2, 3))


def _in_a_row(functions: Sequence[_Function]) -> _Function:
    return lambda values: functools.reduce(lambda result, function: function(result), functions, values)


def _tensor(weight: keras.Variable) -> torch.Tensor:
    return torch.from_numpy(np.array(keras.ops.convert_to_numpy(weight)))
