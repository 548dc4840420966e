"""The convolutional baselines of Schott et al. (ICLR 2019): CNN and, with thresholded inputs, biCNN."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from cortexzoo.layers import Binarize
from cortexzoo.models.base import ImageClassifier


@keras.saving.register_keras_serializable(package="cortexzoo")
class ConvolutionalNetwork(ImageClassifier):
    """Unpadded convolutions with batch normalisation and ELU after each but the last, whose maps are averaged to logits.

    Source: Schott, Rauber, Bethge, Brendel, "Towards the first adversarially robust neural network model on MNIST",
    https://arxiv.org/abs/1805.09190. With the defaults and 28 x 28 images the last map is 1 x 1.

    Args:
        maps: output channels of the hidden convolutions. Defaults to (20, 70, 256).
        kernels: kernel sizes, one more than `maps` for the output convolution. Defaults to (5, 4, 3, 5).
        strides: strides, as many as `kernels`. Defaults to (1, 2, 2, 1).
        binarize: bool. Threshold the input at 0.5 first (biCNN). Defaults to False.
        image_shape: (height, width, channels). Defaults to (28, 28, 1).
        num_classes: int. Defaults to 10.

    Input: float images in [0, 1], (batch, height, width, channels). Output: float logits, (batch, num_classes).
    """

    def __init__(
        self,
        maps: Sequence[int] = (20, 70, 256),
        kernels: Sequence[int] = (5, 4, 3, 5),
        strides: Sequence[int] = (1, 2, 2, 1),
        binarize: bool = False,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, **kwargs)
        if not len(maps) + 1 == len(kernels) == len(strides):
            raise ValueError(
                "`kernels` and `strides` need one entry for each convolution, one more than `maps`. "
                f"Received: maps={tuple(maps)}, kernels={tuple(kernels)}, strides={tuple(strides)}"
            )
        self.maps, self.kernels, self.strides = tuple(maps), tuple(kernels), tuple(strides)
        self.binarize = Binarize(dtype=self.dtype_policy) if binarize else None
        channels = (*self.maps, num_classes)
        self.convolutions = [
            keras.layers.Conv2D(
                c, k, strides=s, data_format="channels_last", name=f"convolution_{i}", dtype=self.dtype_policy
            )
            for i, (c, k, s) in enumerate(zip(channels, self.kernels, self.strides, strict=True))
        ]
        self.normalizations = [
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"normalization_{i}", dtype=self.dtype_policy)
            for i in range(len(self.maps))
        ]

    @property
    def class_layers(self) -> list[keras.layers.Layer]:
        return [self.convolutions[-1]]

    def call(self, images: Any, training: bool = False) -> Any:
        return self._activations(self.binarize(images) if self.binarize else images, training)[-1]

    def features(self, images: Any) -> dict[str, Any]:
        """Returns the activations after each hidden block and the logits, by name."""
        *hidden, logits = self._activations(self.binarize(images) if self.binarize else images, training=False)
        return {**{f"block_{i}": values for i, values in enumerate(hidden)}, "logits": logits}

    def endpoints(self) -> dict[str, Any]:
        functions = super().endpoints()
        if self.binarize:
            functions["attack_logits"] = lambda images: self._activations(self.binarize.soft(images), training=False)[-1]
        return functions

    def _activations(self, values: Any, training: bool) -> list[Any]:
        activations = []
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=False):
            values = ops.elu(normalization(convolution(values), training=training))
            activations.append(values)
        return [*activations, ops.mean(self.convolutions[-1](values), axis=(1, 2))]

    def hyperparameters(self) -> dict[str, Any]:
        return {
            "maps": list(self.maps),
            "kernels": list(self.kernels),
            "strides": list(self.strides),
            "binarize": self.binarize is not None,
        }
