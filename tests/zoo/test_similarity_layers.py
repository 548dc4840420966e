"""The similarity regulariser and its batch normalisation, against their equations in float64 and Keras' own layer."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from cortexzoo.layers import PartialBatchNormalization, RepresentationalSimilarityRegularizer

SHAPES = [(6, 6, 3), (3, 3, 5), (7,)]


def make_pairs(count: int = 4, seed: int = 0) -> tuple[list, list, np.ndarray]:
    """Feature maps of both images of each pair at three taps, with a mean that is not zero, and targets."""
    generator = np.random.default_rng(seed)
    first, second = ([generator.normal(0.7, 1.0, (count, *s)).astype(np.float32) for s in SHAPES] for _ in range(2))
    return first, second, generator.uniform(-0.9, 0.9, count).astype(np.float32)


def spread(values: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    return np.log(1 + values + epsilon) - np.log(1 - values + epsilon)


def reference(first: list, second: list, target: np.ndarray, logits: np.ndarray, means: list) -> tuple[np.ndarray, float]:
    """S_cnn and the mean squared difference, pair by pair, in float64."""
    weights = np.exp(logits) / np.exp(logits).sum()
    similarity = np.zeros(len(target))
    for k in range(len(target)):
        for weight, one, other, mean in zip(weights, first, second, means, strict=True):
            a, b = ((values[k].astype(np.float64) - mean).ravel() for values in (one, other))
            similarity[k] += weight * (a @ b) / np.sqrt((a @ a) * (b @ b))
    return similarity, float(np.mean((spread(similarity) - spread(target.astype(np.float64))) ** 2))


def channel_means(first: list, second: list) -> list[np.ndarray]:
    return [np.concatenate([a, b]).reshape(-1, a.shape[-1]).mean(axis=0) for a, b in zip(first, second, strict=True)]


def built(**options: float) -> RepresentationalSimilarityRegularizer:
    layer = RepresentationalSimilarityRegularizer(**options)
    shapes = [(None, *shape) for shape in SHAPES]
    layer.build(shapes, shapes, (None,))
    return layer


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 5), strength=st.floats(0.1, 20.0), seed=st.integers(0, 1000))
def test_similarity_and_loss_are_those_of_the_equations(count: int, strength: float, seed: int) -> None:
    first, second, target = make_pairs(count, seed)
    generator = np.random.default_rng(seed)
    logits, means = generator.normal(size=3), [generator.normal(size=shape[-1]) for shape in SHAPES]
    layer = built(strength=strength)
    layer.set_weights([logits, *means])
    similarity = ops.convert_to_numpy(layer(first, second, target))
    expected, loss = reference(first, second, target, logits, means)
    np.testing.assert_allclose(similarity, expected, rtol=1e-4, atol=1e-5)
    (received,) = layer.losses
    assert float(received) == pytest.approx(strength * loss, rel=1e-3)
    np.testing.assert_allclose(layer.layer_weights, np.exp(logits) / np.exp(logits).sum(), rtol=1e-5)


def test_means_move_by_one_minus_the_momentum_in_training_alone() -> None:
    layer, expected = built(momentum=0.8), [np.zeros(shape[-1]) for shape in SHAPES]
    for seed in range(3):
        first, second, target = make_pairs(seed=seed)
        batch = channel_means(first, second)
        expected = [0.8 * mean + 0.2 * new for mean, new in zip(expected, batch, strict=True)]
        layer(first, second, target)
        similarity = ops.convert_to_numpy(layer(first, second, target, training=True))
        # The batch is in the mean that centres it.
        np.testing.assert_allclose(similarity, reference(first, second, target, np.zeros(3), expected)[0], rtol=1e-4)
    for received, value in zip(layer.get_weights()[1:], expected, strict=True):
        np.testing.assert_allclose(received, value, rtol=1e-5)


def feature_gradient(layer: RepresentationalSimilarityRegularizer, training: bool) -> list[np.ndarray]:
    first, second, target = make_pairs()
    first = [tf.constant(values) for values in first]
    with tf.GradientTape() as tape:
        tape.watch(first)
        layer(first, second, target, training=training)
        (loss,) = layer.losses
    return [value.numpy() for value in tape.gradient(loss, [*first, layer.layer_logits.value])]


def test_no_gradient_passes_through_the_means() -> None:
    """The gradient with the batch's own mean is that with a constant of its value."""
    moving, constant = built(momentum=0.0), built()
    constant.set_weights([np.zeros(3), *channel_means(*make_pairs()[:2])])
    for received, expected in zip(feature_gradient(moving, True), feature_gradient(constant, False), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-5)
        assert np.abs(expected).max() > 1e-3


