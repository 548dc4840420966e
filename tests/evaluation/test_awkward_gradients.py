"""Attacks where a gradient is no number or zero, and where nothing is left to attack."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.evaluation.attacks import (
    LBFGS,
    SPSA,
    Attack,
    Batch,
    CarliniWagnerL2,
    DecoupledDirectionNorm,
    DeepFool,
    ElasticNet,
    GradientAttack,
    ProjectedGradientDescent,
    RescaledGradientAttack,
)
from cortexzoo.evaluation.attacks.tensors import LOSSES, clearly_wrong, loss_values
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results import diagnostics
from tests.evaluation.small_models import TINY, correct_batch, random_network, reached, save_classifier, tiny_split


def test_no_restart_is_of_no_images(tiny_classifier: Classifier, tiny_batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions refuse a batch of none, and the first start may break all."""
    sizes, ascend = [], GradientAttack._ascend

    def counted(self: GradientAttack, classifier: Classifier, endpoint: str, batch: Batch, *rest: object) -> np.ndarray:
        sizes.append(len(batch))
        return ascend(self, classifier, endpoint, batch, *rest)

    monkeypatch.setattr(GradientAttack, "_ascend", counted)
    attack = ProjectedGradientDescent(norm="linf", epsilon=1.0, rounds=1, restarts=3)
    assert np.all(np.isfinite(reached(attack, tiny_classifier, tiny_batch)))
    assert sizes == [len(tiny_batch)]


