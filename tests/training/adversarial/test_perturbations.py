"""Perturbations against closed forms on a linear classifier."""

import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from cortexzoo.training.adversarial import (
    AllOf,
    GaussianNoise,
    InTurn,
    Perturbation,
    PixelFlips,
    ProjectedGradient,
    SteepestDescent,
    UniformNoise,
    WorstOf,
)
from cortexzoo.training.adversarial.perturbation import Batch
from tests.training.adversarial.linear import IMAGES, LABELS, MODEL, rising

ATTACKS = {
    "linf": ProjectedGradient("linf", 0.2, steps=8, relative_step=0.25),
    "l2": ProjectedGradient("l2", 0.5, steps=30, relative_step=0.25),
    "l1": ProjectedGradient("l1", 1.5, steps=40, relative_step=0.1),
    "l0": ProjectedGradient("l0", 3, steps=20, relative_step=1.0),
}


def perturbed(perturbation: Perturbation, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    batch = Batch(ops.convert_to_tensor(IMAGES), LABELS, MODEL, np.float32(scale), keras.random.SeedGenerator(seed))
    return ops.convert_to_numpy(perturbation(batch))


def margins(points: np.ndarray) -> np.ndarray:
    logits = ops.convert_to_numpy(MODEL(points))
    return logits[np.arange(12), 1 - LABELS] - logits[np.arange(12), LABELS]


@settings(max_examples=15, deadline=None)
@given(epsilon=st.floats(0.0, 1.0), steps=st.integers(1, 4), relative_step=st.floats(0.01, 3.0), seed=st.integers(0, 99))
def test_images_stay_in_the_box(epsilon: float, steps: int, relative_step: float, seed: int) -> None:
    adversarial = perturbed(ProjectedGradient("linf", epsilon, steps, relative_step), seed)
    assert adversarial.min() >= 0.0
    assert adversarial.max() <= 1.0
    assert np.abs(adversarial - IMAGES).max() <= epsilon + 1e-6


def test_enough_steps_reach_the_worst_corner() -> None:
    expected = np.clip(IMAGES + 0.2 * np.sign(rising()), 0.0, 1.0)
    # From any start in the box the far side is two epsilon away.
    np.testing.assert_allclose(perturbed(ATTACKS["linf"]), expected, atol=1e-6)


def test_single_steps_start_at_random() -> None:
    """One step of 1.25 epsilon from anywhere in the box ends between a quarter and all of epsilon, on the worse side."""
    single = ProjectedGradient("linf", 0.2, steps=1, relative_step=1.25)
    low, high = (np.clip(IMAGES + share * 0.2 * np.sign(rising()), 0.0, 1.0) for share in (0.25, 1.0))
    adversarial = perturbed(single)
    assert (np.minimum(low, high) - 1e-6 <= adversarial).all()
    assert (adversarial <= np.maximum(low, high) + 1e-6).all()
    assert (adversarial != perturbed(single, seed=1)).any()
    np.testing.assert_array_equal(adversarial, perturbed(single))


def best_margin(norm: str) -> np.ndarray:
    """The largest margin in the ball: in L1 and L0 a knapsack, whose best is to fill coordinates by their slope or gain."""
    slopes, gains = rising().reshape(12, -1), []
    x = IMAGES.reshape(12, -1)
    room = np.where(slopes > 0, 1 - x, x)
    for slope, free in zip(np.abs(slopes), room, strict=True):
        if norm == "l0":
            gains.append(np.sort(slope * free)[-3:].sum())
            continue
        left, gain = 1.5, 0.0
        for i in np.argsort(-slope):
            gain += slope[i] * min(free[i], left)
            left -= min(free[i], left)
        gains.append(gain)
    return margins(IMAGES) + np.array(gains)


@pytest.mark.parametrize(("norm", "expected"), [("l1", 0.9), ("l0", 0.75)])
def test_sparse_attacks_come_near_the_largest_margin(norm: str, expected: float) -> None:
    """Not always there: projections in L1 take from what has room no more; pixels are kept by how far they moved."""
    found, best = margins(perturbed(ATTACKS[norm])), best_margin(norm)
    assert (found <= best + 1e-4).all()
    share = (found - margins(IMAGES)) / (best - margins(IMAGES))
    assert np.median(share) > expected
    assert share.min() > 0.5


def test_l2_reaches_the_largest_margin_where_the_box_is_far() -> None:
    small = dataclasses.replace(ATTACKS["l2"], epsilon=0.01)
    slopes = np.linalg.norm(rising().reshape(12, -1), axis=1)
    away = np.abs(IMAGES - 0.5).reshape(12, -1).max(1) < 0.49
    assert away.sum() > 3
    np.testing.assert_allclose((margins(perturbed(small)) - margins(IMAGES))[away], 0.01 * slopes[away], rtol=1e-3)


@pytest.mark.parametrize("attack", [*ATTACKS.values(), UniformNoise(0.2), GaussianNoise(0.2), PixelFlips(0.5)])
def test_a_scale_of_zero_changes_nothing(attack: Perturbation) -> None:
    np.testing.assert_allclose(perturbed(attack, scale=0.0), IMAGES, atol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "kl", lambda logits, labels, clean: -logits[:, 0]])
