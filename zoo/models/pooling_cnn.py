"""A convolutional network with max-pooling, the CNN beside the perceptrons of Nayebi and Ganguli (2017)."""

from collections.abc import Sequence
from typing import Any

import keras

from cortexzoo.models.feedforward import FeedforwardNetwork


@keras.saving.register_keras_serializable(package="cortexzoo")
class MaxPoolingNetwork(FeedforwardNetwork):
    """Padded convolutions, each followed by 2 x 2 max-pooling and a nonlinearity, then dense layers.

    Nayebi and Ganguli (https://arxiv.org/abs/1703.09202) do not give the sizes of their CNN. The shape is that of Madry et
    al. (https://arxiv.org/abs/1706.06083: two 5 x 5 convolutions of 32 and 64 maps, one dense layer of 1024), with half the
    maps and an eighth of the dense units, so that all variants train on a CPU.

    Args:
        maps: output channels of the convolutions. Defaults to (16, 32).
        kernel_size: int. Of all convolutions. Defaults to 5.
        hidden_units: widths of the dense hidden layers. Defaults to (128,).
        activation: str. "sigmoid", "relu", "tanh" or "hard_tanh". Defaults to "relu".
        saturation_penalty: float or None. Initial weight of the penalty on the hidden pre-activations in training; None
            for a network without. Defaults to None.
        image_shape: (height, width, channels). Defaults to (28, 28, 1).
        num_classes: int. Defaults to 10.

    Input: float images in [0, 1], (batch, height, width, channels). Output: float logits, (batch, num_classes).
    """

    def __init__(
        self,
        maps: Sequence[int] = (16, 32),
        kernel_size: int = 5,
        hidden_units: Sequence[int] = (128,),
        activation: str = "relu",
        saturation_penalty: float | None = None,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int = 10,
        **kwargs: Any,
    ) -> None:
        dtype = kwargs.get("dtype")
        options = {"padding": "same", "data_format": "channels_last", "dtype": dtype}
        convolutions = [
            keras.layers.Conv2D(channels, kernel_size, name=f"convolution_{i}", **options) for i, channels in enumerate(maps)
        ]
        dense = [keras.layers.Dense(units, name=f"dense_{i}", dtype=dtype) for i, units in enumerate(hidden_units)]
        super().__init__([*convolutions, *dense], activation, saturation_penalty, image_shape, num_classes, **kwargs)
        self.maps, self.kernel_size, self.hidden_units = tuple(maps), kernel_size, tuple(hidden_units)

    def hyperparameters(self) -> dict[str, Any]:
        sizes = {"maps": list(self.maps), "kernel_size": self.kernel_size, "hidden_units": list(self.hidden_units)}
        return {**sizes, **super().hyperparameters()}
