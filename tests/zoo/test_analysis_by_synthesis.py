"""ABS: its equations in NumPy, its search, and the gradient that the envelope theorem promises."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import cortexzoo as cz
from cortexzoo.loading import create_model
from cortexzoo.models import MODELS, ImageClassifier
from cortexzoo.models.analysis_by_synthesis import ETA
from cortexzoo.models.latent_search import RADIUS, descend, energies, likely_latents, nearest_latents, within_radius
from tests.zoo.families import random_images, small_model


def drawn_model(**options: object) -> ImageClassifier:
    """A small model with weights large enough that latents matter, and statistics that are not those of the start."""
    model, generator = small_model("ABS", **options), np.random.default_rng(5)
    for layer in model.class_layers:
        layer.set_weights([_drawn(weight, generator) for weight in layer.weights])
    return model


def _drawn(weight: keras.Variable, generator: np.random.Generator) -> np.ndarray:
    values = generator.normal(size=weight.shape)
    return np.exp(0.3 * values) if weight.name in ("gamma", "moving_variance") else 0.5 * values


def arrays(values: object) -> object:
    return tf.nest.map_structure(ops.convert_to_numpy, values)


def test_shapes_of_the_paper() -> None:
    """Maps 32, 32, 64, 16 and 32, 16, 16, 1; kernels 5, 4, 3, 5 and 4, 5, 5, 4: counted for one class."""
    model = create_model("AnalysisBySynthesis", {})
    encoder = 25 * 32 + 16 * 32 * 32 + 9 * 32 * 64 + 25 * 64 * 16 + 16 + 4 * (32 + 32 + 64)
    decoder = 8 * 16 * 32 + 16 * 32 + 25 * 32 * 16 + 25 * 16 * 16 + 16 * 16 + 1 + 4 * (32 + 16 + 16)
    assert model.count_params() == 10 * (encoder + decoder) + 32 * 8
    assert model.decode(np.zeros((10, 1, 8), np.float32)).shape == (10, 1, 784)


def test_features_are_the_equations() -> None:
    model = drawn_model(class_scales=(1.0, 0.5, 2.0))
    images = random_images(model)
    found = arrays(model.features(images))
    latents = found["latents"].transpose(1, 0, 2)
    reconstructions = ops.convert_to_numpy(model.decode(latents)).transpose(1, 0, 2)
    np.testing.assert_allclose(found["reconstructions"], reconstructions, rtol=1e-5, atol=1e-6)
    errors = np.sum((images.reshape(6, 1, -1) - reconstructions) ** 2, axis=-1)
    energy = errors + np.sum(found["latents"] ** 2, axis=-1) / 2
    np.testing.assert_allclose(found["log_likelihoods"], -energy * [1.0, 0.5, 2.0] / 144, rtol=1e-5)
    logits = ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(logits, 440 * found["log_likelihoods"], rtol=1e-5)
    weights = np.exp(logits.astype(np.float64)) + ETA
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.confidences(images)), weights / weights.sum(axis=1, keepdims=True), rtol=1e-3
    )


def test_evidence_terms_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    model = drawn_model()
    monkeypatch.setattr(type(model.sampling), "call", lambda layer, mean, log_variance, training: mean)
    images = np.random.default_rng(0).random((3, 4, 12, 12, 1), np.float32)
    mean, log_variance = arrays(model.encode(images))
    error, divergence = arrays(model.evidence_terms(images))
    decoded = ops.convert_to_numpy(model.decode(mean))
    np.testing.assert_allclose(error, np.sum((images.reshape(3, 4, -1) - decoded) ** 2, axis=-1), rtol=1e-5)
    expected = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=-1)
    np.testing.assert_allclose(divergence, expected, rtol=1e-4)
    # The divergence of N(m, s^2) from N(0, 1) by an integral.
    grid = np.linspace(-12, 12, 20_001)
    density = np.exp(-((grid - 0.7) ** 2) / (2 * 0.5**2)) / (0.5 * np.sqrt(2 * np.pi))
    ratio = -((grid - 0.7) ** 2) / (2 * 0.5**2) - np.log(0.5) + grid**2 / 2
    assert 0.5 * (0.7**2 + 0.5**2 - 1 - np.log(0.5**2)) == pytest.approx(np.trapezoid(density * ratio, grid), rel=1e-5)


def test_likely_latents() -> None:
    latents = likely_latents(900, 8, seed=3)
    drawn = np.random.default_rng(3).standard_normal((1000, 8))
    norms = np.sort(np.linalg.norm(drawn, axis=1))
    assert latents.shape == (900, 8)
    assert np.linalg.norm(latents, axis=1).max() == pytest.approx(norms[899], rel=1e-6)
    np.testing.assert_array_equal(latents, likely_latents(900, 8, seed=3))


@pytest.mark.parametrize("chunk", [1, 3, 7, 32])
def test_nearest_latents_do_not_depend_on_the_chunk(chunk: int) -> None:
    model, latents = drawn_model(), likely_latents(17, 3, seed=1)
    images = random_images(model).reshape(6, -1)
    best, least = arrays(nearest_latents(model.decode, latents, images, 3, chunk))
    decoded = ops.convert_to_numpy(model.decode(np.broadcast_to(latents, (3, 17, 3))))
    every = np.sum((images[None, :, None] - decoded[:, None]) ** 2, axis=-1) + np.sum(latents**2, axis=-1) / 2
    np.testing.assert_array_equal(best, latents[every.argmin(axis=-1)])
    np.testing.assert_allclose(least, every.min(axis=-1), rtol=1e-5)
    alone, _ = arrays(nearest_latents(model.decode, latents, images[2:3], 3, chunk))
    np.testing.assert_array_equal(alone[:, 0], best[:, 2])


def test_descent_of_a_paraboloid_keeps_the_best() -> None:
    """At the target, and for one that is out of reach on the ball that holds the latents."""
    target = np.array([[[0.3, -0.2]], [[80.0, 60.0]]], np.float32)
    start = np.array([[[0.0, 0.0]], [[2.0, 4.0]]], np.float32)
    best, least = arrays(descend(lambda z: ops.sum((z - target) ** 2, axis=-1), start, 60, 0.05))
    np.testing.assert_allclose(best[0], target[0], atol=0.02)
    np.testing.assert_allclose(least, np.sum((best - target) ** 2, axis=-1), rtol=1e-5, atol=1e-6)
    assert np.linalg.norm(best[1]) == pytest.approx(RADIUS)
    assert least[1, 0] < np.sum((start[1] - target[1]) ** 2)
    # From the minimum every step of Adam leads away.
    best, least = arrays(descend(lambda z: ops.sum(ops.abs(z), axis=-1), np.full((1, 1, 2), 1e-3, np.float32), 3, 0.5))
    np.testing.assert_array_equal(best, np.full((1, 1, 2), 1e-3, np.float32))
    assert least[0, 0] == pytest.approx(2e-3)


def test_descent_lowers_every_energy() -> None:
    model = drawn_model()
    images = random_images(model).reshape(6, -1)
    start = np.random.default_rng(0).standard_normal((3, 6, 3)).astype(np.float32)

    def energy(latents: tf.Tensor) -> tf.Tensor:
        return energies(images, model.decode(latents), latents)

    few, many = (ops.convert_to_numpy(descend(energy, start, steps, 0.05)[1]) for steps in (2, 6))
    assert np.all(few < ops.convert_to_numpy(energy(start)))
    assert np.all(many <= few)
    far = 100 * start
    on_ball = far * RADIUS / np.linalg.norm(far, axis=-1, keepdims=True)
    np.testing.assert_allclose(within_radius(far), on_ball, rtol=1e-5)


def test_more_search_never_raises_an_energy() -> None:
    images = random_images(small_model("ABS"))
    plain = drawn_model(latents=0, descent_steps=0)
    start = ops.convert_to_numpy(plain(images))
    for search in ({"latents": 20, "descent_steps": 0}, {"latents": 0, "descent_steps": 10}):
        logits = ops.convert_to_numpy(plain.with_inference(**search, encoder_start=True)(images))
        assert np.all(logits >= start - 1e-4)
        assert np.any(logits > start + 1e-3)


def test_gradient_is_that_of_the_least_energy() -> None:
    """The envelope theorem: at a converged z*, finite differences of the whole search."""
    model = drawn_model(latents=1, encoder_start=False, descent_steps=300, logit_scale=1.0, descent_rate=0.02)
    logits_of = tf.function(model, autograph=False)
    generator = np.random.default_rng(0)
    images = tf.constant(generator.random((4, *model.image_shape), np.float32))
    weights = generator.normal(size=(4, 3)).astype(np.float32)
    direction = generator.standard_normal(images.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(logits_of(images) * weights)
    slopes = np.sum(tape.gradient(total, images) * direction, axis=(1, 2, 3))
    ahead, behind = (logits_of(images + step * direction).numpy() for step in (0.02, -0.02))
    np.testing.assert_allclose(np.sum((ahead - behind) / 0.04 * weights, axis=1), slopes, rtol=2e-3)


def test_published_search_of_the_same_autoencoders() -> None:
    model = drawn_model()
    published = model.with_inference(latents=33, descent_steps=3)
    assert (published.latents, published.descent_steps, published.encoder_start) == (33, 3, False)
    np.testing.assert_array_equal(ops.convert_to_numpy(published.shared_latents), likely_latents(33, 3, 0))
    latents = np.zeros((3, 2, 3), np.float32)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(published.decode(latents)), ops.convert_to_numpy(model.decode(latents))
    )


def test_binarized_model() -> None:
    plain, binarized = drawn_model(), drawn_model(binarize=True)
    images = random_images(plain)
    expected = ops.convert_to_numpy(plain((images >= 0.5).astype(np.float32)))
    np.testing.assert_array_equal(ops.convert_to_numpy(binarized(images)), expected)
    assert set(binarized.endpoints()) == {"logits", "features", "attack_logits"}
    binarized.binarize.steepness = 1e4
    np.testing.assert_allclose(ops.convert_to_numpy(binarized.endpoints()["attack_logits"](images)), expected, rtol=1e-3)


def test_training_gives_every_weight_a_gradient() -> None:
    model = drawn_model()
    images = random_images(model)
    with tf.GradientTape() as tape:
        first = model(images, training=True)
        total = tf.reduce_sum(first * np.random.default_rng(0).normal(size=first.shape))
    for weight, gradient in zip(model.trainable_weights, tape.gradient(total, model.trainable_weights), strict=True):
        assert np.any(gradient), weight.path
    assert np.any(ops.convert_to_numpy(first) != ops.convert_to_numpy(model(images, training=True)))


def test_config_round_trip_and_export(tmp_path: object) -> None:
    model = drawn_model(class_scales=(1.0, 0.9, 1.1), latents=40)
    config = json.loads(json.dumps(model.get_config()))
    assert config == model.get_config()
    copy = create_model("AnalysisBySynthesis", config)
    copy.set_weights(model.get_weights())
    images = random_images(model)
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(images)), ops.convert_to_numpy(model(images)))
    saved = tf.saved_model.load(str(cz.export_model(model, tmp_path / "model" / "1")))
    np.testing.assert_allclose(saved.logits(images), model(images), rtol=1e-4)
    for name, values in model.features(images).items():
        np.testing.assert_allclose(saved.features(images)[name], values, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(saved.logits(images[:1]), saved.logits(images)[:1], rtol=1e-4)


@pytest.mark.slow
def test_jax_gives_the_same_logits(tmp_path: object) -> None:
    pytest.importorskip("jax")
    model = drawn_model(latents=2, descent_steps=1)
    np.savez(tmp_path / "weights.npz", *model.get_weights())
    program = """