def test_every_loss_rises(loss: object) -> None:
    attack = dataclasses.replace(ATTACKS["linf"], loss=loss)
    found = perturbed(attack)
    if callable(loss):
        assert (ops.convert_to_numpy(MODEL(found))[:, 0] < ops.convert_to_numpy(MODEL(IMAGES))[:, 0]).all()
    elif loss == "kl":
        assert (np.abs(margins(found) - margins(IMAGES)) > 0.1).all()
    else:
        assert (margins(found) > margins(IMAGES)).all()


def test_the_worst_of_several_is_the_best_of_each_image() -> None:
    attacks = tuple(dataclasses.replace(ATTACKS[norm], random_start=False) for norm in ("linf", "l2", "l1"))
    each = np.stack([margins(perturbed(attack)) for attack in attacks])
    np.testing.assert_allclose(margins(perturbed(WorstOf(attacks))), each.max(0), rtol=1e-5)
    together = perturbed(AllOf(attacks))
    np.testing.assert_allclose([margins(part) for part in np.split(together, 3)], each, rtol=1e-5)


def test_steepest_descent_ends_in_the_union_of_the_balls() -> None:
    """It is greedy, so that it may miss the worst of the norms, but none is worse than the least of them."""
    attacks = tuple(ATTACKS[norm] for norm in ("linf", "l2", "l1"))
    found = perturbed(SteepestDescent(attacks, steps=40))
    moves = (found.astype(np.float64) - IMAGES).reshape(12, -1)
    inside = [np.linalg.norm(moves, order, axis=1) <= size + 1e-5 for order, size in ((np.inf, 0.2), (2, 0.5), (1, 1.5))]
    assert np.any(inside, axis=0).all()
    each = np.stack([margins(perturbed(attack)) for attack in attacks])
    assert (margins(found) >= each.min(0) - 0.01).all()
    assert np.mean(margins(found)) > np.mean(each, axis=1).min()


def test_flips_turn_pixels_round() -> None:
    found = perturbed(PixelFlips(0.5))
    flipped = found != IMAGES
    np.testing.assert_allclose(found[flipped], 1.0 - IMAGES[flipped])
    assert 0.05 < flipped.mean() < 0.45


def test_one_after_the_other() -> None:
    found = perturbed(InTurn((UniformNoise(0.1), ATTACKS["linf"])))
    assert np.abs(found - IMAGES).max() <= 0.3 + 1e-6
    assert (margins(found) > margins(IMAGES)).all()


@pytest.mark.parametrize("values", [("linf", -0.1, 1, 1.0), ("linf", 0.3, 0, 1.0), ("linf", 0.3, 1, 0.0)])
def test_impossible_attacks(values: tuple[str, float, int, float]) -> None:
    with pytest.raises(ValueError, match=f"Received: epsilon={values[1]}, relative_step={values[3]}, steps={values[2]}"):
        ProjectedGradient(*values)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="Received: 'l3'"):
        ProjectedGradient("l3")
    with pytest.raises(ValueError, match="Received: 'hinge'"):
        ProjectedGradient(loss="hinge")
    with pytest.raises(ValueError, match="at least one perturbation"):
        WorstOf(())
    with pytest.raises(ValueError, match="each with one copy"):
        WorstOf((AllOf((UniformNoise(0.1), UniformNoise(0.2))),))
