"""The layers, each against what it stands for written out in NumPy."""

import hypothesis.extra.numpy as hnp
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy import ndimage

from cortexzoo.layers import Binarize, GaussianBlur, RandomGaussianNoise, StackedDense

PIXELS = hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(0, 1, width=32))
GENERATOR = np.random.default_rng(0)


def gradient(function, values: np.ndarray) -> np.ndarray:
    values = tf.convert_to_tensor(values)
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(function(values))
    return tape.gradient(total, values).numpy()


@given(PIXELS)
def test_binarize_gives_exact_zeros_and_ones(values: np.ndarray) -> None:
    np.testing.assert_array_equal(ops.convert_to_numpy(Binarize()(values)), (values >= 0.5).astype(np.float32))


def test_binarize_counts_the_threshold_as_one() -> None:
    values = np.array([np.nextafter(np.float32(0.3), np.float32(0)), 0.3, 0.31], np.float32)
    assert ops.convert_to_numpy(Binarize(threshold=0.3)(values)).tolist() == [0.0, 1.0, 1.0]


@given(PIXELS)
def test_binarize_passes_the_gradient_straight_through(values: np.ndarray) -> None:
    layer = Binarize()
    np.testing.assert_array_equal(gradient(lambda x: 3.0 * layer(x), values), np.full_like(values, 3.0))


@given(PIXELS)
def test_soft_binarization_is_a_steep_sigmoid(values: np.ndarray) -> None:
    layer = Binarize(threshold=0.4, steepness=10.0)
    expected = 1.0 / (1.0 + np.exp(-10.0 * (values.astype(np.float64) - 0.4)))
    np.testing.assert_allclose(ops.convert_to_numpy(layer.soft(values)), expected, rtol=1e-5)
    np.testing.assert_allclose(gradient(layer.soft, values), 10.0 * expected * (1.0 - expected), rtol=1e-3, atol=1e-6)


def test_noise_is_the_identity_at_inference() -> None:
    images = GENERATOR.random((3, 5, 5, 1), np.float32)
    layer = RandomGaussianNoise(0.2, 0.5, clip=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(images)), images)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(images, training=False)), images)


def test_noise_of_no_strength_is_the_identity() -> None:
    images = GENERATOR.random((3, 25), np.float32)
    np.testing.assert_array_equal(ops.convert_to_numpy(RandomGaussianNoise(0.0, 0.0)(images, training=True)), images)


def sample_stddevs(layer: RandomGaussianNoise, samples: int = 400, values: int = 4000) -> np.ndarray:
    noisy = ops.convert_to_numpy(layer(np.full((samples, values), 0.5, np.float32), training=True))
    # The mean of `values` draws of standard deviation s has standard deviation s / sqrt(values); 6 of them never happen.
    assert np.abs(noisy.mean(axis=1) - 0.5).max() < 6 * layer.max_stddev / values**0.5
    return noisy.std(axis=1)


def test_noise_of_one_strength() -> None:
    np.testing.assert_allclose(sample_stddevs(RandomGaussianNoise(0.3, 0.3, seed=1)), 0.3, rtol=0.08)


def test_noise_strength_is_uniform_over_samples() -> None:
    stddevs = np.sort(sample_stddevs(RandomGaussianNoise(0.1, 0.5, seed=1)))
    uniform = np.linspace(0.1, 0.5, len(stddevs))
    # Kolmogorov's distance stays below 1.95 / sqrt(n) with probability 99.9 %; the estimates' own error adds little.
    assert np.abs(stddevs - uniform).max() < (0.5 - 0.1) * 1.95 / len(stddevs) ** 0.5 + 0.02


def test_clipped_noise_stays_in_the_image_range() -> None:
    images = np.tile(np.array([0.0, 0.5, 1.0], np.float32), (50, 20))
    noisy = ops.convert_to_numpy(RandomGaussianNoise(1.0, 1.0, clip=True, seed=0)(images, training=True))
    assert (noisy.min(), noisy.max()) == (0.0, 1.0)
    free = ops.convert_to_numpy(RandomGaussianNoise(1.0, 1.0, seed=0)(images, training=True))
    np.testing.assert_array_equal(noisy, np.clip(free, 0.0, 1.0))


