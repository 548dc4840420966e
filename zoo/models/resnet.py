"""Residual networks for small images, with five taps at which similarities are regularised."""

from typing import Any

import keras
from keras import ops

from cortexzoo.layers import GaussianBlur, PartialBatchNormalization
from cortexzoo.models.base import ImageClassifier

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


@keras.saving.register_keras_serializable(package="cortexzoo")
class ResidualNetwork(ImageClassifier):
    """ResNet18 or ResNet34 with a 7 x 7 stem of stride 1 and no pooling before the stages, for images of 28 or 32 pixels.

    Source: He et al., "Deep residual learning for image recognition", https://arxiv.org/abs/1512.03385, as changed by
    Attias, Pehlevan, Obeid, https://arxiv.org/abs/2410.03952. Four stages of basic blocks have `width` times 1, 2, 4, 8
    maps; from the second on they halve the resolution. Images are scaled to 5 (x - 0.5) inside.

    Args:
        depth: 18 or 34. Defaults to 18.
        width: int. Maps of the stem and of the first stage. Defaults to 64, as published.
        image_shape: (height, width, channels). Defaults to (32, 32, 3).
        num_classes: int. Defaults to 10.
        blur: float. Standard deviation, in pixels, of a Gaussian by which all images are blurred first. Defaults to 0: none.

    Input: float images in [0, 1], (batch, height, width, channels). Output: float32 logits, (batch, num_classes), also where
    `dtype` is one of mixed precision.
    """

    taps = ("stem", "stage_1", "stage_2", "stage_3", "stage_4")

    def __init__(
        self,
        depth: int = 18,
        width: int = 64,
        image_shape: tuple[int, int, int] = (32, 32, 3),
        num_classes: int = 10,
        blur: float = 0.0,
        **kwargs: Any,
    ) -> None:
        # Pixels are scaled before they are rounded to a half-precision policy's dtype.
        super().__init__(image_shape, num_classes, autocast=False, **kwargs)
        if depth not in BLOCKS:
            raise ValueError(f"`depth` must be one of {', '.join(map(str, BLOCKS))}. Received: depth={depth}")
        self.depth, self.width, self.blur = depth, width, blur
        self.blurring = GaussianBlur(blur, name="blur", dtype="float32") if blur else None
        self.stem = _convolution(width, 7, "stem", self.dtype_policy)
        self.stem_normalization = _normalization("stem_normalization", self.dtype_policy)
        # The last block of each stage is tapped.
        self.stage_ends, self.blocks = [], []
        for stage, count in enumerate(BLOCKS[depth]):
            for i in range(count):
                stride = 2 if stage and not i else 1
                name = f"stage_{stage + 1}_block_{i + 1}"
                self.blocks.append(ResidualBlock(width * 2**stage, stride, name=name, dtype=self.dtype_policy))
            self.stage_ends.append(len(self.blocks) - 1)
        self.head = keras.layers.Dense(num_classes, name="head", dtype="float32")

    @property
    def class_layers(self) -> list[keras.layers.Layer]:
        return [self.head]

    def call(self, images: Any, training: bool = False) -> Any:
        return self.activations(images, training)[1]

    def features(self, images: Any) -> dict[str, Any]:
        """Returns the five taps, each (batch, height, width, maps), and the logits, by name."""
        taps, logits = self.activations(images)
        return {**dict(zip(self.taps, taps, strict=True)), "logits": logits}

    def activations(self, images: Any, training: bool = False, trailing: int = 0) -> tuple[list[Any], Any]:
        """Returns the five taps and the logits.

        Args:
            images: float, (batch, height, width, channels), in [0, 1].
            training: bool.
            trailing: int. Number of images at the end that batch normalisation leaves out of its statistics. Defaults to 0.
        """
        values = 5.0 * (images - 0.5)
        if self.blurring is not None:
            values = self.blurring(values)
        values = self.stem(values)
        values = ops.relu(self.stem_normalization(values, training=training, trailing=trailing))
        taps = [values]
        for i, block in enumerate(self.blocks):
            values = block(values, training=training, trailing=trailing)
            if i in self.stage_ends:
                taps.append(values)
        return taps, self.head(ops.mean(values, axis=(1, 2)))

    def hyperparameters(self) -> dict[str, Any]:
        return {"depth": self.depth, "width": self.width, "blur": self.blur}


@keras.saving.register_keras_serializable(package="cortexzoo")
class ResidualBlock(keras.layers.Layer):
    """The basic block: relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)), both convolutions 3 x 3.

    The shortcut is the identity, or a normalised 1 x 1 convolution where the stride or the number of maps changes.

    Args:
        maps: int. Output channels.
        stride: int. Stride of the first convolution. Defaults to 1.

    Input shape: (batch, height, width, channels). Output shape: (batch, height / stride, width / stride, maps), rounded up.
    """

    def __init__(self, maps: int, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.maps, self.stride = maps, stride
        self.first = _convolution(maps, 3, "first", self.dtype_policy, stride)
        self.first_normalization = _normalization("first_normalization", self.dtype_policy)
        self.second = _convolution(maps, 3, "second", self.dtype_policy)
        self.second_normalization = _normalization("second_normalization", self.dtype_policy)

    def build(self, input_shape: tuple) -> None:
        output_shape = self.compute_output_shape(input_shape)
        self.first.build(input_shape)
        self.second.build(output_shape)
        for normalization in (self.first_normalization, self.second_normalization):
            normalization.build(output_shape)
        self.shortcut = None
        if self.stride != 1 or input_shape[-1] != self.maps:
            self.shortcut = _convolution(self.maps, 1, "shortcut", self.dtype_policy, self.stride)
            self.shortcut.build(input_shape)
            self.shortcut_normalization = _normalization("shortcut_normalization", self.dtype_policy)
            self.shortcut_normalization.build(output_shape)

    def call(self, inputs: Any, training: bool = False, trailing: int = 0) -> Any:
        options = {"training": training, "trailing": trailing}
        # Padded evenly, so that a window of stride 2 is centred on the pixel that the shortcut samples.
        padded = inputs if self.stride == 1 else ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        values = ops.relu(self.first_normalization(self.first(padded), **options))
        values = self.second_normalization(self.second(values), **options)
        if self.shortcut is not None:
            inputs = self.shortcut_normalization(self.shortcut(inputs), **options)
        return ops.relu(values + inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, height, width, _ = input_shape
        halved = (None if size is None else -(-size // self.stride) for size in (height, width))
        return (batch, *halved, self.maps)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "maps": self.maps, "stride": self.stride}


def _convolution(maps: int, size: int, name: str, dtype: Any, stride: int = 1) -> keras.layers.Conv2D:
    """Without a bias, which the normalisation that follows would cancel."""
    padding = "valid" if stride > 1 else "same"
    initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    options = {"data_format": "channels_last", "use_bias": False, "kernel_initializer": initializer}
    return keras.layers.Conv2D(maps, size, stride, padding, name=name, dtype=dtype, **options)


def _normalization(name: str, dtype: Any) -> PartialBatchNormalization:
    return PartialBatchNormalization(momentum=0.9, epsilon=1e-5, name=name, dtype=dtype)
