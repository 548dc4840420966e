"""A hard input threshold is found by asking the model, and nothing else is taken for one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.input_threshold import examine, input_threshold
from cortexzoo.evaluation.results.store import Store
from tests.evaluation.evaluations import evaluation_of
from tests.evaluation.small_models import TINY, random_network, save_classifier, tiny_split

NETWORK = random_network(np.random.default_rng(0), 16, 12, TINY.num_classes)
IMAGES = np.random.default_rng(1).random((8, *TINY.image_shape), np.float32)


def at(threshold: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """The network on an image of black and white."""
    return lambda images: NETWORK(tf.cast(images >= threshold, tf.float32))


OTHERS = {
    "undefended": NETWORK,
    "rounded logits": lambda images: tf.round(NETWORK(images)),
    "two thresholds": lambda images: NETWORK(tf.cast(images >= 0.3, tf.float32) + tf.cast(images >= 0.7, tf.float32)),
    "dead zone": lambda images: NETWORK(tf.clip_by_value((images - 0.3) / 0.4, 0.0, 1.0)),
    "a threshold and the image": lambda images: at(0.5)(images) + 0.01 * NETWORK(images),
    "constant": lambda images: tf.zeros_like(NETWORK(images)) + tf.constant([1.0, 0.0, 0.0]),
}


def saved(path: Path, logits: Callable) -> Classifier:
    """The model as a SavedModel."""
    return Classifier(save_classifier(path / "1", logits, TINY.image_shape, NETWORK.variables), TINY, IMAGES[:2])


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.123])
def test_a_threshold_is_found(tmp_path: Path, threshold: float) -> None:
    found = input_threshold(saved(tmp_path, at(threshold)), IMAGES)
    # To the last bit: just below it is on the other side.
    assert found == np.float32(threshold)


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_a_threshold(tmp_path: Path, name: str) -> None:
    assert input_threshold(saved(tmp_path, OTHERS[name]), IMAGES) is None


def test_the_models_of_the_catalogue(digits: Split) -> None:
    for name, expected in (("mnist/bicnn", 0.5), ("mnist/bidim", 0.5), ("mnist/cnn", None)):
        classifier = Classifier(catalog.verified_saved_model(name), datasets.info("mnist"), digits.images[:2])
        assert input_threshold(classifier, digits.images[:16]) == expected


def test_it_is_examined_once(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = saved(tmp_path, at(0.5))
    evaluation = evaluation_of(store, classifier, TINY, tiny_split(classifier.serving_logits))
    assert evaluation.input_threshold is None
    examine(evaluation)
    assert evaluation.input_threshold == 0.5
    monkeypatch.setattr(classifier, "serving_logits", lambda images: pytest.fail("asked again"))
    examine(evaluation)
