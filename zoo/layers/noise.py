"""Gaussian noise of a random strength for each image."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class RandomGaussianNoise(keras.layers.Layer):
    """Adds Gaussian noise during training; the identity at inference.

    The standard deviation of each sample is drawn from U(min_stddev, max_stddev), so that one denoiser learns all strengths.

    Args:
        min_stddev: float. Lower bound of the standard deviation, in units of the image range [0, 1].
        max_stddev: float. Upper bound. Equal bounds give a fixed strength.
        clip: bool. Clip the noisy values to [0, 1]. Defaults to False.
        seed: int or None. Seed of the layer's generator.

    Input and output shape: (batch, ...); float dtype.
    """

    def __init__(
        self, min_stddev: float, max_stddev: float, clip: bool = False, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= min_stddev <= max_stddev:
            raise ValueError(
                f"Expected 0 <= `min_stddev` <= `max_stddev`. Received: min_stddev={min_stddev}, max_stddev={max_stddev}"
            )
        self.min_stddev = min_stddev
        self.max_stddev = max_stddev
        self.clip = clip
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.max_stddev == 0.0:
            return inputs
        shape = ops.shape(inputs)
        per_sample = (shape[0],) + (1,) * (len(shape) - 1)
        # Half precision has too few values to draw from.
        options = {"dtype": keras.backend.result_type(inputs.dtype, "float32"), "seed": self.seed_generator}
        stddev = keras.random.uniform(per_sample, self.min_stddev, self.max_stddev, **options)
        noisy = inputs + ops.cast(stddev * keras.random.normal(shape, **options), inputs.dtype)
        return ops.clip(noisy, 0.0, 1.0) if self.clip else noisy

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = {"min_stddev": self.min_stddev, "max_stddev": self.max_stddev, "clip": self.clip, "seed": self.seed}
        return {**super().get_config(), **config}
