"""Our gradient attacks against CleverHans' own functions: the same iterates, and the first adversarial one is kept.

Where stock CleverHans 4.0.0 differs, on purpose or not:
- it carries every sample to the last step, so that a sample may be adversarial on the way and not at the end;
- `madry_et_al` draws its start from a ball of 0.3 whatever epsilon is (`test_madry_draws_its_start_from_a_fixed_ball`);
- `basic_iterative_method` and `madry_et_al` check their input by default with a test that current NumPy refuses;
- without `y` it attacks the model's own prediction;
- it shortens L2 steps along gradients whose norm is below 1e-6.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import cleverhans.tf2.attacks.momentum_iterative_method as stock_momentum
import cleverhans.tf2.attacks.projected_gradient_descent as stock_gradient
import numpy as np
import pytest
import tensorflow as tf
from cleverhans.tf2.attacks.basic_iterative_method import basic_iterative_method
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.madry_et_al import madry_et_al
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent
from cleverhans.tf2.utils import optimize_linear

from cortexzoo.evaluation.attacks import (
    BasicIterativeMethod,
    Batch,
    FastGradientMethod,
    GradientAttack,
    MadryEtAl,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
)
from cortexzoo.evaluation.attacks.base import random_directions
from cortexzoo.evaluation.attacks.tensors import near_one
from cortexzoo.evaluation.classifier import Classifier
from tests.evaluation.small_models import TINY, dense, save_classifier

ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
# Radii at which some samples of the tiny network break on the way and others never do.
EPSILONS = {"linf": 0.04, "l2": 0.16, "l1": 0.4}
# The same operations in another order of fusion.
TOLERANCE = 2e-6


def trajectory(
    stock: Callable, classifier: Classifier, batch: Batch, attack: GradientAttack, start: np.ndarray | None = None
) -> np.ndarray:
    """All iterates of a stock iterative attack, (steps + 1, n, ...), from `start` where it draws a random one."""
    iterates = []

    def record(function: Callable, position: int) -> Callable:
        def recorded(*args: object, **kwargs: object) -> object:
            iterates.append(args[position].numpy())
            return function(*args, **kwargs)

        return recorded

    images = tf.constant(batch.images)
    offset = None if start is None else tf.constant(start - batch.images)
    with (
        # Both functions look these up in their modules at every step, with the iterate among the arguments.
        mock.patch.object(stock_gradient, "fast_gradient_method", record(fast_gradient_method, 1)),
        mock.patch.object(stock_momentum, "compute_gradient", record(stock_momentum.compute_gradient, 2)),
        mock.patch.object(stock_gradient, "random_lp_vector", return_value=offset),
    ):
        last = stock(
            classifier.endpoint("logits"),
            images,
            attack.epsilon,
            # Rounded as ours is, or one part in 1e8 of a step would tell the two apart at a kink.
            float(np.float32(attack.relative_step) * np.float32(attack.epsilon)),
            attack.steps,
            ORDERS[attack.norm],
            clip_min=0.0,
            clip_max=1.0,
            y=tf.constant(batch.labels),
            sanity_checks=False,
            **({"rand_init": True} if stock is projected_gradient_descent else {}),
        )
    assert len(iterates) == attack.steps
    return np.stack([*iterates, last.numpy()])


def first_adversarials(classifier: Classifier, batch: Batch, iterates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each sample's first adversarial iterate, the last one where there is none; and which samples have one."""
    wrong = np.stack([classifier.predict(images) != batch.labels for images in iterates])
    broken = wrong.any(axis=0)
    step = np.where(broken, wrong.argmax(axis=0), len(iterates) - 1)
    return iterates[step, np.arange(len(batch))], broken


def perturb(attack: GradientAttack, classifier: Classifier, batch: Batch) -> np.ndarray:
    """The attack itself at its one epsilon, without the search around it."""
    return attack.perturb(classifier, "logits", batch, np.full(len(batch), attack.epsilon, np.float32), 0)


