"""A classifier's batch limit holds inside attacks that make many images of one, and changes no result."""

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.evaluation.attacks import SPSA, Attack, Batch, BoundaryAttack, GaussianBlur
from cortexzoo.evaluation.attacks.batching import at_most, in_parts
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results import diagnostics

ATTACKS = [SPSA(epsilon=0.1, steps=5, directions=4), BoundaryAttack(steps=30), GaussianBlur(norm="l2", steps=50)]


@pytest.fixture
def limited(tiny_path: str, tiny_classifier: Classifier) -> Classifier:
    """The tiny classifier, which takes three images at a time."""
    probe = np.full((2, *tiny_classifier.image_shape), 0.5, np.float32)
    return Classifier(tiny_path, tiny_classifier.dataset, probe, batch_limit=3)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_results_do_not_depend_on_the_limit(
    attack: Attack, limited: Classifier, tiny_classifier: Classifier, tiny_batch: Batch
) -> None:
    part = tiny_batch.take(np.arange(3))
    expected, found = (attack.run(classifier, "logits", part) for classifier in (tiny_classifier, limited))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_no_more_images_at_a_time_than_the_limit(limited: Classifier) -> None:
    sizes = []

    def logits(images: tf.Tensor) -> tf.Tensor:
        tf.py_function(lambda images: sizes.append(len(images)), [images], [])
        return tf.reshape(images, (-1, 16))[:, :3]

    images = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    found = tf.function(in_parts(limited, logits), input_signature=[tf.TensorSpec((None, 4, 4, 1))], autograph=False)(images)
    np.testing.assert_array_equal(found, images.reshape(8, 16)[:, :3])
    assert sizes == [3, 3, 2]


def test_without_a_limit_nothing_is_changed(tiny_classifier: Classifier, limited: Classifier) -> None:
    logits = tiny_classifier.endpoint("logits")
    assert in_parts(tiny_classifier, logits) is logits
    assert at_most(tiny_classifier, 500) == 500
    assert at_most(limited, 500) == 3
    assert at_most(limited, 2) == 2


def test_diagnostics_heed_the_limit(limited: Classifier, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    shares = {diagnostics.zero_gradient_share(one, "logits", tiny_batch) for one in (limited, tiny_classifier)}
    assert shares == {0.0}
