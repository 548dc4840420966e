"""FMN: distances against closed forms, Foolbox and other attacks; what restarts, starts and schedules do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Attack, Batch, BrendelBethge, DecoupledDirectionNorm, FastMinimumNorm, FoolboxAttack
from cortexzoo.evaluation.attacks.fast_minimum_norm import _PROJECTIONS
from cortexzoo.evaluation.attacks.starting_points import StartingPoints
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from cortexzoo.evaluation.targeted import TargetedView
from cortexzoo.norms import NORMS
from tests.evaluation.small_models import TINY, correct_batch, dense, random_network, reached, save_classifier
from tests.evaluation.test_attacks_closed_form import Problem, excess, problem

every_norm = pytest.mark.parametrize("norm", NORMS)
# Distances of the closed forms are about a thirtieth of those of MNIST.
SHORT = {"step_size": 0.1}


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(tmp_path_factory.mktemp("two"), 2, 5.0)


@pytest.fixture(scope="module")
def five_classes(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(tmp_path_factory.mktemp("five"), 5, 100.0)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("classes", ["two_classes", "five_classes"])
def test_the_nearest_boundary_is_found(norm: str, classes: str, request: pytest.FixtureRequest) -> None:
    ratio = excess(FastMinimumNorm(norm=norm, **SHORT), request.getfixturevalue(classes))
    assert np.median(ratio) < 1.01
    assert ratio.max() < 1.05


def test_no_fewer_pixels_would_do(tmp_path: Path) -> None:
    """Two linear logits: the fewest pixels that close the gap are those that gain most, each at the end of the box."""
    rng = np.random.default_rng(0)
    slope = rng.uniform(0.5, 1.5, 16) * np.sign(rng.standard_normal(16))
    network = dense((np.column_stack([-slope, slope]), 0.5 * slope.sum() * np.array([1, -1])))
    path = save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables)
    images = rng.random((60, *TINY.image_shape), np.float32)
    info = dataclasses.replace(TINY, class_names=("a", "b"))
    classifier = Classifier(path, info, images)
    batch = correct_batch(classifier, Split(images, classifier.predict(images), np.arange(60)), 60)
    towards = np.where(batch.labels == 0, 1, -1)[:, None] * slope
    flat = images.reshape(60, 16)
    gains = -np.sort(-np.where(towards > 0, towards * (1 - flat), -towards * flat), axis=1)
    fewest = 1 + np.sum(np.cumsum(gains, axis=1) < -np.sum(towards * (flat - 0.5), axis=1, keepdims=True), axis=1)
    found = reached(FastMinimumNorm(norm="l0", step_size=1.0), classifier, batch)
    assert np.sum(fewest > 1) > 20
    assert np.all(found >= fewest)
    assert np.mean(found == fewest) > 0.8


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("norm", "algorithm"), [("linf", "LInfFMNAttack"), ("l1", "L1FMNAttack"), ("l0", "L0FMNAttack")])
def test_no_farther_than_foolbox(norm: str, algorithm: str, digits_classifier: Classifier, digits_batch: Batch) -> None:
    # With its settings. Its L2 attack does not project, so that DDN is the oracle there.
    pytest.importorskip("foolbox")
    ours = reached(FastMinimumNorm(norm=norm, restarts=1, loss="margin", step_size=1.0), digits_classifier, digits_batch)
    theirs = reached(FoolboxAttack(algorithm=algorithm, norm=norm), digits_classifier, digits_batch)
    assert np.all(np.isfinite(ours))
    assert np.median(ours) <= 1.02 * np.median(theirs)


@pytest.mark.parametrize(
    "other",
    [DecoupledDirectionNorm(), *(BrendelBethge(norm=norm, steps=200) for norm in NORMS)],
    ids=lambda attack: f"{attack.name} {attack.norm}",
)
def test_as_near_as_other_minimising_attacks(other: Attack, digits_classifier: Classifier, digits_batch: Batch) -> None:
    ours, theirs = (reached(attack, digits_classifier, digits_batch) for attack in (FastMinimumNorm(norm=other.norm), other))
    assert np.all(np.isfinite(ours))
    assert np.median(ours) <= 1.01 * np.median(theirs)


@every_norm
def test_projections_end_in_box_and_ball(norm: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.random((20, 3, 4, 3), np.float32)
    points = images + rng.standard_normal(images.shape).astype(np.float32)
    radius = np.geomspace(0.01, 3, 20).astype(np.float32) if norm != "l0" else np.arange(1, 21).clip(max=12)
    ended = _PROJECTIONS[norm](images, points, tf.cast(radius, tf.float32)).numpy()
    assert ended.min() >= 0.0
    assert ended.max() <= 1.0
    found = distances(images, ended, norm)
    assert np.all(found <= radius * (1 + 1e-4))
    # A ball that fits into the box is reached.
    near = radius < 0.1 if norm != "l0" else radius > 0
    np.testing.assert_allclose(found[near], radius[near], rtol=0.1 if norm == "l2" else 1e-3)


def test_pixels_that_changed_most_are_kept() -> None:
    images = np.full((1, 2, 2, 2), 0.5, np.float32)
    points = images + np.array([[[[0.1, 0.1], [0.3, 0.0]], [[0.0, -0.2], [0.05, 0.05]]]], np.float32)
    kept = _PROJECTIONS["l0"](images, points, tf.constant([2.0])).numpy()
    np.testing.assert_array_equal(np.any(kept != images, axis=-1), [[[False, True], [True, False]]])


@pytest.fixture(scope="module")
def flat_around_the_images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Batch]:
    """A network behind a dead zone, in which all images lie: it has no gradient there."""
    rng = np.random.default_rng(0)
    network = random_network(rng, 16, 12, TINY.num_classes, scale=2.0)

    def logits(images: tf.Tensor) -> tf.Tensor:
        change = images - 0.5
        return network(0.5 + tf.sign(change) * tf.nn.relu(tf.abs(change) - 0.2)) + tf.constant([1.0, 0.0, 0.0])

    path = save_classifier(tmp_path_factory.mktemp("flat") / "1", logits, TINY.image_shape, network.variables)
    images = rng.uniform(0.4, 0.6, (8, *TINY.image_shape)).astype(np.float32)
    classifier = Classifier(path, TINY, images)
    others = rng.random((100, *TINY.image_shape), np.float32)
    batch = Batch(images, classifier.predict(images), np.arange(8), 0)
    starts = StartingPoints(classifier, Split(others, classifier.predict(others), np.arange(100))).of(batch)
    return classifier, dataclasses.replace(batch, starts=starts)


@every_norm
def test_restarts_come_from_where_there_is_a_gradient(norm: str, flat_around_the_images: tuple[Classifier, Batch]) -> None:
    one, two, four = (
        reached(FastMinimumNorm(norm=norm, restarts=restarts), *flat_around_the_images) for restarts in (1, 2, 4)
    )
    assert np.all(two <= one)
    assert np.all(four <= two)
    assert np.all(np.isfinite(two))
    # Random steps leave the zone too, but not sparsely.
    assert norm == "linf" or np.any(two < one * 0.9)


@every_norm
def test_more_steps_end_nearer(norm: str, digits_classifier: Classifier, digits_batch: Batch) -> None:
    few, more = (
        reached(FastMinimumNorm(norm=norm, steps=steps, restarts=1), digits_classifier, digits_batch) for steps in (15, 60)
    )
    # The schedule is another, so that a single walk may end elsewhere.
    assert np.mean(more <= few * 1.02) > 0.8
    assert np.any(more < few * 0.99)


@every_norm
def test_a_result_depends_on_sample_and_seed_alone(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = FastMinimumNorm(norm=norm, steps=20, restarts=2)
    together = attack.run(tiny_classifier, "logits", tiny_batch)
    assert together.min() >= 0.0
    assert together.max() <= 1.0
    np.testing.assert_array_equal(attack.run(tiny_classifier, "logits", tiny_batch), together)
    order = np.random.default_rng(0).permutation(len(tiny_batch))
    parts = [attack.run(tiny_classifier, "logits", tiny_batch.take(chosen)) for chosen in (order[:1], order[1:5], order[5:])]
    same = np.isclose(np.concatenate(parts), together[order], atol=1e-3).all(axis=(1, 2, 3))
    # Rounding may lead one walk to another place.
    assert np.sum(~same) <= 1


def test_starts_are_needed_by_restarts_alone() -> None:
    assert not FastMinimumNorm(norm="l2", restarts=1).needs_starts
    assert FastMinimumNorm(norm="l2", restarts=2).needs_starts


@pytest.mark.parametrize("restarts", [0, 7])
def test_there_are_as_many_restarts_as_starts(restarts: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 6. Received: {restarts}"):
        FastMinimumNorm(norm="l2", restarts=restarts)


@every_norm
def test_logits_of_any_size_have_the_same_boundary(norm: str, of_any_size: list[tuple[Classifier, Batch]]) -> None:
    attack = FastMinimumNorm(norm=norm, loss="margin", restarts=1)
    ordinary, *others = (reached(attack, classifier, batch) for classifier, batch in of_any_size)
    for found in others:
        np.testing.assert_allclose(found, ordinary, rtol=1e-2, atol=1e-4)


def test_through_a_surrogate_that_decides_otherwise(behind_a_rounding: tuple[Classifier, Batch]) -> None:
    attack = FastMinimumNorm(norm="l2", restarts=1)
    through, blind = (reached(attack, *behind_a_rounding, endpoint) for endpoint in ("attack_logits", "logits"))
    assert np.all(np.isfinite(through))
    # Without any gradient, steps in random directions.
    assert np.mean(np.isfinite(blind)) > 0.5
    assert np.median(blind) > np.median(through)


@every_norm
def test_a_targeted_view_has_two_classes(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    view = TargetedView(tiny_classifier)
    view.aim(2)
    batch = tiny_batch.take(tiny_batch.labels != 2)
    batch = dataclasses.replace(batch, labels=np.zeros_like(batch.labels))
    images = FastMinimumNorm(norm=norm, restarts=1).run(view, "logits", batch)
    assert np.mean(tiny_classifier.predict(images) == 2) > 0.8
