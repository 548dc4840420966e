"""A classifier with two taps that compiles in a moment."""

from typing import Any

import keras
from keras import ops

from cortexzoo.layers import PartialBatchNormalization
from cortexzoo.models import ImageClassifier


class TinyClassifier(ImageClassifier):
    """Two normalised convolutions and a linear head, with the interface of `ResidualNetwork`."""

    taps = ("early", "late")

    def __init__(self, image_shape: tuple[int, int, int] = (28, 28, 1), num_classes: int = 10, **kwargs: Any) -> None:
        super().__init__(image_shape, num_classes, autocast=False, **kwargs)
        self.early = keras.layers.Conv2D(4, 5, 4, use_bias=False)
        self.late = keras.layers.Conv2D(6, 3, 2, use_bias=False)
        self.normalizations = [PartialBatchNormalization(momentum=0.9) for _ in range(2)]
        self.head = keras.layers.Dense(num_classes)

    def call(self, images: Any, training: bool = False) -> Any:
        return self.activations(images, training)[1]

    def activations(self, images: Any, training: bool = False, trailing: int = 0) -> tuple[list[Any], Any]:
        taps, values = [], images
        for convolution, normalization in zip((self.early, self.late), self.normalizations, strict=True):
            values = ops.relu(normalization(convolution(values), training=training, trailing=trailing))
            taps.append(values)
        return taps, self.head(ops.mean(values, axis=(1, 2)))

    def hyperparameters(self) -> dict[str, Any]:
        return {}
