"""Foolbox as an oracle: on the same samples, with the same settings, our attacks end no farther away."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from cortexzoo.evaluation.attacks import (
    Attack,
    Batch,
    BinaryContrastReduction,
    BoundaryAttack,
    BrendelBethge,
    CarliniWagnerL2,
    DecoupledDirectionNorm,
    DeepFool,
    ElasticNet,
    FoolboxAttack,
    GaussianBlur,
    GradientAttack,
    Inversion,
    L1Descent,
    L2ContrastReduction,
    LinearContrastReduction,
    SparseL1Descent,
)
from cortexzoo.evaluation.attacks.base import EpsilonSearch
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results.metrics import median_distance
from tests.evaluation.small_models import reached

pytest.importorskip("foolbox")
# What Foolbox and the libraries below it warn of is not ours.
pytestmark = pytest.mark.filterwarnings("ignore")
SHORT: dict[str, Any] = {"search_steps": 4, "steps": 200}
STOCK_SHORT = (("binary_search_steps", 4), ("steps", 200))
CARLINI: dict[str, Any] = {"learning_rate": 1e-2, "initial_constant": 1e-2, **SHORT}
# Ours, Foolbox's class and options.
MINIMISING = [
    (DecoupledDirectionNorm(), "DDNAttack", ()),
    (DeepFool(norm="l2"), "L2DeepFoolAttack", ()),
    (DeepFool(norm="linf"), "LinfDeepFoolAttack", ()),
    (CarliniWagnerL2(**CARLINI), "L2CarliniWagnerAttack", (*STOCK_SHORT, ("stepsize", 1e-2), ("initial_const", 1e-2))),
    (ElasticNet(initial_constant=1e-1, **SHORT), "EADAttack", (*STOCK_SHORT, ("initial_const", 1e-1))),
    (Inversion(norm="l2"), "InversionAttack", ()),
    (BinaryContrastReduction(norm="linf"), "BinarySearchContrastReductionAttack", ()),
    (LinearContrastReduction(norm="l1"), "LinearSearchContrastReductionAttack", ()),
    (GaussianBlur(norm="l2"), "GaussianBlurAttack", (("channel_axis", 3),)),
]
WALKING = [
    (BoundaryAttack(steps=10_000), "BoundaryAttack", (("steps", 10_000),)),
    (BrendelBethge(norm="l2"), "L2BrendelBethgeAttack", ()),
    (BrendelBethge(norm="linf"), "LinfinityBrendelBethgeAttack", ()),
    (BrendelBethge(norm="l1"), "L1BrendelBethgeAttack", ()),
    (BrendelBethge(norm="l0"), "L0BrendelBethgeAttack", ()),
]
FIXED = [
    (GradientAttack(norm="linf", epsilon=0.04, steps=10, relative_step=0.2), "LinfBasicIterativeAttack"),
    (GradientAttack(norm="l2", epsilon=0.6, steps=10, relative_step=0.2), "L2BasicIterativeAttack"),
    (GradientAttack(norm="linf", epsilon=0.04, steps=1, relative_step=1.0), "LinfFastGradientAttack"),
    (GradientAttack(norm="l2", epsilon=0.6, steps=1, relative_step=1.0), "L2FastGradientAttack"),
    (L1Descent(epsilon=8.0, steps=10, relative_step=0.2), "L1BasicIterativeAttack"),
    (SparseL1Descent(epsilon=4.0), "SparseL1DescentAttack"),
    (L2ContrastReduction(epsilon=8.0), "L2ContrastReductionAttack"),
]


def name(value: object) -> str:
    return value if isinstance(value, str) else ""


def assert_no_farther(attack: Attack, stock: FoolboxAttack, classifier: Classifier, batch: Batch) -> None:
    ours, theirs = reached(attack, classifier, batch), reached(stock, classifier, batch)
    assert np.all(np.isfinite(ours[np.isfinite(theirs)]))
    # Where all fail there is nothing to compare.
    assert np.isfinite(theirs).any()
    if attack.norm == "l0":
        # Whole pixels: one in one sample moves the median by a tenth.
        assert np.mean(ours[np.isfinite(theirs)]) <= 1.02 * np.mean(theirs[np.isfinite(theirs)])
    elif np.isfinite(median_distance(theirs)):
        assert median_distance(ours) <= 1.02 * median_distance(theirs)
    else:
        assert np.median(ours[np.isfinite(theirs)]) <= 1.02 * np.median(theirs[np.isfinite(theirs)])


@pytest.mark.parametrize(("attack", "stock", "options"), MINIMISING, ids=name)
def test_minimising_attacks(
    attack: Attack, stock: str, options: tuple, digits_classifier: Classifier, digits_batch: Batch
) -> None:
    stock_attack = FoolboxAttack(algorithm=stock, norm=attack.norm, options=options)
    assert_no_farther(attack, stock_attack, digits_classifier, digits_batch)


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "stock", "options"), WALKING, ids=name)
def test_walks_along_the_boundary(
    attack: Attack, stock: str, options: tuple, digits_classifier: Classifier, digits_batch: Batch
) -> None:
    stock_attack = FoolboxAttack(algorithm=stock, norm=attack.norm, options=options)
    assert_no_farther(attack, stock_attack, digits_classifier, digits_batch)


@pytest.mark.parametrize(("attack", "stock"), FIXED, ids=name)
def test_attacks_of_a_fixed_size(
    attack: EpsilonSearch, stock: str, digits_classifier: Classifier, digits_batch: Batch
) -> None:
    """At one size both break the same samples, but for those on the edge."""
    steps = (("rel_stepsize", attack.relative_step), ("steps", attack.steps)) if getattr(attack, "steps", 1) > 1 else ()
    stock_attack = FoolboxAttack(algorithm=stock, norm=attack.norm, options=steps, epsilons=(attack.epsilon,))
    ours = np.isfinite(reached(dataclasses.replace(attack, rounds=1), digits_classifier, digits_batch))
    theirs = np.isfinite(reached(stock_attack, digits_classifier, digits_batch))
    assert 0 < theirs.sum() < len(theirs)
    assert np.sum(ours != theirs) <= 1


def test_sparse_descent_moves_a_hundredth_of_the_pixels(digits_classifier: Classifier, digits_batch: Batch) -> None:
    attack = SparseL1Descent(epsilon=0.5, steps=1, relative_step=1.0)
    images = attack.perturb(digits_classifier, "logits", digits_batch, np.full(len(digits_batch), 0.5, np.float32), 0)
    moved = np.sum(images != digits_batch.images, axis=(1, 2, 3))
    np.testing.assert_array_equal(moved, round(0.01 * 28 * 28))


def test_failures_of_foolbox_are_failures(digits_classifier: Classifier, digits_batch: Batch) -> None:
    # One step of the smallest constant finds nothing; Foolbox returns black images, and black may be of another class.
    options = (("binary_search_steps", 1), ("steps", 1), ("initial_const", 1e-9))
    attack = FoolboxAttack(algorithm="L2CarliniWagnerAttack", norm="l2", options=options)
    assert np.all(np.isinf(reached(attack, digits_classifier, digits_batch)))
    black = digits_classifier.predict(np.zeros((1, 28, 28, 1), np.float32))
    assert np.any(digits_batch.labels != black)


def test_sample_without_a_start_does_not_stop_the_others(digits_classifier: Classifier, digits_batch: Batch) -> None:
    starts = digits_batch.starts.copy()
    starts[0, :] = digits_batch.images[0]
    attack = FoolboxAttack(algorithm="BoundaryAttack", norm="l2", options=(("steps", 20),))
    found = reached(attack, digits_classifier, dataclasses.replace(digits_batch, starts=starts))
    assert np.isinf(found[0])
    assert np.all(np.isfinite(found[1:]))


def test_sizes_are_a_grid_of_which_the_least_counts(digits_classifier: Classifier, digits_batch: Batch) -> None:
    one, more = (
        reached(
            FoolboxAttack(algorithm="LinfFastGradientAttack", norm="linf", epsilons=sizes), digits_classifier, digits_batch
        )
        for sizes in ((0.1,), (0.02, 0.05, 0.1))
    )
    assert np.all(more <= one)
    assert np.any(more < one)


def test_unknown_attack_is_refused(digits_classifier: Classifier, digits_batch: Batch) -> None:
    with pytest.raises(ValueError, match="Received: 'NoSuchAttack'"):
        FoolboxAttack(algorithm="NoSuchAttack", norm="l2").run(digits_classifier, "logits", digits_batch)
