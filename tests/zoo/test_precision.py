"""Every layer and every model under mixed precision, and under whatever else is set globally in Keras."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cortexzoo import layers
from cortexzoo.layers import (
    Binarize,
    GaussianBlur,
    GaussianSampling,
    PartialBatchNormalization,
    RandomGaussianNoise,
    RepresentationalSimilarityRegularizer,
    SaturationPenalty,
    StackedBatchNormalization,
    StackedConv2D,
    StackedConv2DTranspose,
    StackedDense,
)
from tests.zoo.families import FAMILIES, random_images, small_model

POLICIES = ["mixed_float16", "mixed_bfloat16"]
GENERATOR = np.random.default_rng(0)


class Regularized(keras.layers.Layer):
    """The similarity regulariser on the inputs themselves."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.regularizer = RepresentationalSimilarityRegularizer(**options)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        pairs = [inputs], [inputs[::-1]]
        return self.regularizer(*pairs, keras.ops.zeros(inputs.shape[0]), training=training)


class Sampled(keras.layers.Layer):
    """Draws from a Gaussian whose mean and log-variance are the inputs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sampling = GaussianSampling(**options)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.sampling(inputs, inputs, training=training)


LAYERS: dict[type[keras.layers.Layer], dict[str, Any]] = {
    Binarize: {},
    GaussianBlur: {"stddev": 0.7},
    GaussianSampling: {},
    PartialBatchNormalization: {},
    RandomGaussianNoise: {"min_stddev": 0.1, "max_stddev": 0.5, "clip": True},
    RepresentationalSimilarityRegularizer: {},
    SaturationPenalty: {"activation": "sigmoid"},
    StackedBatchNormalization: {},
    StackedConv2D: {"filters": 3, "kernel_size": 3, "models": 1},
    StackedConv2DTranspose: {"filters": 3, "kernel_size": 3, "models": 1},
    StackedDense: {"units": 3, "models": 1},
}
# Layers that are tested inside another one, as they take more than one input.
WRAPPED = {RepresentationalSimilarityRegularizer: Regularized, GaussianSampling: Sampled}
# The leading axis of these is the stack.
SHAPES = {StackedDense: (1, 4, 6), StackedConv2D: (1, 4, 6, 6, 2), StackedConv2DTranspose: (1, 4, 6, 6, 2)}
RANDOM = (RandomGaussianNoise, Sampled)


@contextlib.contextmanager
def keras_settings(floatx: str = "float32", policy: str | None = None, data_format: str = "channels_last") -> Iterator[None]:
    """Sets what Keras keeps globally, and sets it back."""
    try:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy or floatx)
        keras.config.set_image_data_format(data_format)
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        keras.config.set_image_data_format("channels_last")


def fit_one_step(model: keras.Model) -> float:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    images = random_images(model)
    return float(model.fit(images, np.arange(6) % model.num_classes, batch_size=6, verbose=0).history["loss"][0])


def test_every_layer_is_in_the_table() -> None:
    public = [getattr(layers, name) for name in layers.__all__]
    assert set(LAYERS) == {entry for entry in public if isinstance(entry, type) and issubclass(entry, keras.layers.Layer)}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("layer_class", LAYERS)
def test_layers(layer_class: type[keras.layers.Layer], policy: str) -> None:
    """In training: finite, of the policy's dtype, near float32, and with a gradient that reaches the input."""
    options = LAYERS[layer_class]
    shape = SHAPES.get(layer_class, (4, 6, 6, 2))
    layer_class = WRAPPED.get(layer_class, layer_class)
    # Multiples of 1 / 64 are the same numbers in half precision: none is rounded over a threshold.
    values = tf.constant(GENERATOR.integers(0, 65, shape) / 64.0, tf.float32)
    layer, reference = layer_class(**options, dtype=policy), layer_class(**options)
    reference(values)
    layer(values)
    layer.set_weights(reference.get_weights())
    training = {"training": True} if "training" in layer_class.call.__code__.co_varnames else {}
    with tf.GradientTape() as tape:
        tape.watch(values)
        outputs = layer(values, **training)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32)) + sum(layer.losses)
    assert np.isfinite(tape.gradient(total, values)).all()
    assert all(loss.dtype == tf.float32 for loss in layer.losses)
    assert outputs.dtype == ("float32" if layer_class is Regularized else layer.compute_dtype)
    if layer_class not in RANDOM:
        np.testing.assert_allclose(tf.cast(outputs, tf.float32), reference(values, **training), atol=0.05)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_penalty_of_many_units_is_finite(dtype: str) -> None:
    """262,144 sigmoid units at 0: a penalty of 65,536, more than float16 can hold."""
    layer = SaturationPenalty("sigmoid", 0.01, dtype=dtype)
    layer(np.zeros((2, 64, 64, 64), np.float32), training=True)
    assert float(layer.losses[0]) == pytest.approx(655.36, rel=1e-3)


def test_noise_of_half_precision_has_the_strength_of_float32() -> None:
    for dtype in ("float16", "bfloat16"):
        noisy = RandomGaussianNoise(0.3, 0.3, seed=0, dtype=dtype)(np.zeros((100, 1000), np.float32), training=True)
        assert float(np.std(tf.cast(noisy, tf.float32))) == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", FAMILIES)
def test_models_train_in_mixed_precision(name: str, policy: str) -> None:
    plain = small_model(name)
    images = random_images(plain)
    with keras_settings(policy=policy):
        model = small_model(name)
        model.set_weights(plain.get_weights())
        np.testing.assert_allclose(tf.cast(model(images), tf.float32), plain(images), rtol=0.05, atol=0.1)
        for function in model.endpoints().values():
            assert all(np.isfinite(tf.cast(values, tf.float64)).all() for values in tf.nest.flatten(function(images)))
        assert np.isfinite(fit_one_step(model))
    assert {weight.dtype for weight in model.weights} == {"float32"}
    # The policy is part of the model, whatever is set where it is loaded.
    copy = type(model).from_config(model.get_config())
    assert copy.dtype_policy.name == policy
    copy.build()
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(images), model(images))


@pytest.mark.parametrize("name", FAMILIES)
def test_models_with_a_policy_of_their_own(name: str) -> None:
    assert small_model(name, dtype="mixed_bfloat16").get_config()["dtype"] == "mixed_bfloat16"
    assert "dtype" not in small_model(name).get_config()


@pytest.mark.parametrize("floatx", ["float64", "bfloat16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_models_under_any_floatx(name: str, floatx: str) -> None:
    with keras_settings(floatx=floatx):
        assert np.isfinite(fit_one_step(small_model(name)))


@pytest.mark.parametrize("name", FAMILIES)
def test_models_where_channels_come_first(name: str) -> None:
    """The global setting is for the user's own layers: ours keep to (height, width, channels)."""
    plain = small_model(name)
    images = random_images(plain)
    with keras_settings(data_format="channels_first"):
        model = small_model(name)
        model.set_weights(plain.get_weights())
        for endpoint, function in model.endpoints().items():
            expected = plain.endpoints()[endpoint](images)
            tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), function(images), expected)