@pytest.fixture(scope="module")
def rooted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Batch]:
    """A network of square roots: its logits are finite, and its gradient is no number in every dark pixel."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)

    def logits(images: tf.Tensor) -> tf.Tensor:
        return network(tf.sqrt(tf.nn.relu(images - 0.4)))

    path = save_classifier(tmp_path_factory.mktemp("rooted") / "1", logits, TINY.image_shape, network.variables)
    split = tiny_split(lambda images: logits(images).numpy())
    classifier = Classifier(path, TINY, split.images[:2])
    return classifier, correct_batch(classifier, split, 16)


@pytest.mark.parametrize(
    "attack",
    [
        ProjectedGradientDescent(norm="l2", epsilon=1.0),
        ProjectedGradientDescent(norm="linf", epsilon=0.3, loss="margin"),
        DecoupledDirectionNorm(),
        DeepFool(norm="l2"),
        DeepFool(norm="linf"),
        CarliniWagnerL2(search_steps=6, steps=200),
        ElasticNet(search_steps=6, steps=200),
    ],
    ids=lambda attack: f"{attack.name} {attack.norm}",
)
def test_gradient_that_is_no_number_in_some_pixels_serves_in_the_others(
    attack: Attack, rooted: tuple[Classifier, Batch]
) -> None:
    classifier, batch = rooted
    assert diagnostics.zero_gradient_share(classifier, "logits", batch) == 1.0, "the report has to warn of it"
    assert np.mean(np.isfinite(reached(attack, classifier, batch))) > 0.8


@pytest.fixture(scope="module")
def undefined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Batch]:
    """Class 0 wins everywhere; where a pixel is brighter than 0.9 the logits are no numbers."""

    def logits(images: tf.Tensor) -> tf.Tensor:
        values = tf.stack([1.0 - 0.01 * tf.reduce_mean(images, (1, 2, 3)), *[tf.zeros(tf.shape(images)[0])] * 2], axis=-1)
        return tf.where(tf.reduce_max(images, (1, 2, 3))[:, None] > 0.9, np.nan, values)

    path = save_classifier(tmp_path_factory.mktemp("undefined") / "1", logits, TINY.image_shape)
    images = np.random.default_rng(0).uniform(0.2, 0.8, (8, *TINY.image_shape)).astype(np.float32)
    return Classifier(path, TINY, images), Batch(images, np.zeros(8, np.int64), np.arange(8), 0)


def test_logits_that_are_no_numbers_are_wrong(undefined: tuple[Classifier, Batch]) -> None:
    classifier, batch = undefined
    white = np.ones_like(batch.images)
    assert classifier.predict(np.concatenate([batch.images[:1], white[:1]])).tolist() == [0, classifier.num_classes]
    np.testing.assert_array_equal(classifier.misclassifies(white, batch.labels), True)
    np.testing.assert_array_equal(classifier.loses_by(white, batch.labels), np.inf)
    assert not classifier.misclassifies(batch.images, batch.labels).any()
    assert np.all(np.isfinite(classifier.loses_by(batch.images, batch.labels)))
    for images in (white, batch.images):
        compiled = clearly_wrong(classifier.endpoint("logits")(tf.constant(images)), tf.constant(batch.labels))
        np.testing.assert_array_equal(compiled.numpy(), classifier.misclassifies(images, batch.labels))


def test_attacks_find_logits_that_are_no_numbers(undefined: tuple[Classifier, Batch]) -> None:
    classifier, batch = undefined
    found = reached(ProjectedGradientDescent(norm="linf", epsilon=0.5), classifier, batch)
    np.testing.assert_allclose(found, 0.9 - batch.images.max(axis=(1, 2, 3)), atol=0.02)


def test_ddn_leaves_a_place_without_a_gradient(tmp_path: Path) -> None:
    """Flat around every image, as in Foolbox' own: a random step finds the slope beyond."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)

    def logits(images: tf.Tensor) -> tf.Tensor:
        distance = images - 0.5
        return network(0.5 + tf.sign(distance) * tf.nn.relu(tf.abs(distance) - 0.05))

    path = save_classifier(tmp_path / "1", logits, TINY.image_shape, network.variables)
    images = np.full((1, *TINY.image_shape), 0.5, np.float32)
    classifier = Classifier(path, TINY, images.repeat(2, axis=0))
    batch = Batch(images, classifier.predict(images), np.arange(1), 0)
    assert diagnostics.zero_gradient_share(classifier, "logits", batch) == 1.0
    assert np.all(np.isfinite(reached(DecoupledDirectionNorm(), classifier, batch)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_logits_of_any_precision_are_attacked(dtype: str, tmp_path: Path) -> None:
    """The network computes in this type, and gives logits of it."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    (first, _), (second, _) = ([tf.cast(values, dtype) for values in layer] for layer in network.layers)

    def logits(images: tf.Tensor) -> tf.Tensor:
        return tf.tanh(tf.cast(tf.reshape(images, (-1, 16)) - 0.5, dtype) @ first) @ second

    path = save_classifier(tmp_path / "1", logits, TINY.image_shape)
    split = tiny_split(lambda images: tf.cast(logits(images), tf.float32).numpy())
    classifier = Classifier(path, TINY, split.images[:2])
    batch = correct_batch(classifier, split, 8)
    assert diagnostics.zero_gradient_share(classifier, "logits", batch) == 0.0, "a false alarm"
    for attack in (
        ProjectedGradientDescent(norm="linf", epsilon=0.3),
        DeepFool(norm="l2"),
        CarliniWagnerL2(search_steps=6, steps=100),
        ElasticNet(search_steps=6, steps=100),
        SPSA(epsilon=0.3, steps=40, directions=8),
        RescaledGradientAttack(epsilons=(0.3,), steps=20),
        LBFGS(rounds=1, iterations=30, rescale=True, constant=1e-3),
    ):
        assert np.mean(np.isfinite(reached(attack, classifier, batch))) > 0.8, attack.name


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_not_taken_in_half_precision(loss: str, dtype: str) -> None:
    """A cross-entropy of 1e-4 is 0 there, and a factor on it soon infinite."""
    values = loss_values(tf.constant([[9.0, 0.0, 0.0]], dtype), tf.constant([0], tf.int64), loss)
    assert values.dtype == tf.float32
    assert values.numpy() != 0.0
