"""Attacks on models that threshold their input, against all patterns that tiny images can show them."""

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.evaluation.attacks import Attack, Batch, ThresholdAscent, ThresholdFlips
from cortexzoo.evaluation.attacks.threshold_flips import Sides, walk
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from cortexzoo.norms import NORMS
from tests.evaluation.small_models import TINY, random_network, save_classifier

THRESHOLD = 0.3
PATTERNS = np.array(list(itertools.product((False, True), repeat=16)))
NETWORK = random_network(np.random.default_rng(5), 16, 12, TINY.num_classes, scale=3.0)
# Of each norm one that breaks some of the images and not all.
EPSILONS = {"linf": 0.15, "l2": 0.15, "l1": 0.15, "l0": 1}
BOTH = (ThresholdFlips, ThresholdAscent)
every_norm = pytest.mark.parametrize("norm", NORMS)
both_attacks = pytest.mark.parametrize("kind", BOTH)


def is_above(images: Any) -> Any:
    return tf.cast(images >= THRESHOLD, tf.float32)


def straight_through(images: tf.Tensor) -> tf.Tensor:
    return tf.stop_gradient(is_above(images) - images) + images


@pytest.fixture(scope="module")
def thresholded(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A small network behind a threshold, with a straight-through gradient, and a steep sigmoid as its surrogate."""
    path = save_classifier(
        tmp_path_factory.mktemp("thresholded") / "1",
        lambda images: NETWORK(straight_through(images)),
        TINY.image_shape,
        NETWORK.variables,
        attack_logits=lambda images: NETWORK(tf.sigmoid(10 * (images - THRESHOLD))),
    )
    return Classifier(path, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


@pytest.fixture(scope="module")
def batch(thresholded: Classifier) -> Batch:
    """Thirty images, none of them close to another class."""
    images = np.random.default_rng(5).random((1000, *TINY.image_shape), np.float32)
    labels = thresholded.predict(images)
    chosen = np.argsort(thresholded.loses_by(images, labels))[:300:10]
    return Batch(images[chosen], labels[chosen], chosen, 0)


def can_be_broken(batch: Batch, norm: str, epsilon: float) -> np.ndarray:
    """Whether any pattern within epsilon is of another class, by trying all of them."""
    predicted = NETWORK(tf.constant(PATTERNS, tf.float32)).numpy().argmax(axis=1)
    just_below = np.nextafter(np.float32(THRESHOLD), np.float32(0))
    found = []
    for image, label in zip(batch.images, batch.labels, strict=True):
        flips = PATTERNS.reshape(-1, *TINY.image_shape) != (image >= np.float32(THRESHOLD))
        shown = np.where(flips, np.where(image >= np.float32(THRESHOLD), just_below, np.float32(THRESHOLD)), image)
        within = distances(np.broadcast_to(image, shown.shape), shown, norm) <= epsilon * (1 + 1e-6)
        found.append(np.any(predicted[within] != label))
    return np.array(found)


def attack_of(kind: type[Attack], norm: str, **options: Any) -> Attack:
    return kind(norm=norm, threshold=THRESHOLD, **{"epsilon": EPSILONS[norm]} | options)


def misclassified(attack: Attack, classifier: Classifier, batch: Batch, endpoint: str = "logits") -> np.ndarray:
    return classifier.misclassifies(attack.run(classifier, endpoint, batch), batch.labels)


@every_norm
@both_attacks
def test_everything_that_can_be_broken_is(kind: type[Attack], norm: str, thresholded: Classifier, batch: Batch) -> None:
    expected = can_be_broken(batch, norm, EPSILONS[norm])
    assert 3 < expected.sum() < 27
    np.testing.assert_array_equal(misclassified(attack_of(kind, norm), thresholded, batch), expected)


@every_norm
@pytest.mark.parametrize("endpoint", ["logits", "attack_logits"])
def test_the_ascent_alone_finds_half(endpoint: str, norm: str, thresholded: Classifier, batch: Batch) -> None:
    found = misclassified(attack_of(ThresholdAscent, norm, flips=0), thresholded, batch, endpoint)
    assert found.sum() >= 0.5 * can_be_broken(batch, norm, EPSILONS[norm]).sum()


@every_norm
@both_attacks
def test_values_move_within_epsilon_and_just_past_the_threshold(
    kind: type[Attack], norm: str, thresholded: Classifier, batch: Batch
) -> None:
    images = attack_of(kind, norm).run(thresholded, "logits", batch)
    assert distances(batch.images, images, norm).max() <= EPSILONS[norm] * (1 + 1e-5)
    flipped = (images >= np.float32(THRESHOLD)) != (batch.images >= np.float32(THRESHOLD))
    np.testing.assert_array_equal(images[~flipped], batch.images[~flipped])
    np.testing.assert_allclose(images[flipped], THRESHOLD, atol=1e-6)
    assert flipped.any()


@both_attacks
def test_a_sample_does_not_depend_on_its_batch(kind: type[Attack], thresholded: Classifier, batch: Batch) -> None:
    attack = attack_of(kind, "linf", epsilon=0.12)
    together = attack.run(thresholded, "logits", batch)
    np.testing.assert_array_equal(attack.run(thresholded, "logits", batch), together)
    parts = [attack.run(thresholded, "logits", batch.take(rows)) for rows in (slice(0, 1), slice(1, 9), slice(9, 30))]
    np.testing.assert_array_equal(np.concatenate(parts), together)


def test_walks_leave_local_optima(thresholded: Classifier, batch: Batch) -> None:
    """With a path of more flips than the shortest there is something to find, from the image alone."""
    few, many = (misclassified(attack_of(ThresholdFlips, "linf", steps=n, walks=1), thresholded, batch) for n in (2, 60))
    assert not np.any(few & ~many)
    assert few.sum() < many.sum()


def test_without_any_gradient_the_ascent_is_random(tmp_path: Any, batch: Batch) -> None:
    path = save_classifier(tmp_path / "1", lambda images: NETWORK(is_above(images)), TINY.image_shape, NETWORK.variables)
    classifier = Classifier(path, TINY, batch.images[:2])
    assert misclassified(attack_of(ThresholdAscent, "linf", flips=0), classifier, batch).sum() > 3


def test_tiny_gradients_are_followed(tmp_path: Any, batch: Batch) -> None:
    tiny = lambda images: 1e-30 * NETWORK(straight_through(images))  # noqa: E731
    path = save_classifier(tmp_path / "1", tiny, TINY.image_shape, NETWORK.variables)
    classifier = Classifier(path, TINY, batch.images[:2])
    found = misclassified(attack_of(ThresholdAscent, "l2", flips=0), classifier, batch)
    assert found.sum() >= 0.7 * can_be_broken(batch, "l2", EPSILONS["l2"]).sum()


@both_attacks
def test_a_batch_limit_changes_nothing(kind: type[Attack], thresholded: Classifier, batch: Batch) -> None:
    limited = Classifier(thresholded.path, TINY, batch.images[:2], batch_limit=3)
    fewer = {"steps": 6, "walks": 2}
    attack, part = attack_of(kind, "l1", **fewer), batch.take(np.arange(6))
    expected, found = (attack.run(classifier, "logits", part) for classifier in (thresholded, limited))
    np.testing.assert_array_equal(found, expected)


def test_a_second_channel_of_a_pixel_is_free_in_l0() -> None:
    sides = Sides(np.full((1, 1, 2, 3), 0.4, np.float32), 0.5, "l0", 1)
    none, one = np.zeros((1, 6), bool), np.eye(6, dtype=bool)[:1]
    np.testing.assert_array_equal(sides.possible(np.arange(1), none), [[True] * 6])
    np.testing.assert_array_equal(sides.possible(np.arange(1), one), [[True] * 3 + [False] * 3])


def test_no_value_leaves_the_box() -> None:
    """All values are above a threshold of 0: there is no other side."""
    sides = Sides(np.full((1, 1, 2, 1), 0.4, np.float32), 0.0, "linf", 1.0)
    assert not sides.possible(np.arange(1), np.zeros((1, 2), bool)).any()


def test_a_walk_without_a_way_ends(thresholded: Classifier, batch: Batch) -> None:
    sides = Sides(batch.images, THRESHOLD, "linf", 1e-9)
    images = walk(thresholded, batch, sides, np.zeros((len(batch), 2, 16), bool), 5)
    np.testing.assert_array_equal(images, batch.images)
