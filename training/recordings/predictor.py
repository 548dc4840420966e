"""A small network that predicts the responses of recorded units from the image, and so leaves their noise out.

All units share a convolutional core; each has a place to look at and a mixture of the core's features (Klindt et al. 2017, https://arxiv.org/abs/1711.02653).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.fitting import fit

_HELD_OUT = 0.1


class FactorizedReadout(keras.layers.Layer):
    """One linear unit for each neuron, whose weights are the product of a mask over places and a vector over features.

    Args:
        units: int. Number of neurons.
        seed: int or None. Seed of the initial weights.

    Input shape: (batch, height, width, features). Output shape: (batch, units).
    """

    def __init__(self, units: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.seed = seed

    def build(self, input_shape: tuple) -> None:
        _, height, width, features = input_shape
        seeds = keras.random.SeedGenerator(self.seed)
        for name, size in (("mask", height * width), ("mixture", features)):
            initializer = keras.initializers.RandomNormal(stddev=size**-0.5, seed=seeds)
            setattr(self, name, self.add_weight((size, self.units), initializer, name=name))
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        places = ops.reshape(inputs, (-1, self.mask.shape[0], self.mixture.shape[0]))
        # The mask first: a matrix product over places, which leaves the features at each unit's own place.
        seen = ops.matmul(ops.transpose(places, (0, 2, 1)), self.mask)
        return ops.sum(seen * self.mixture, axis=1) + self.bias

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "seed": self.seed}


class ResponsePredictor(keras.Model):
    """Predicts standardized responses from images.

    Args:
        units: int. Number of neurons.
        image_shape: (height, width, channels).
        maps: output channels of the convolutions; the first has kernel 7 and stride 2, the others kernel 3.
        seed: int. Seed of the initial weights.

    Input: float images in [0, 1], (batch, height, width, channels). Output: float, (batch, units).
    """

    def __init__(
        self,
        units: int,
        image_shape: tuple[int, int, int],
        maps: Sequence[int] = (32, 32),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.maps, self.seed = units, tuple(maps), seed
        self.image_shape = tuple(image_shape)
        self.core = [
            keras.layers.Conv2D(
                count,
                7 if i == 0 else 3,
                strides=2 if i == 0 else 1,
                padding="same",
                activation="elu",
                kernel_initializer=keras.initializers.HeNormal(seed=seed + i),
            )
            for i, count in enumerate(self.maps)
        ]
        self.readout = FactorizedReadout(units, seed=seed)

    def call(self, images: Any) -> Any:
        features = 2.0 * images - 1.0
        for layer in self.core:
            features = layer(features)
        return self.readout(features)

    def build(self, input_shape: tuple | None = None) -> None:
        """Creates the weights."""
        if not self.built:
            self.call(ops.zeros((1, *self.image_shape)))
            self.built = True

    def get_config(self) -> dict[str, Any]:
        config = {"units": self.units, "image_shape": self.image_shape, "maps": self.maps, "seed": self.seed}
        return {**super().get_config(), **config}


def masked_mean_squared_error(responses: Any, predictions: Any) -> Any:
    """The squared error, averaged over the responses that are not NaN."""
    missing = ops.isnan(responses)
    # The prediction stands in for a missing response: no error, and no NaN in the gradient.
    errors = ops.square(predictions - ops.where(missing, ops.stop_gradient(predictions), responses))
    return ops.sum(errors) / ops.maximum(ops.sum(ops.cast(~missing, errors.dtype)), 1.0)


def fit_predictor(
    images: np.ndarray, responses: np.ndarray, *, epochs: int, seed: int, directory: Path | None = None
) -> tuple[ResponsePredictor, np.ndarray]:
    """Fits a predictor to nine tenths of the images and keeps the epoch that predicts the other tenth best.

    Args:
        images: float32, (n, height, width, channels), in [0, 1].
        responses: float, (n, units), standardized; NaN where nothing was recorded.
        epochs: int.
        seed: int. Seed of the weights, the split and the batches.
        directory: folder of checkpoints and log, from which a killed fit resumes. Defaults to a temporary one.

    Returns:
        The predictor, and the correlation of predicted and recorded responses on the images held out, float64, (units,); NaN
        where one of the two does not vary.
    """
    order = np.random.default_rng(seed).permutation(len(images))
    held_out, used = np.split(order, [max(2, round(_HELD_OUT * len(order)))])
    responses = responses.astype(np.float32)
    batches = EpochBatches(images[used], responses[used], min(64, len(used)), seed)
    model = ResponsePredictor(responses.shape[1], images.shape[1:], seed=seed)
    model.build()
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(batches))
    # See `cortexzoo.training.recipes.similarity`: XLA is slower on a CPU, and without it JAX compiles nothing.
    jit_compile = keras.backend.backend() != "tensorflow"
    model.compile(keras.optimizers.Adam(schedule), masked_mean_squared_error, jit_compile=jit_compile)
    with tempfile.TemporaryDirectory() as temporary:
        fit(
            model,
            batches,
            (images[held_out], responses[held_out]),
            epochs=epochs,
            seed=seed,
            directory=directory or Path(temporary),
            monitor="val_loss",
            mode="min",
        )
    return model, correlations(predict(model, images[held_out]), responses[held_out])


def predict(model: ResponsePredictor, images: np.ndarray) -> np.ndarray:
    """Returns the predicted responses, float32, (n, units)."""
    return np.asarray(model.predict(images, batch_size=250, verbose=0))


def correlations(predicted: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Returns Pearson's r of each unit over the images for which it was recorded; NaN where one side does not vary.

    Args:
        predicted: float, (n, units).
        recorded: float, (n, units); NaN where nothing was recorded.
    """
    present = np.isfinite(recorded)
    count = np.maximum(present.sum(axis=0), 1)
    centred = []
    for values in (predicted, recorded):
        values = np.where(present, values, 0.0).astype(np.float64)
        centred.append(np.where(present, values - values.sum(axis=0) / count, 0.0))
    scale = np.sqrt(np.square(centred[0]).sum(axis=0) * np.square(centred[1]).sum(axis=0))
    return np.divide((centred[0] * centred[1]).sum(axis=0), scale, out=np.full(scale.shape, np.nan), where=scale > 0)