def test_layer_weights_follow_the_layer_that_agrees() -> None:
    """Descent on g alone moves the weight to the tap whose cosines are the targets."""
    first, second, _ = make_pairs(8)
    target, _ = reference(first, second, np.zeros(8), np.array([-50.0, 50.0, -50.0]), [np.zeros(s[-1]) for s in SHAPES])
    layer = built(strength=1.0)
    optimizer = keras.optimizers.Adam(0.5)
    for _ in range(15):
        with tf.GradientTape() as tape:
            layer(first, second, target)
            (loss,) = layer.losses
        optimizer.apply([tape.gradient(loss, layer.layer_logits.value)], [layer.layer_logits])
    assert ops.convert_to_numpy(layer.layer_weights)[1] > 0.9


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_features_are_computed_in_float32(dtype: str) -> None:
    """Sums of squares would overflow float16, and similarities near 1 are rounded by both."""
    first, second, target = make_pairs()
    second = [0.999 * a + 0.001 * b for a, b in zip(first, second, strict=True)]
    rounded = [[ops.cast(1000.0 * values, dtype) for values in side] for side in (first, second)]
    layer, same = built(), built()
    similarity = layer(*rounded, target, training=True)
    expected = same(*([ops.cast(values, "float32") for values in side] for side in rounded), target, training=True)
    assert similarity.dtype == layer.losses[0].dtype == tf.float32
    np.testing.assert_array_equal(similarity, expected)
    assert float(layer.losses[0]) == float(same.losses[0])
    assert np.isfinite(float(layer.losses[0]))


@pytest.mark.parametrize("target", [-1.0, 0.0, 1.0])
def test_extreme_similarities_have_finite_loss_and_gradient(target: float) -> None:
    """Equal, opposite and zero features, at the targets of the thresholded similarity."""
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    first = tf.constant(values)
    second = values * np.array([[1.0], [-1.0], [0.0]], np.float32)
    layer = RepresentationalSimilarityRegularizer(1.0, momentum=1.0)
    with tf.GradientTape() as tape:
        tape.watch(first)
        similarity = layer([first], [second], np.full(3, target, np.float32), training=True)
        (loss,) = layer.losses
    np.testing.assert_allclose(similarity, [1.0, -1.0, 0.0], atol=1e-6)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, first)).all()
    expected = np.mean((spread(np.array([1.0, -1.0, 0.0])) - spread(np.array(target))) ** 2)
    # A is steep at 1: a similarity that is off by the last digit of float32 changes it by a hundredth.
    assert float(loss) == pytest.approx(expected, rel=0.02, abs=0.01)


@pytest.mark.parametrize("side", [0, 1])
def test_a_zero_row_has_no_gradient(side: int) -> None:
    """Nothing says in which direction it should grow, and 1 / its length would be any number."""
    layer, other = RepresentationalSimilarityRegularizer(1.0, momentum=1.0), make_pairs()[0][2:]
    zero = tf.zeros_like(other[0])
    with tf.GradientTape() as tape:
        tape.watch(zero)
        layer(*([[zero], other] if side == 0 else [other, [zero]]), np.full(4, 0.5, np.float32))
        (loss,) = layer.losses
    np.testing.assert_array_equal(tape.gradient(loss, zero), 0.0)


def test_without_the_transform_similarities_themselves_are_compared() -> None:
    first, second, target = make_pairs()
    layer = built(strength=2.0, transform=False)
    similarity = layer(first, second, target)
    assert float(layer.losses[0]) == pytest.approx(2.0 * np.mean((similarity - target) ** 2), rel=1e-5)


def test_taps_with_names_are_those_of_a_list() -> None:
    first, second, target = make_pairs()
    named, names = RepresentationalSimilarityRegularizer(), ("a", "c", "b")
    dicts = [dict(zip(names, values, strict=True)) for values in (first, second)]
    similarity = named(*dicts, target, training=True)
    listed = built()
    np.testing.assert_allclose(similarity, listed(first, second, target, training=True), rtol=1e-5)
    assert named.taps == ("a", "b", "c")
    assert listed.taps == ("0", "1", "2")
    assert [mean.shape for mean in named.means] == [(SHAPES[0][-1],), (SHAPES[2][-1],), (SHAPES[1][-1],)]
    with pytest.raises(ValueError, match="feature maps of the same shapes"):
        RepresentationalSimilarityRegularizer()(dicts[0], {**dicts[1], "d": second[0]}, target)
    inputs = [{name: keras.Input(values.shape[1:]) for name, values in one.items()} for one in dicts]
    model = keras.Model([*inputs, wanted := keras.Input(())], RepresentationalSimilarityRegularizer()(*inputs, wanted))
    np.testing.assert_allclose(model([*dicts, target]), built()(first, second, target), rtol=1e-5)


