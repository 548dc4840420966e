"""Residual networks: their size as published, their blocks written out, and what pairs beside a batch may change."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from cortexzoo.models import ResidualNetwork
from cortexzoo.models.resnet import ResidualBlock

GENERATOR = np.random.default_rng(0)


def random_images(count: int, shape: tuple[int, int, int] = (28, 28, 1)) -> np.ndarray:
    return GENERATOR.random((count, *shape), np.float32)


@pytest.fixture(scope="module")
def network() -> ResidualNetwork:
    """A narrow network whose normalisations have been fed."""
    model = ResidualNetwork(width=2, image_shape=(28, 28, 1))
    model.build()
    for _ in range(3):
        model(random_images(16), training=True)
    return model


@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672)])
def test_size_is_that_of_the_published_networks(depth: int, parameters: int) -> None:
    """The counts of the ImageNet networks, with a head for 10 classes instead of 1,000."""
    model = ResidualNetwork(depth=depth)
    model.build()
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == parameters - 990 * 513


@pytest.mark.parametrize(("pixels", "channels"), [(28, 1), (32, 3)])
def test_taps(pixels: int, channels: int) -> None:
    model = ResidualNetwork(width=2, image_shape=(pixels, pixels, channels), num_classes=7)
    model.build()
    features = {name: tuple(v.shape) for name, v in model.features(random_images(2, model.image_shape)).items()}
    sizes = {28: (28, 28, 14, 7, 4), 32: (32, 32, 16, 8, 4)}[pixels]
    expected = {tap: (2, n, n, m) for tap, n, m in zip(model.taps, sizes, (2, 2, 4, 8, 16), strict=True)}
    assert features == {**expected, "logits": (2, 7)}


def test_gray_is_zero_inside(network: ResidualNetwork) -> None:
    """5 (x - 0.5): an image of 0.5 leaves the stem's convolution, which has no bias, with zeros."""
    np.testing.assert_array_equal(network.stem(5.0 * (np.full((1, 28, 28, 1), 0.5, np.float32) - 0.5)), 0.0)
    images = random_images(2)
    expected = network.stem_normalization(network.stem(5.0 * images - 2.5))
    np.testing.assert_allclose(network.features(images)["stem"], np.maximum(expected, 0.0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "stride"), [(3, 1), (4, 1), (3, 2)])
@pytest.mark.parametrize("pixels", [6, 7])
def test_block_is_the_basic_block(channels: int, stride: int, pixels: int) -> None:
    """As in He et al., with a padding of one pixel all around, at inference with random statistics."""
    block = ResidualBlock(4, stride)
    images = GENERATOR.normal(size=(2, pixels, pixels, channels)).astype(np.float32)
    block.build(images.shape)
    block.set_weights([GENERATOR.uniform(0.2, 1.0, weight.shape) - 0.5 * (weight.ndim == 4) for weight in block.weights])

    def convolve(values: tf.Tensor, layer: object, step: int, margin: int) -> tf.Tensor:
        padding = [[0, 0], [margin, margin], [margin, margin], [0, 0]]
        return tf.nn.conv2d(values, layer.kernel, step, padding)

    def normalise(values: tf.Tensor, layer: object) -> tf.Tensor:
        gamma, beta, mean, variance = layer.get_weights()
        return gamma * (values - mean) / np.sqrt(variance + 1e-5) + beta

    values = tf.nn.relu(normalise(convolve(images, block.first, stride, 1), block.first_normalization))
    values = normalise(convolve(values, block.second, 1, 1), block.second_normalization)
    shortcut = images
    if (channels, stride) != (4, 1):
        shortcut = normalise(convolve(images, block.shortcut, stride, 0), block.shortcut_normalization)
    outputs = block(images)
    np.testing.assert_allclose(outputs, tf.nn.relu(values + shortcut), rtol=1e-4, atol=1e-4)
    assert outputs.shape == block.compute_output_shape(images.shape)


def test_trailing_images_change_nothing_for_the_others(network: ResidualNetwork) -> None:
    """One pass over class images and pairs: logits, taps and statistics are those of the class images alone."""
    images, others = random_images(8), 1.0 - random_images(6) ** 3
    before = network.get_weights()
    taps, logits = network.activations(images, training=True)
    alone = network.get_weights()
    network.set_weights(before)
    taps_beside, logits_beside = network.activations(np.concatenate([images, others]), training=True, trailing=6)
    beside = network.get_weights()
    network.set_weights(before)
    assert any((old != new).any() for old, new in zip(before, alone, strict=True))
    for received, expected in zip(beside, alone, strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)
    for received, expected in zip([*taps_beside, logits_beside], [*taps, logits], strict=True):
        np.testing.assert_allclose(received[:8], expected, rtol=1e-2, atol=1e-3)


def test_mixed_precision_keeps_float32_weights_and_logits(network: ResidualNetwork) -> None:
    mixed = ResidualNetwork(width=2, image_shape=(28, 28, 1), dtype="mixed_bfloat16")
    mixed.build()
    mixed.set_weights(network.get_weights())
    images = random_images(4)
    features = mixed.features(images)
    assert features["stage_4"].dtype == tf.bfloat16
    assert features["logits"].dtype == tf.float32
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    expected = ops.convert_to_numpy(network(images))
    np.testing.assert_allclose(mixed(images), expected, atol=0.1 * np.abs(expected).max())
    # Told where it is not float32, as the class then is another one to load.
    assert mixed.get_config().keys() == network.get_config().keys() | {"dtype"}


def test_depths() -> None:
    with pytest.raises(ValueError, match=r"`depth` must be one of 18, 34. Received: depth=50"):
        ResidualNetwork(depth=50)