ITERATIVE = [
    (BasicIterativeMethod, basic_iterative_method),
    (MomentumIterativeMethod, momentum_iterative_method),
    (ProjectedGradientDescent, projected_gradient_descent),
    (MadryEtAl, madry_et_al),
]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(("ours", "stock"), ITERATIVE, ids=[stock.__name__ for _, stock in ITERATIVE])
def test_iterates_are_those_of_cleverhans(
    ours: type[GradientAttack], stock: Callable, norm: str, tiny_classifier: Classifier, tiny_batch: Batch
) -> None:
    attack = ours(norm=norm, epsilon=EPSILONS[norm])
    start = None
    if attack.random_start:
        offset = np.float32(attack.epsilon) * random_directions(tiny_batch, norm, 0)
        start = np.clip(tiny_batch.images + offset, 0.0, 1.0)
    iterates = trajectory(stock, tiny_classifier, tiny_batch, attack, start)
    expected, broken = first_adversarials(tiny_classifier, tiny_batch, iterates)
    # Otherwise one half of what is claimed would not be tested.
    assert 0 < broken.sum() < len(tiny_batch)
    found = perturb(attack, tiny_classifier, tiny_batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    stock_succeeds = tiny_classifier.predict(iterates[-1]) != tiny_batch.labels
    assert np.all(tiny_classifier.predict(found)[stock_succeeds] != tiny_batch.labels[stock_succeeds])


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_fast_gradient_method_is_that_of_cleverhans(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = FastGradientMethod(norm=norm, epsilon=EPSILONS[norm])
    expected = fast_gradient_method(
        tiny_classifier.endpoint("logits"),
        tiny_batch.images,
        attack.epsilon,
        ORDERS[norm],
        clip_min=0.0,
        clip_max=1.0,
        y=tf.constant(tiny_batch.labels),
    )
    found = perturb(attack, tiny_classifier, tiny_batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    assert 0 < np.sum(tiny_classifier.predict(found) != tiny_batch.labels) < len(tiny_batch)


def test_borders_of_the_box_are_met_as_in_cleverhans(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    # Black and white pixels: every step is cut somewhere.
    images = np.round(tiny_batch.images)
    batch = dataclasses.replace(tiny_batch, images=images, labels=tiny_classifier.predict(images))
    for attack, stock in (
        (BasicIterativeMethod(norm="l2", epsilon=0.3), basic_iterative_method),
        (MomentumIterativeMethod(norm="l2", epsilon=0.3), momentum_iterative_method),
    ):
        expected, broken = first_adversarials(tiny_classifier, batch, trajectory(stock, tiny_classifier, batch, attack))
        assert not broken.all()
        found = perturb(attack, tiny_classifier, batch)
        assert np.any((found == 0.0) & (images == 0.0))
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_each_sample_is_attacked_as_if_its_epsilon_were_common(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    radii = np.linspace(0.01, 0.1, len(tiny_batch)).astype(np.float32)
    attack = ProjectedGradientDescent(norm="linf", epsilon=1.0, steps=12)
    mixed = attack.perturb(tiny_classifier, "logits", tiny_batch, radii, 3)
    for i in (0, 5, 15):
        alone = attack.perturb(tiny_classifier, "logits", tiny_batch, np.full(len(tiny_batch), radii[i]), 3)
        np.testing.assert_allclose(mixed[i], alone[i], rtol=0, atol=TOLERANCE)


def test_madry_draws_its_start_from_a_fixed_ball(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    # Why ours is no call of it: at any epsilon but 0.3 the start is not what the paper describes.
    drawn = []

    def random_vector(shape: tf.Tensor, order: float, radius: tf.Tensor, **_: object) -> tf.Tensor:
        drawn.append(float(radius))
        return tf.zeros(shape)

    with mock.patch.object(stock_gradient, "random_lp_vector", random_vector):
        logits, images = tiny_classifier.endpoint("logits"), tf.constant(tiny_batch.images)
        madry_et_al(logits, images, 0.05, 0.01, 1, np.inf, y=tf.constant(tiny_batch.labels), sanity_checks=False)
    assert drawn == [pytest.approx(0.3)]


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_random_starts_are_uniform_in_the_ball(norm: str, tiny_batch: Batch) -> None:
    ids = np.arange(2000)
    batch = Batch(np.zeros((len(ids), 4, 4, 1), np.float32), np.zeros(len(ids), np.int64), ids, seed=5)
    points = random_directions(batch, norm, 0).reshape(len(ids), -1).astype(np.float64)
    radius = np.linalg.norm(points, ORDERS[norm], axis=1)
    # In 16 dimensions the radius r of a uniform point has P(r <= t) = t^16, so that r^16 is uniform.
    uniform = np.sort(radius**16)
    assert np.max(np.abs(uniform - (np.arange(len(ids)) + 0.5) / len(ids))) < 1.63 / np.sqrt(len(ids))
    assert np.all(np.abs(points.mean(axis=0)) < 4 * points.std(axis=0) / np.sqrt(len(ids)))
    assert not np.array_equal(random_directions(batch, norm, 1), random_directions(batch, norm, 0))
    assert not np.array_equal(
        random_directions(dataclasses.replace(batch, seed=6), norm, 0), random_directions(batch, norm, 0)
    )


@pytest.mark.parametrize("factor", [1.0, 2.0**-30])
def test_step_has_its_length_along_a_small_gradient(factor: float) -> None:
    """CleverHans divides by no L2 norm below 1e-6; what is above it keeps its bits."""
    generator, norm = np.random.default_rng(0), np.float32(0.25)
    gradient = tf.constant((factor * generator.standard_normal((3, 4, 4, 1))).astype(np.float32))
    found = optimize_linear(near_one(gradient), norm, 2).numpy()
    np.testing.assert_allclose(np.linalg.norm(found.reshape(3, -1), axis=1), 0.25, rtol=1e-6)
    if factor == 1.0:
        np.testing.assert_array_equal(found, optimize_linear(gradient, norm, 2).numpy())
    np.testing.assert_array_equal(near_one(0.0 * gradient), 0.0 * gradient)


def test_confident_network_is_attacked_with_whole_steps(tmp_path: Path) -> None:
    """A softmax that is sure up to 1e-9: its cross-entropy has a gradient of about that size."""
    weights = np.random.default_rng(0).standard_normal((16, 3))
    weights *= 160 / np.ptp(0.6 * weights.sum(axis=0))
    network = dense((weights, -0.5 * weights.sum(axis=0)))
    path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables)
    images = np.full((1, *TINY.image_shape), 0.6, np.float32)
    classifier = Classifier(path, TINY, images.repeat(2, axis=0))
    batch = Batch(images, classifier.predict(images), np.arange(1), 0)
    logits = network(images).numpy()[0]
    assert np.sort(logits)[-1] - np.sort(logits)[-2] > 15
    for attack in (FastGradientMethod, BasicIterativeMethod, ProjectedGradientDescent):
        (moved,) = attack(norm="l2", epsilon=0.02, rounds=1).perturb(classifier, "logits", batch, np.float32([0.02]), 0)
        assert np.linalg.norm(moved - images[0]) == pytest.approx(0.02, rel=1e-4)


def test_attacks_of_another_size_or_length_share_a_trace(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    kept = tiny_classifier._compiled
    attack = ProjectedGradientDescent(norm="linf", epsilon=0.03, loss="margin", relative_step=0.123)
    attack.run(tiny_classifier, "logits", tiny_batch)
    before = set(kept)
    dataclasses.replace(attack, epsilon=0.05, steps=7, restarts=2).run(tiny_classifier, "logits", tiny_batch)
    assert set(kept) == before
    dataclasses.replace(attack, loss="cross_entropy").run(tiny_classifier, "logits", tiny_batch)
    assert len(kept) == len(before) + 1
