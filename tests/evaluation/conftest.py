"""Targets that several tests attack; each is written once a session."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo import datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Batch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results.store import Store
from tests.conftest import load_split
from tests.evaluation.small_models import TINY, correct_batch, dense, random_network, save_classifier, tiny_split


@pytest.fixture(scope="session")
def digits() -> Split:
    """The first 200 test images of MNIST."""
    return load_split("mnist", "test").first(200)


@pytest.fixture(scope="session")
def digits_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random tanh features and a least-squares classifier on them: about 90 % of MNIST, no training loop."""
    rng = np.random.default_rng(0)
    # Test images are decoded sooner than the training images, and no number here is about generalisation.
    test = load_split("mnist", "test")
    sample = Split(test.images[-3000:], test.labels[-3000:], test.ids[-3000:])
    pixels = sample.images.reshape(len(sample), -1)
    first = rng.standard_normal((784, 150)) / 10
    features = np.column_stack([np.tanh(pixels @ first), np.ones(len(sample))])
    wanted = np.eye(10)[sample.labels]
    second = np.linalg.solve(features.T @ features + np.eye(151), features.T @ wanted)
    # Least squares gives logits within about [0, 1]: the softmax of ten times these is neither flat nor saturated.
    network = dense((first, np.zeros(150)), (10 * second[:-1], 10 * second[-1]))
    path = tmp_path_factory.mktemp("digits") / "1"
    return save_classifier(path, network, (28, 28, 1), network.variables)


@pytest.fixture(scope="session")
def digits_classifier(digits_path: Path, digits: Split) -> Classifier:
    """The SavedModel of `digits_path`."""
    return Classifier(digits_path, datasets.info("mnist"), digits.images[:4])


@pytest.fixture(scope="session")
def digits_batch(digits_classifier: Classifier, digits: Split) -> Batch:
    """Twelve correctly classified digits."""
    return correct_batch(digits_classifier, digits, 12)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network on 4x4 images: gradients of few pixels, so that rounding hardly ever flips a sign."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    return save_classifier(tmp_path_factory.mktemp("tiny") / "1", network, TINY.image_shape, network.variables)


@pytest.fixture(scope="session")
def tiny_classifier(tiny_path: Path) -> Classifier:
    """The SavedModel of `tiny_path`."""
    return Classifier(tiny_path, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


@pytest.fixture(scope="session")
def tiny(tiny_classifier: Classifier) -> Split:
    """Tiny images with the labels that the tiny network gives them."""
    return tiny_split(tiny_classifier.serving_logits)


@pytest.fixture(scope="session")
def tiny_batch(tiny_classifier: Classifier, tiny: Split) -> Batch:
    """Sixteen tiny images."""
    return correct_batch(tiny_classifier, tiny, 16)


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store."""
    with Store(":memory:") as opened:
        yield opened


@pytest.fixture(scope="session")
def of_any_size(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Classifier, Batch]]:
    """One network with ordinary, tiny and huge logits."""
    network, found = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes), []
    split = tiny_split(lambda images: network(images).numpy())
    for scale in (1.0, 1e-30, 1e30):
        logits = lambda image, scale=scale: scale * network(image)  # noqa: E731
        path = save_classifier(tmp_path_factory.mktemp("size") / "1", logits, TINY.image_shape, network.variables)
        classifier = Classifier(path, TINY, split.images[:2])
        found.append((classifier, correct_batch(classifier, split, 8)))
    return found


@pytest.fixture(scope="session")
def behind_a_rounding(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Batch]:
    """`logits` has no gradient, and the decisions of its surrogate are wrong."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    path = save_classifier(
        tmp_path_factory.mktemp("rounding") / "1",
        lambda image: network(tf.round(255 * image) / 255),
        TINY.image_shape,
        network.variables,
        attack_logits=lambda image: network(image) + tf.constant([0.0, 0.0, 0.5]),
    )
    split = tiny_split(lambda images: network(images).numpy())
    classifier = Classifier(path, TINY, split.images[:2])
    return classifier, correct_batch(classifier, split, 16)
