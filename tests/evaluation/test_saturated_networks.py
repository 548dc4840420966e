"""Attacks on a network whose gradient underflows, although its boundary is as near as a linear one's.

For two classes, logits -+ (sigmoid(k m(x)) - 1/2) with a linear m decide by the sign of m alone: the L-infinity distance of
a sample far from the borders of the box is |m| / ||w||_1, whatever k. Where k |m| is in the hundreds, no float32 gradient
is left of it, one half of the float64 ones, and all of those that are computed without cancellation.
"""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import AutoPGD, Batch, BestOf, EpsilonGrid, FastGradientMethod, RescaledGradientAttack
from cortexzoo.evaluation.attacks.tensors import input_gradient
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from cortexzoo.evaluation.results import diagnostics
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.shifts import ProjectedGradient
from tests.evaluation.evaluations import evaluation_of
from tests.evaluation.small_models import TINY, reached, save_classifier

EPSILONS = (0.002, 0.004, 0.008, 0.016)
# float32: margins of 1e-2 with a rounding error of 1e-6.
BELOW = 2e-4
PROBABILITIES = FastGradientMethod(norm="linf", epsilon=0.3, loss="clipped_probabilities")


@dataclasses.dataclass(frozen=True)
class Saturated:
    """The network's classifier, its samples, and each one's distance."""

    classifier: Classifier
    batch: Batch
    truth: np.ndarray
    positive: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """The smallest epsilon of the grid at which each sample can be broken."""
        return np.array(EPSILONS)[np.searchsorted(EPSILONS, self.truth)]


def stable_sigmoid(z: tf.Tensor) -> tf.Tensor:
    """The sigmoid without cancellation: its automatic derivative is exp(-|z|) / (1 + exp(-|z|))^2."""
    small = tf.exp(-tf.abs(z))
    return tf.where(z > 0, 1 / (1 + small), small / (1 + small))


@pytest.fixture(scope="module")
def saturated(tmp_path_factory: pytest.TempPathFactory) -> Saturated:
    rng = np.random.default_rng(0)
    weights = tf.Variable(rng.standard_normal((16, 1)), dtype=tf.float32)
    images = rng.uniform(0.45, 0.55, (200, *TINY.image_shape)).astype(np.float32)
    exact = weights.numpy().astype(np.float64)
    margin = (images.reshape(-1, 16) - 0.5).astype(np.float64) @ exact
    # Of every sample |k m| lies between 110 and 600.
    chosen = np.flatnonzero((np.abs(margin[:, 0]) > 0.055) & (np.abs(margin[:, 0]) < 0.15))[:40]
    k = 2000.0

    def endpoint(sigmoid, dtype, softness=1.0):
        def logits(images: tf.Tensor) -> tf.Tensor:
            values = tf.cast(tf.reshape(images, (-1, 16)) - 0.5, dtype)
            z = k * (values @ tf.cast(weights, dtype))
            soft = tf.sigmoid(z / softness)
            hidden = sigmoid(z) if softness == 1.0 else tf.stop_gradient(sigmoid(z) - soft) + soft
            return tf.concat([0.5 - hidden, hidden - 0.5], axis=1)

        return logits

    path = save_classifier(
        tmp_path_factory.mktemp("saturated") / "1",
        endpoint(tf.sigmoid, tf.float32),
        TINY.image_shape,
        [weights],
        logits_float64=endpoint(tf.sigmoid, tf.float64),
        logits_stable=endpoint(stable_sigmoid, tf.float64),
        logits_softened=endpoint(tf.sigmoid, tf.float64, softness=100.0),
    )
    classifier = Classifier(path, dataclasses.replace(TINY, class_names=("a", "b")), images[:4])
    labels = (margin[:, 0] > 0).astype(np.int64)
    truth = np.abs(margin[:, 0]) / np.abs(exact).sum()
    # At a distance from the grid's sizes, where float32 would decide.
    between = np.all(np.abs(truth[chosen, None] / EPSILONS - 1) > 0.03, axis=1)
    chosen = chosen[between]
    assert EPSILONS[0] < truth[chosen].max() < EPSILONS[-1]
    assert 5 < labels[chosen].sum() < len(chosen) - 5
    return Saturated(classifier, Batch(images, labels, np.arange(200), 0).take(chosen), truth[chosen], labels[chosen] == 1)


def test_endpoints_are_those_of_the_model(saturated: Saturated, tiny_classifier: Classifier) -> None:
    assert saturated.classifier.endpoints == ("logits", "logits_float64", "logits_stable", "logits_softened")
    assert tiny_classifier.endpoints == ("logits",)