_OTHER_BACKEND = """
import sys
import keras
import numpy as np
from cortexzoo.layers import RepresentationalSimilarityRegularizer

assert keras.backend.backend() == sys.argv[1]
values = np.load(sys.argv[2])
first, second = ([values[f"{side}{i}"] for i in range(3)] for side in ("first", "second"))
layer = RepresentationalSimilarityRegularizer()
layer(first, second, values["target"], training=True)
print(float(layer.losses[0]))
try:
    layer(first, second, 3.0 * values["target"])
except ValueError as error:
    assert "needs values in [-1, 1]" in str(error)
else:
    raise AssertionError("taken")
# The loss of `add_loss` alone trains in plain `fit`: which tap counts, and the backbone.
image, other, target = keras.Input((6, 6, 3)), keras.Input((6, 6, 3)), keras.Input(())
convolution, layer = keras.layers.Conv2D(4, 3), RepresentationalSimilarityRegularizer()
backbone = keras.Model(image, {"early": convolution(image), "late": keras.layers.Flatten()(convolution(image))})
model = keras.Model([image, other, target], layer(backbone(image), backbone(other), target))
model.compile("sgd", loss=None)
before = convolution.get_weights()[0]
model.fit([first[0], second[0], values["target"]], epochs=2, verbose=0)
assert np.abs(convolution.get_weights()[0] - before).max() > 0
assert keras.ops.convert_to_numpy(layer.layer_logits).any()
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_same_loss_on_any_backend(backend: str, tmp_path: Path) -> None:
    pytest.importorskip(backend)
    first, second, target = make_pairs()
    layer = RepresentationalSimilarityRegularizer()
    layer(first, second, target, training=True)
    named = {f"{side}{i}": v for side, values in (("first", first), ("second", second)) for i, v in enumerate(values)}
    np.savez(tmp_path / "pairs.npz", target=target, **named)
    result = subprocess.run(
        [sys.executable, "-c", _OTHER_BACKEND, backend, tmp_path / "pairs.npz"],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.split()[0]) == pytest.approx(float(layer.losses[0]), rel=1e-5)


@settings(max_examples=10, deadline=None)
@given(factors=st.lists(st.floats(0.01, 100.0), min_size=2, max_size=2))
def test_cosines_have_no_scale(factors: list[float]) -> None:
    first, second, target = make_pairs()
    layer = built(momentum=1.0)
    expected = ops.convert_to_numpy(layer(first, second, target, training=True))
    scaled = ([factor * values for values in side] for factor, side in zip(factors, (first, second), strict=True))
    np.testing.assert_allclose(layer(*scaled, target, training=True), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("options", [{"strength": -1.0}, {"momentum": 1.1}, {"epsilon": 0.0}])
def test_settings_out_of_range(options: dict[str, float]) -> None:
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"Received: .*{name}={value}"):
        RepresentationalSimilarityRegularizer(**options)


def test_feature_maps_of_different_shapes() -> None:
    first, second, target = make_pairs()
    with pytest.raises(ValueError, match="feature maps of the same shapes"):
        RepresentationalSimilarityRegularizer()(first, second[::-1], target)


def test_regularizer_config_round_trip() -> None:
    layer = built(strength=3.0, momentum=0.5, epsilon=1e-4, transform=False)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    assert (copy.strength, copy.momentum, copy.epsilon, copy.transform) == (3.0, 0.5, 1e-4, False)


def random_normalization(layer_class: type, **options: object) -> keras.layers.BatchNormalization:
    layer = layer_class(momentum=0.8, epsilon=1e-3, **options)
    layer.build((None, 5, 4, 3))
    generator = np.random.default_rng(0)
    layer.set_weights([generator.uniform(0.5, 2.0, weight.shape) for weight in layer.weights])
    return layer


def make_images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(2.0, 3.0, (count, 5, 4, 3)).astype(np.float32)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}], ids=str)
def test_without_trailing_images_it_is_batch_normalisation(training: bool, options: dict[str, bool]) -> None:
    layer, same = (random_normalization(c, **options) for c in (PartialBatchNormalization, keras.layers.BatchNormalization))
    images = make_images(6)
    np.testing.assert_allclose(layer(images, training=training), same(images, training=training), rtol=1e-4, atol=1e-5)
    for received, expected in zip(layer.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-5)


@settings(max_examples=10, deadline=None)
@given(leading=st.integers(2, 5), trailing=st.integers(1, 4), seed=st.integers(0, 100))
def test_trailing_images_feed_no_statistics_and_are_normalised_by_them(leading: int, trailing: int, seed: int) -> None:
    layer, alone = (random_normalization(PartialBatchNormalization) for _ in range(2))
    images, others = make_images(leading, seed), 10.0 * make_images(trailing, seed + 1)
    together = ops.convert_to_numpy(layer(np.concatenate([images, others]), training=True, trailing=trailing))
    np.testing.assert_allclose(together[:leading], alone(images, training=True), rtol=1e-4, atol=1e-5)
    for received, expected in zip(layer.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-6)
    gamma, beta, *_ = layer.get_weights()
    mean, variance = images.mean(axis=(0, 1, 2)), images.var(axis=(0, 1, 2))
    expected = gamma * (others - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(together[leading:], expected, rtol=1e-3, atol=1e-3)


def test_trailing_rows_without_space_feed_no_statistics() -> None:
    layer, rows = PartialBatchNormalization(epsilon=1e-3), make_images(8)[:, 0, 0]
    received = ops.convert_to_numpy(layer(rows, training=True, trailing=3))
    expected = (rows - rows[:5].mean(axis=0)) / np.sqrt(rows[:5].var(axis=0) + 1e-3)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_statistics_of_half_precision_images_are_float32() -> None:
    layer = random_normalization(PartialBatchNormalization, dtype="mixed_float16")
    images = make_images(4) + 3000.0
    outputs = layer(images, training=True)
    assert outputs.dtype == tf.float16
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    rounded = images.astype(np.float16).astype(np.float64)
    _, _, mean, _ = random_normalization(PartialBatchNormalization).get_weights()
    np.testing.assert_allclose(layer.get_weights()[2], 0.8 * mean + 0.2 * rounded.mean(axis=(0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("shape", [(4, 1), (4, 4), (), (1,), (5,)], ids=str)
def test_targets_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Any of these would broadcast, or fail without a word about the target."""
    first, second, _ = make_pairs()
    with pytest.raises(ValueError, match=r"one value for each pair of images, shape \(4,\). Received: shape"):
        built()(first, second, np.zeros(shape, np.float32))


