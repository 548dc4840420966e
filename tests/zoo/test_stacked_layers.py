"""Stacked layers against Keras' own, model by model."""

import keras
import numpy as np
import pytest
from keras import ops

from cortexzoo.layers import GaussianSampling, StackedBatchNormalization, StackedConv2D, StackedConv2DTranspose

GENERATOR = np.random.default_rng(0)
PAIRS = [(StackedConv2D, keras.layers.Conv2D), (StackedConv2DTranspose, keras.layers.Conv2DTranspose)]


def normal(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("stacked", "single"), PAIRS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("kernel", "strides"), [(3, 1), (3, 2), (4, 2)])
def test_convolutions(stacked: type, single: type, shared: bool, kernel: int, strides: int) -> None:
    inputs = normal(2, 7, 6, 3) if shared else normal(4, 2, 7, 6, 3)
    stack = stacked(5, kernel, 4, strides)
    stack.build(inputs.shape)
    weights = [normal(*weight.shape) for weight in stack.weights]
    stack.set_weights(weights)
    outputs = ops.convert_to_numpy(stack(inputs))
    assert outputs.shape == stack.compute_output_shape(inputs.shape)
    for k in range(4):
        layer = single(5, kernel, strides, data_format="channels_last")
        layer.build((2, 7, 6, 3))
        layer.set_weights([weights[0][k], weights[1][k, 0, 0, 0]])
        expected = ops.convert_to_numpy(layer(inputs if shared else inputs[k]))
        np.testing.assert_allclose(outputs[k], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_normalization(training: bool) -> None:
    inputs = 2 * normal(3, 8, 2, 2, 4) + 1
    stack = StackedBatchNormalization(momentum=0.9, epsilon=1e-5)
    stack.build(inputs.shape)
    weights = [normal(*weight.shape) for weight in stack.weights[:3]] + [np.exp(normal(*stack.weights[3].shape))]
    stack.set_weights(weights)
    outputs = ops.convert_to_numpy(stack(inputs, training=training))
    for k in range(3):
        layer = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        layer.build(inputs.shape[1:])
        layer.set_weights([weight[k].ravel() for weight in weights])
        expected = ops.convert_to_numpy(layer(inputs[k], training=training))
        np.testing.assert_allclose(outputs[k], expected, rtol=1e-4, atol=1e-5)
        for received, wanted in zip(stack.get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_allclose(received[k].ravel(), wanted, rtol=1e-4, atol=1e-6)


def test_samples_have_the_mean_and_the_variance() -> None:
    layer = GaussianSampling(seed=0)
    mean, log_variance = np.full((20_000, 2), [1.0, -2.0], np.float32), np.full((20_000, 2), np.log([4.0, 0.25]), np.float32)
    drawn = ops.convert_to_numpy(layer(mean, log_variance, training=True))
    np.testing.assert_allclose(drawn.mean(axis=0), [1.0, -2.0], atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), [2.0, 0.5], rtol=0.03)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(mean, log_variance)), mean)


@pytest.mark.parametrize(
    "layer",
    [StackedConv2D(3, 2, 2, 2), StackedConv2DTranspose(3, 2, 2, use_bias=False), StackedBatchNormalization(0.8, 0.1)],
    ids=lambda layer: type(layer).__name__,
)
def test_config_round_trip(layer: keras.layers.Layer) -> None:
    inputs = normal(2, 3, 5, 4, 2)
    outputs = ops.convert_to_numpy(layer(inputs))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    copy(inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(inputs)), outputs)
