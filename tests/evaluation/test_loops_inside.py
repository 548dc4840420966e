"""Recurrent networks and attention by scan: TensorFlow differentiates a loop of a SavedModel in one way only.

Once it was differentiated eagerly, or twice in one pass, it cannot be differentiated in a graph any more, and the other way
round. Every gradient is taken in a compiled function, once for each forward pass.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import cortexzoo as cz
from cortexzoo import datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation.analysis.tools import networks
from cortexzoo.evaluation.attacks import (
    LBFGS,
    SPSA,
    Attack,
    Batch,
    BrendelBethge,
    CarliniWagnerL2,
    DecoupledDirectionNorm,
    DeepFool,
    ElasticNet,
    FoolboxAttack,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
    RescaledGradientAttack,
    SparseL1Descent,
)
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results import diagnostics
from cortexzoo.evaluation.shifts import FastGradientTransfer, ProjectedGradient
from tests.evaluation.small_models import correct_batch, save_classifier

# One of each way of using a gradient.
ATTACKS = [
    ProjectedGradientDescent(norm="linf", epsilon=0.2, rounds=1, steps=3),
    MomentumIterativeMethod(norm="l2", epsilon=1.0, rounds=1, steps=3, loss="margin"),
    SparseL1Descent(epsilon=5.0, rounds=1, steps=3),
    DeepFool(norm="l2", steps=2),
    DecoupledDirectionNorm(steps=3),
    CarliniWagnerL2(search_steps=1, steps=3),
    ElasticNet(search_steps=1, steps=3),
    BrendelBethge(norm="l2", steps=3),
    RescaledGradientAttack(epsilons=(0.2,), steps=3),
    LBFGS(rounds=1, iterations=2, targets=1),
    SPSA(epsilon=0.2, steps=2, directions=2),
]
LEVEL = 0.1


def recurrent() -> keras.Model:
    layers = keras.layers
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Reshape((28, 28)), layers.GRU(16), layers.Dense(10)])


def attention() -> keras.Model:
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    rows = layers.Reshape((28, 28))(image)
    return keras.Model(image, layers.Dense(10)(layers.Flatten()(layers.MultiHeadAttention(2, 4)(rows, rows))))


@pytest.fixture(scope="module", params=[recurrent, attention], ids=lambda build: build.__name__)
def looped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Classifier]:
    """Loads a network anew."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("looped") / "1"
    cz.export_model(request.param(), path)
    return lambda: Classifier(path, datasets.info("mnist"), images_of(2))


def images_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 28, 28, 1), np.float32)


def batch_of(classifier: Classifier) -> Batch:
    images = images_of(20)
    return correct_batch(classifier, Split(images, classifier.predict(images), np.arange(20)), 2)


def differentiate(classifier: Classifier, batch: Batch, attack: Attack) -> None:
    batch.check(attack.run(classifier, "logits", batch), attack.name)


def test_attacks_diagnostics_and_jacobian_share_a_model(looped: Callable[[], Classifier]) -> None:
    classifier = looped()
    batch = batch_of(classifier)
    differentiate(classifier, batch, ATTACKS[0])
    assert 0.0 <= diagnostics.zero_gradient_share(classifier, "logits", batch) <= 1.0
    for attack in ATTACKS[1:]:
        differentiate(classifier, batch, attack)
    shifts = [
        ProjectedGradient(norm="linf", levels=(LEVEL,), steps=2),
        FastGradientTransfer(source=classifier.path, digest=classifier.digest, dataset=classifier.dataset, levels=(LEVEL,)),
    ]
    for shift in shifts:
        batch.check(shift.apply(classifier, batch, LEVEL), shift.name)
    logits, jacobian = networks.logits_and_jacobian(classifier, batch.images)
    assert jacobian.shape == (*logits.shape, 784)
    assert np.all(np.isfinite(jacobian))
    differentiate(classifier, batch, ATTACKS[0])


@pytest.mark.filterwarnings("ignore")
def test_foolbox_shares_it_too(looped: Callable[[], Classifier]) -> None:
    pytest.importorskip("foolbox")
    classifier = looped()
    batch = batch_of(classifier)
    attack = FoolboxAttack(algorithm="DDNAttack", norm="l2", options=(("steps", 2),))
    for one in (attack, ATTACKS[0], attack):
        differentiate(classifier, batch, one)


def test_attention_by_scan(tmp_path: Path) -> None:
    """A softmax over keys that is accumulated key by key."""
    keys = tf.Variable(np.random.default_rng(0).standard_normal((5, 16)), dtype=tf.float32)

    def logits(images: tf.Tensor) -> tf.Tensor:
        queries = tf.reshape(images, (-1, 16))

        def add(total: tuple[tf.Tensor, tf.Tensor], key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            weight = tf.exp(tf.linalg.matvec(queries, key))[:, None]
            return total[0] + weight * key, total[1] + weight

        start = (tf.zeros_like(queries), tf.zeros_like(queries[:, :1]))
        sums, weights = (values[-1] for values in tf.scan(add, keys, start))
        return (sums / weights)[:, :3]

    path = save_classifier(tmp_path / "1", logits, (4, 4, 1), [keys])
    info = datasets.DatasetInfo("tiny", "tiny", (4, 4, 1), ("a", "b", "c"), 40)
    images = np.random.default_rng(0).random((20, 4, 4, 1), np.float32)
    classifier = Classifier(path, info, images[:2])
    batch = correct_batch(classifier, Split(images, classifier.predict(images), np.arange(20)), 3)
    for attack in ATTACKS:
        differentiate(classifier, batch, attack)
    assert diagnostics.zero_gradient_share(classifier, "logits", batch) == 0.0


def test_quick_ends_with_a_table() -> None:
    images = images_of(8)
    result = cz.evaluate(recurrent(), images, np.arange(8) % 10, suite="quick", epsilons={"linf": 0.1, "l2": 1, "l1": 5})
    assert "PGD" in str(result)
