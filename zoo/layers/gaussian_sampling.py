"""Draws from a Gaussian whose mean and variance are computed, so that the draw has a gradient in both."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class GaussianSampling(keras.layers.Layer):
    """mean + exp(log_variance / 2) * noise during training; the mean at inference.

    The reparametrisation of Kingma and Welling, "Auto-encoding variational Bayes", https://arxiv.org/abs/1312.6114.

    Args:
        seed: int or None. Seed of the layer's generator.

    Inputs: the mean and the logarithm of the variance, two float tensors of one shape. Output shape: the same.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, mean: Any, log_variance: Any, training: bool = False) -> Any:
        if not training:
            return mean
        # Half precision has too few values to draw from.
        dtype = keras.backend.result_type(mean.dtype, "float32")
        noise = keras.random.normal(ops.shape(mean), dtype=dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * ops.cast(noise, mean.dtype)

    def compute_output_shape(self, mean_shape: tuple, log_variance_shape: tuple) -> tuple:
        return mean_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