def test_naive_gradient_leaves_the_image_unchanged(saturated: Saturated) -> None:
    batch = saturated.batch
    images = EpsilonGrid(inner=PROBABILITIES, epsilons=(0.1, 0.3)).run(saturated.classifier, "logits", batch)
    np.testing.assert_array_equal(images, batch.images)


def test_share_of_zero_gradients(saturated: Saturated) -> None:
    with Store(":memory:") as store:
        split = Split(saturated.batch.images, saturated.batch.labels, saturated.batch.ids)
        evaluation = evaluation_of(store, saturated.classifier, TINY, split)
        store.set_check(saturated.classifier.digest, "tiny", "endpoints", list(saturated.classifier.endpoints))
        diagnostics.measure_gradients(evaluation, len(split))
        kept = diagnostics.zero_gradients(evaluation)
    assert {name: value["endpoint"] for name, value in kept.items()} == {
        "probabilities": "logits",
        "logits": "logits",
        "float64": "logits_float64",
        "stable": "logits_stable",
    }
    # 1 - sigmoid(z) is 0 in float64 from z = 37 on; on the other side sigmoid(z) itself is small, and exact.
    shares = {name: value["value"] for name, value in kept.items()}
    assert shares == {"probabilities": 1.0, "logits": 1.0, "float64": saturated.positive.mean(), "stable": 0.0}


@pytest.mark.parametrize("endpoint", ["logits_stable", "logits_softened"])
@pytest.mark.parametrize("loss", ["margin", "targeted_margin", "cross_entropy"])
def test_stabilised_gradient_reaches_the_true_distance(loss: str, endpoint: str, saturated: Saturated) -> None:
    attack = RescaledGradientAttack(epsilons=EPSILONS, steps=20, loss=loss)
    found = reached(attack, saturated.classifier, saturated.batch, endpoint)
    assert np.all(found >= saturated.truth * (1 - BELOW))
    level = np.array(EPSILONS)[np.searchsorted(np.array(EPSILONS) * (1 + 1e-5), found)]
    np.testing.assert_array_equal(level, saturated.levels)


@pytest.mark.parametrize("loss", ["cross_entropy", "targeted_margin"])
def test_auto_pgd_magnifies_the_gradient(loss: str, saturated: Saturated) -> None:
    for level in EPSILONS[1:3]:
        attack = AutoPGD(norm="linf", epsilon=level, loss=loss)
        found = reached(attack, saturated.classifier, saturated.batch, "logits_stable")
        np.testing.assert_array_equal(np.isfinite(found), saturated.truth < level)


def test_white_box_takes_the_worst_endpoint(saturated: Saturated) -> None:
    """The gradients of `logits` and `logits_float64` are no float32 here; that of `logits_softened` is one."""
    level = EPSILONS[-1]
    images = ProjectedGradient(norm="linf", levels=(level,)).apply(saturated.classifier, saturated.batch, level)
    broken = saturated.classifier.predict(images) != saturated.batch.labels
    np.testing.assert_array_equal(broken, saturated.truth < level)


def test_float64_alone_reaches_those_that_do_not_cancel(saturated: Saturated) -> None:
    attack = RescaledGradientAttack(epsilons=EPSILONS[-1:], steps=1, relative_step=2.0)
    one_step = reached(attack, saturated.classifier, saturated.batch, "logits_float64")
    assert np.all(np.isfinite(one_step[~saturated.positive]))
    # The others go in a random direction.
    assert np.mean(np.isfinite(one_step[saturated.positive])) < 0.7


def test_more_restarts_and_steps_are_never_weaker(saturated: Saturated) -> None:
    weak = RescaledGradientAttack(epsilons=EPSILONS, steps=3)
    found = [
        reached(attack, saturated.classifier, saturated.batch, "logits_float64")
        for attack in (
            weak,
            dataclasses.replace(weak, restarts=3),
            BestOf(attacks=(weak, dataclasses.replace(weak, steps=9))),
        )
    ]
    assert np.all(found[1] <= found[0])
    assert np.all(found[2] <= found[0])


def test_a_sample_does_not_depend_on_its_batch(saturated: Saturated) -> None:
    attack, few = RescaledGradientAttack(epsilons=EPSILONS, steps=6), np.array([7, 2])
    whole = attack.run(saturated.classifier, "logits_stable", saturated.batch)
    part = attack.run(saturated.classifier, "logits_stable", saturated.batch.take(few))
    np.testing.assert_allclose(part, whole[few], atol=1e-6)
    assert np.all(distances(saturated.batch.images, whole, "linf") <= EPSILONS[-1] * (1 + 1e-5))


