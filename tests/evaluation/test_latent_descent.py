"""Latent descent where the boundary is known, and the models that it is meant for."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation import reconstructions
from cortexzoo.evaluation.attacks import Batch, LatentDescent
from cortexzoo.evaluation.attacks.latent_descent import reconstructs
from cortexzoo.evaluation.attacks.registry import build_attack
from cortexzoo.evaluation.classifier import Classifier, ClassifierError
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.suites import find
from cortexzoo.evaluation.suites.strong import STRONG
from tests.evaluation.evaluations import evaluation_of
from tests.evaluation.small_models import TINY, save_classifier

# What each class makes of any image: three gray levels.
LEVELS = np.array([0.1, 0.5, 0.9], np.float32)


def logits(images: tf.Tensor) -> tf.Tensor:
    """The class whose gray image is the nearest wins."""
    return -tf.reduce_sum((images[:, None] - LEVELS[:, None, None, None]) ** 2, axis=(2, 3, 4))


def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
    gray = tf.ones_like(images[:, None]) * LEVELS[:, None, None, None]
    return {"logits": logits(images), "reconstructions": tf.reshape(gray, (-1, 3, 16))}


@pytest.fixture(scope="module")
def synthesis(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    path = save_classifier(tmp_path_factory.mktemp("synthesis") / "1", logits, TINY.image_shape, features=features)
    return Classifier(path, TINY, np.zeros((2, *TINY.image_shape), np.float32))


def gray_batch() -> Batch:
    images = np.broadcast_to(np.array([0.1, 0.2, 0.45, 0.85], np.float32)[:, None, None, None], (4, 4, 4, 1)).copy()
    return Batch(images, np.array([0, 0, 1, 2]), np.arange(4), 0)


def test_the_boundary_is_reached(synthesis: Classifier) -> None:
    """The line to another gray crosses halfway between the two grays: no attack comes nearer."""
    batch = gray_batch()
    images = LatentDescent().run(synthesis, "logits", batch)
    assert synthesis.misclassifies(images, batch.labels).all()
    reached = np.sqrt(np.sum((images - batch.images) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(reached, 4 * np.array([0.2, 0.1, 0.15, 0.15]), rtol=5e-3)


def test_the_likeliest_class_alone(synthesis: Classifier) -> None:
    """One class suffices where it is the nearest, and too few steps reach nothing."""
    batch = gray_batch()
    alone, several = (LatentDescent(target_classes=n).run(synthesis, "logits", batch) for n in (1, 3))
    np.testing.assert_allclose(alone, several, atol=1e-3)
    few = LatentDescent(steps=1, step=0.01).run(synthesis, "logits", batch)
    np.testing.assert_array_equal(few, batch.images)


def test_models_without_reconstructions_are_refused(tiny_classifier: Classifier, tmp_path: Path) -> None:
    assert not reconstructs(tiny_classifier)
    batch = gray_batch()
    with pytest.raises(ClassifierError, match="Expected an endpoint `features` that gives 'reconstructions'"):
        LatentDescent().run(tiny_classifier, "logits", batch)
    # One reconstruction of the image is no reconstruction by each class.
    path = save_classifier(tmp_path / "1", logits, TINY.image_shape, features=lambda x: {"reconstructions": x[:, None]})
    assert not reconstructs(Classifier(path, TINY, batch.images[:2]))


def test_settings() -> None:
    assert isinstance(build_attack("latent_descent", "l2", None, 1.0, steps=3), LatentDescent)
    with pytest.raises(ValueError, match=r"`step` must be above 0 and at most 1. Received: step=0.0"):
        LatentDescent(step=0.0)
    with pytest.raises(ValueError, match="`norm` of LatentDescent"):
        LatentDescent(norm="linf")


def test_strong_takes_it_where_the_model_reconstructs(
    synthesis: Classifier, tiny_classifier: Classifier, tiny: Split
) -> None:
    for classifier, expected in ((synthesis, True), (tiny_classifier, False)):
        with Store(":memory:") as store:
            evaluation = evaluation_of(store, classifier, TINY, tiny)
            find("clean").run(evaluation)
            assert not any("Latent" in member.label for member in STRONG.members(evaluation))
            reconstructions.examine(evaluation)
            assert any(member.label == "Latent descent L2" for member in STRONG.members(evaluation)) == expected