def test_noise_is_new_in_every_call() -> None:
    layer, images = RandomGaussianNoise(0.3, 0.3, seed=0), np.zeros((2, 10), np.float32)
    first, second = (ops.convert_to_numpy(layer(images, training=True)) for _ in range(2))
    assert (first != second).all()


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.5), (0.5, 0.1)])
def test_noise_refuses_a_range_that_is_none(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"Received: min_stddev={low}, max_stddev={high}"):
        RandomGaussianNoise(low, high)


@settings(max_examples=20, deadline=None)
@given(
    models=st.integers(1, 4),
    batch=st.integers(1, 3),
    features=st.integers(1, 5),
    units=st.integers(1, 5),
    shared=st.booleans(),
    activation=st.sampled_from([None, "relu", "sigmoid"]),
)
def test_stacked_dense_is_separate_dense_layers(
    models: int, batch: int, features: int, units: int, shared: bool, activation: str | None
) -> None:
    generator = np.random.default_rng(models + 10 * units)
    inputs = generator.normal(size=(batch, features) if shared else (models, batch, features)).astype(np.float32)
    stack = StackedDense(units, models, activation)
    stack.build(inputs.shape)
    kernel, bias = (generator.normal(size=weight.shape).astype(np.float32) for weight in stack.weights)
    stack.set_weights([kernel, bias])
    outputs = ops.convert_to_numpy(stack(inputs))
    assert outputs.shape == stack.compute_output_shape(inputs.shape) == (models, batch, units)
    for k in range(models):
        dense = keras.layers.Dense(units, activation)
        dense.build((batch, features))
        dense.set_weights([kernel[k], bias[k, 0]])
        expected = ops.convert_to_numpy(dense(inputs if shared else inputs[k]))
        np.testing.assert_allclose(outputs[k], expected, rtol=1e-5, atol=1e-6)


def test_stacked_dense_starts_within_glorots_bound() -> None:
    stack = StackedDense(30, models=10)
    stack.build((None, 70))
    kernel = ops.convert_to_numpy(stack.kernel)
    bound = (6.0 / (70 + 30)) ** 0.5
    # The bound of one layer, not of a receptive field of ten: 21,000 uniform draws come close to it.
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert not ops.convert_to_numpy(stack.bias).any()


@pytest.mark.parametrize(
    "layer",
    [
        Binarize(threshold=0.3, steepness=7.0, name="threshold"),
        RandomGaussianNoise(0.1, 0.4, clip=True, seed=3, name="noise"),
        StackedDense(3, models=2, activation="relu", name="stack"),
    ],
    ids=lambda layer: layer.name,
)
def test_config_round_trip(layer: keras.layers.Layer) -> None:
    inputs = GENERATOR.random((4, 5), np.float32)
    outputs = ops.convert_to_numpy(layer(inputs))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    assert copy.compute_output_shape(inputs.shape) == outputs.shape
    copy(inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(inputs)), outputs)


@pytest.mark.parametrize("stddev", [0.4, 1.0, 1.7])
def test_blur_is_that_of_scipy(stddev: float) -> None:
    images = GENERATOR.random((2, 9, 8, 3), np.float32)
    radius = int(np.ceil(3 * stddev))
    expected = np.stack(
        [ndimage.gaussian_filter(image, (stddev, stddev, 0), radius=(radius, radius, 0), mode="mirror") for image in images]
    )
    blurred = GaussianBlur(stddev)(images)
    np.testing.assert_allclose(blurred, expected, atol=1e-6)
    # The operation is linear; its gradient is its transpose.
    weights = GENERATOR.random(images.shape, np.float32)
    slope = gradient(lambda x: GaussianBlur(stddev)(x) * weights, images)
    assert float(np.sum(slope * images)) == pytest.approx(float(np.sum(weights * blurred.numpy())), rel=1e-5)


def test_blur_of_no_strength() -> None:
    with pytest.raises(ValueError, match=r"Expected `stddev` > 0. Received: stddev=0.0"):
        GaussianBlur(0.0)