def test_starts_where_noise_has_not_put_out_the_units(tmp_path: Path) -> None:
    """One unit, that is on near the images alone: next to the line from 0.5 along the weights, and not far from 0.5."""
    weights = np.ones(16, np.float32) / 16
    across = np.where(np.arange(16) % 2, 1.0, -1.0).astype(np.float32)

    def logits(images: tf.Tensor) -> tf.Tensor:
        values = tf.reshape(images, (-1, 16)) - 0.5
        along = tf.linalg.matvec(values, weights)
        unit = tf.nn.relu(1 - 1e4 * tf.abs(tf.linalg.matvec(values, across)) - 100 * tf.nn.relu(along - 0.005))
        return tf.stack([tf.fill(tf.shape(along), 0.002), unit * along], axis=1)

    path = save_classifier(tmp_path / "1", logits, TINY.image_shape)
    offsets = np.linspace(-0.002, 0.001, 8, dtype=np.float32)
    images = np.full((8, *TINY.image_shape), 0.5, np.float32) + offsets[:, None, None, None]
    classifier = Classifier(path, dataclasses.replace(TINY, class_names=("a", "b")), images)
    batch = Batch(images, np.zeros(8, np.int64), np.arange(8), 0)
    # A first step of 0.1 from the image is too long, one of 0.005 is not.
    found = reached(RescaledGradientAttack(epsilons=(0.005, 0.1), steps=10, relative_step=1.0), classifier, batch)
    np.testing.assert_array_equal(found <= 0.005 * (1 + 1e-5), np.ones(8, bool))


def test_saturated_softmax_needs_a_temperature(tiny_classifier: Classifier, tiny_batch: Batch, tmp_path: Path) -> None:
    """Logits in the thousands: the cross-entropy is flat, and the network is the same."""

    def sharp(images: tf.Tensor) -> tf.Tensor:
        return 1e4 * tiny_classifier.endpoint("logits")(images)

    found = {}
    for scale in (1.0, 1e-4):
        gradient_of = input_gradient(sharp, "cross_entropy", logit_scale=scale)
        _, gradient = gradient_of(tf.constant(tiny_batch.images), tf.constant(tiny_batch.labels))
        found[scale] = np.mean(np.all(gradient.numpy() == 0, axis=(1, 2, 3)))
    assert found[1.0] > 0.5
    assert found[1e-4] == 0.0


@pytest.mark.parametrize("sharpness", [1.0, 100.0])
def test_loss_of_probabilities_is_that_of_keras(sharpness: float, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    """In a graph, too, where Keras would look behind a softmax."""

    def sharp(images: tf.Tensor) -> tf.Tensor:
        return sharpness * tiny_classifier.endpoint("logits")(images)

    images, labels = tf.constant(tiny_batch.images), tf.constant(tiny_batch.labels)
    with tf.GradientTape() as tape:
        tape.watch(images)
        # A model's user has probabilities, and not the operation that made them.
        probabilities = tf.nn.softmax(sharp(images))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=False, reduction="sum")(labels, probabilities)
    expected = tape.gradient(loss, images).numpy()
    _, found = tf.function(input_gradient(sharp, "clipped_probabilities"))(images, labels)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)
    # Below: ordinary gradients; above: probabilities that are clipped.
    assert np.mean(np.all(expected == 0, axis=(1, 2, 3))) == pytest.approx(0.0 if sharpness == 1.0 else 1.0, abs=0.4)


def test_grid_is_the_plain_attack_at_each_epsilon(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    epsilons = (0.02, 0.05, 0.1, 0.2)
    images, labels = tf.constant(tiny_batch.images), tf.constant(tiny_batch.labels)
    _, gradient = input_gradient(tiny_classifier.endpoint("logits"), "cross_entropy")(images, labels)
    expected = np.full(len(tiny_batch), np.inf)
    for epsilon in reversed(epsilons):
        moved = np.clip(tiny_batch.images + epsilon * np.sign(gradient.numpy()), 0, 1).astype(np.float32)
        expected[tiny_classifier.predict(moved) != tiny_batch.labels] = epsilon
    grid = EpsilonGrid(inner=FastGradientMethod(norm="linf", epsilon=0.3), epsilons=epsilons)
    found = reached(grid, tiny_classifier, tiny_batch)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(set(found)) > 2


@pytest.mark.parametrize(
    "make",
    [
        lambda epsilons: EpsilonGrid(inner=PROBABILITIES, epsilons=epsilons),
        lambda epsilons: RescaledGradientAttack(epsilons=epsilons, steps=1),
    ],
)
@pytest.mark.parametrize("epsilons", [(), (0.2, 0.1), (0.1, 0.1), (0.0, 0.1)])
def test_grids_that_are_none_are_refused(make, epsilons: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive and ascending"):
        make(epsilons)


def test_loss_is_checked() -> None:
    with pytest.raises(ValueError, match="Received: 'logits'"):
        RescaledGradientAttack(epsilons=EPSILONS, steps=1, loss="logits")
