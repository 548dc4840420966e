"""Starts where there are no training images, and where all images are of one class."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import (
    Attack,
    Batch,
    BoundaryAttack,
    BrendelBethge,
    FoolboxAttack,
    NearestStart,
    Pointwise,
    RayS,
)
from cortexzoo.evaluation.attacks.starting_points import STARTS, StartingPoints, candidates
from cortexzoo.evaluation.classifier import Classifier
from tests.evaluation.small_models import TINY, dense, save_classifier

WALKS = [
    BrendelBethge(norm="l2", steps=3),
    BoundaryAttack(steps=10),
    NearestStart(inner=BoundaryAttack(steps=10)),
    Pointwise(restarts=2),
    RayS(passes=1),
    FoolboxAttack(algorithm="BoundaryAttack", norm="l2", options=(("steps", 5),)),
]


def linear(path: Path, weights: np.ndarray, bias: list[float]) -> Classifier:
    network = dense((weights, bias))
    probe = np.full((2, *TINY.image_shape), 0.5, np.float32)
    return Classifier(save_classifier(path, network, TINY.image_shape, network.variables), TINY, probe)


@pytest.fixture
def nearly_white(tmp_path: Path) -> Classifier:
    """Class 1 where the mean is above 0.95, else class 0: no uniform noise is so bright."""
    return linear(tmp_path / "1", np.array([[0.0, 1.0, 0.0]] * 16), [15.2, 0.0, -100.0])


@pytest.fixture
def dark() -> Split:
    images = np.stack([np.full(TINY.image_shape, level, np.float32) for level in (0.1, 0.3, 0.2)])
    return Split(images, np.zeros(3, np.int64), np.arange(3))


def batch_of(split: Split) -> Batch:
    return Batch(split.images, split.labels, split.ids, 0)


def test_evaluated_images_serve_as_starts(tiny_classifier: Classifier, tiny: Split) -> None:
    batch = batch_of(tiny)
    starts = StartingPoints(tiny_classifier, tiny).of(batch)
    assert np.all(tiny_classifier.predict(starts.reshape(-1, *TINY.image_shape)) != np.repeat(tiny.labels, STARTS))


def test_where_all_images_are_of_one_class_plain_images_serve(nearly_white: Classifier, dark: Split) -> None:
    batch = batch_of(dark)
    starts = StartingPoints(nearly_white, dark).of(batch)
    # The negatives are not bright enough, black is not, white is.
    np.testing.assert_array_equal(starts, np.ones((3, STARTS, *TINY.image_shape)))
    alone = StartingPoints(nearly_white, dark).of(batch.take(np.array([1])))
    np.testing.assert_array_equal(alone, starts[[1]])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("attack", WALKS, ids=lambda attack: attack.name)
def test_walks_begin_there(attack: Attack, nearly_white: Classifier, dark: Split) -> None:
    batch = batch_of(dark)
    batch = dataclasses.replace(batch, starts=StartingPoints(nearly_white, dark).of(batch))
    images = batch.check(attack.run(nearly_white, "logits", batch), attack.name)
    assert np.all(nearly_white.predict(images) == 1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("attack", WALKS, ids=lambda attack: attack.name)
def test_on_a_model_of_one_answer_attacks_fail_and_do_not_crash(attack: Attack, dark: Split, tmp_path: Path) -> None:
    classifier, batch = linear(tmp_path / "1", np.zeros((16, 3)), [1.0, 0.0, 0.0]), batch_of(dark)
    starts = StartingPoints(classifier, dark).of(batch)
    np.testing.assert_array_equal(starts, np.repeat(batch.images[:, None], STARTS, axis=1))
    batch = dataclasses.replace(batch, starts=starts)
    images = batch.check(attack.run(classifier, "logits", batch), attack.name)
    assert np.all(classifier.predict(images) == 0)


def test_of_large_images_fewer_are_candidates() -> None:
    many = Split(np.broadcast_to(np.float32(0), (1000, 224, 224, 3)), np.zeros(1000, np.int64), np.arange(1000))
    assert len(candidates(many)) == 445
    assert len(candidates(Split(many.images[:, :32, :32], many.labels, many.ids))) == 1000