def test_targets_of_another_shape_are_refused_in_graphs() -> None:
    first, second = keras.Input((7,)), keras.Input((7,))
    with pytest.raises(ValueError, match=r"shape \(k,\). Received: shape \(None, 1\)"):
        RepresentationalSimilarityRegularizer()([first], [second], keras.Input((1,)))
    layer = RepresentationalSimilarityRegularizer()
    call = tf.function(lambda target: layer([tf.ones((4, 7))], [tf.ones((4, 7))], target))
    call(tf.zeros(4))
    with pytest.raises(ValueError, match=r"Received: shape \(4, 1\)"):
        call(tf.zeros((4, 1)))


@pytest.mark.parametrize("value", [2.0, -1.01, np.nan, np.inf])
@pytest.mark.parametrize("transform", [True, False])
def test_targets_out_of_range_are_refused(value: float, transform: bool) -> None:
    first, second, target = make_pairs()
    target[1] = value
    layer = built(transform=transform)
    with pytest.raises(ValueError, match=r"needs values in \[-1, 1\].* Pass 1 - d for distances"):
        layer(first, second, target)
    call = tf.function(lambda target: layer(first, second, target))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"needs values in \[-1, 1\]"):
        call(target)


def test_targets_out_of_range_stop_fit() -> None:
    image, other, target = keras.Input((7,)), keras.Input((7,)), keras.Input(())
    dense = keras.layers.Dense(5)
    model = keras.Model(
        [image, other, target], RepresentationalSimilarityRegularizer()([dense(image)], [dense(other)], target)
    )
    model.compile("sgd", loss=None, jit_compile=False)
    rows = np.random.default_rng(0).random((4, 7), np.float32)
    model.fit([rows, rows[::-1], np.array([1.0, -1.0, 0.0, 0.5], np.float32)], verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"needs values in \[-1, 1\]"):
        model.fit([rows, rows[::-1], np.array([1.0, 2.0, 0.0, 0.5], np.float32)], verbose=0)


def test_cosines_rounded_over_1_are_taken() -> None:
    first, second, target = make_pairs()
    layer = built()
    layer(first, second, np.where(target > 0, 1.0, target))
    expected = float(layer.losses[0])
    layer(first, second, np.where(target > 0, 1.000001, target))
    assert float(layer.losses[0]) == expected