import sys, numpy as np, jax
from keras import ops
from tests.zoo.families import small_model, random_images
model = small_model("ABS", latents=2, descent_steps=1)
model.set_weights(list(np.load(sys.argv[1]).values()))
images = random_images(model)
def total(x):
    logits = model(x)
    return ops.sum(logits[:, 0]), logits
(_, logits), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(images)
np.savez(sys.argv[2], logits=np.asarray(logits), gradient=np.asarray(gradient))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "weights.npz"), str(tmp_path / "found.npz")]
    subprocess.run(command, check=True, env={**os.environ, "KERAS_BACKEND": "jax"})
    found, images = np.load(tmp_path / "found.npz"), tf.constant(random_images(model))
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images)
        total = tf.reduce_sum(logits[:, 0])
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-4)
    np.testing.assert_allclose(found["gradient"], tape.gradient(total, images), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latents": 0, "encoder_start": False}, r"Expected `latents` >= 1 or `encoder_start`.*Received: latents=0"),
        ({"encoder_maps": (1, 2)}, "Expected as many encoder maps as kernels and strides"),
        ({"class_scales": (1.0,)}, "Expected `class_scales` of 10 classes. Received: 1 values"),
        ({"image_shape": (27, 27, 1)}, "lead to images of size 27"),
    ],
)
def test_errors(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS["AnalysisBySynthesis"](**options)
