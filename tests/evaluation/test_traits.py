"""Thresholds and dead zones at the input are found by asking the model, and nothing else is taken for one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo import catalog, datasets
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.traits import dead_zone, input_threshold
from tests.conftest import load_split
from tests.evaluation.small_models import TINY, random_network, save_classifier

IMAGES = np.random.default_rng(7).random((3, *TINY.image_shape), np.float32)
NETWORK = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
Preparation = Callable[[tf.Tensor], tf.Tensor]


def classifier_of(path: Path, prepare: Preparation, after: Preparation = lambda logits: logits) -> Classifier:
    """A small network behind a function of its input, with another one of its logits."""
    saved = save_classifier(path / "1", lambda images: after(NETWORK(prepare(images))), TINY.image_shape, NETWORK.variables)
    return Classifier(saved, TINY, IMAGES)


def is_above(threshold: float) -> Preparation:
    return lambda images: tf.cast(images >= threshold, tf.float32)


def zone(low: float, high: float) -> Preparation:
    return lambda images: tf.clip_by_value((images - low) / (high - low), 0.0, 1.0)


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.02, 1.0])
def test_a_hard_threshold_is_found_to_the_last_digit(threshold: float, tmp_path: Path) -> None:
    classifier = classifier_of(tmp_path, is_above(threshold))
    assert np.float32(input_threshold(classifier, IMAGES)) == np.float32(threshold)
    assert dead_zone(classifier, IMAGES) is None


def test_a_value_at_a_strict_threshold_is_below(tmp_path: Path) -> None:
    classifier = classifier_of(tmp_path, lambda images: tf.cast(images > 0.5, tf.float32))
    assert np.float32(input_threshold(classifier, IMAGES)) == np.nextafter(np.float32(0.5), np.float32(1))


OTHERS: dict[str, tuple[Preparation, Preparation]] = {
    "undefended": (lambda images: images, lambda logits: logits),
    "three levels": (lambda images: tf.round(2 * images) / 2, lambda logits: logits),
    "rounded logits": (lambda images: images, tf.round),
    "finely rounded logits": (lambda images: images, lambda logits: tf.round(20 * logits) / 20),
    "large logits": (lambda images: images, lambda logits: 1000 * logits),
    "constant": (tf.zeros_like, lambda logits: logits),
    "random": (lambda images: images, lambda logits: logits + 0.1 * tf.random.normal(tf.shape(logits))),
    "half precision": (lambda images: images, lambda logits: tf.cast(tf.cast(logits, tf.float16), tf.float32)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_models_have_neither(kind: str, tmp_path: Path) -> None:
    classifier = classifier_of(tmp_path, *OTHERS[kind])
    assert input_threshold(classifier, IMAGES) is None
    assert dead_zone(classifier, IMAGES) is None


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.7), (0.2, 0.6), (0.1, 1.0), (0.0, 0.9)])
def test_a_dead_zone_is_found(low: float, high: float, tmp_path: Path) -> None:
    classifier = classifier_of(tmp_path, zone(low, high))
    np.testing.assert_allclose(dead_zone(classifier, IMAGES), (low, high), atol=1e-4)
    assert input_threshold(classifier, IMAGES) is None


def test_a_steep_sigmoid_is_no_threshold_but_flat_beside_it(tmp_path: Path) -> None:
    classifier = classifier_of(tmp_path, lambda images: tf.sigmoid(200 * (images - 0.5)))
    assert input_threshold(classifier, IMAGES) is None
    np.testing.assert_allclose(dead_zone(classifier, IMAGES), (0.45, 0.55), atol=0.02)


@pytest.mark.parametrize(("name", "expected"), [("bicnn", 0.5), ("bidim", 0.5), ("cnn", None)])
def test_catalogued_models(name: str, expected: float | None) -> None:
    images = load_split("mnist", "test").images[:4]
    classifier = Classifier(catalog.verified_saved_model(f"mnist/{name}"), datasets.info("mnist"), images)
    assert input_threshold(classifier, images) == expected
    assert dead_zone(classifier, images) is None
