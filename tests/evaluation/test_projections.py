"""Projections onto a ball within the box: against bisection in float64, a general solver, and what defines a projection."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from cortexzoo.evaluation.attacks.projections import nearest_within_l1, unit_l2, within_l2
from tests.evaluation.auto_pgd_reference import project

SHAPE = (5, 3, 2)
# Standard deviations of the moves, and radii from less than one pixel's room to more than all of it.
SCALES, RADII = (0.01, 0.3, 10.0), (1e-3, 0.7, 4.0, 100.0)


def moved(scale: float, count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images, of which some pixels are at the borders of the box, and moved points, of which some coordinates stay."""
    rng = np.random.default_rng(seed)
    images = np.clip(rng.uniform(-0.5, 1.5, (count, *SHAPE)), 0.0, 1.0).astype(np.float32)
    moves = rng.normal(0.0, scale, images.shape) * (rng.random(images.shape) < rng.uniform(0.1, 1.0, (count, 1, 1, 1)))
    return images, images + moves.astype(np.float32)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("epsilon", RADII)
def test_l1_is_that_of_bisection(epsilon: float, scale: float) -> None:
    images, points = moved(scale)
    found = nearest_within_l1(images, points, epsilon).numpy()
    expected = [
        project(image, point, epsilon, "l1")
        for image, point in zip(images.astype(np.float64), points.astype(np.float64), strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.all((found >= 0.0) & (found <= 1.0))
    assert np.abs(found.astype(np.float64) - images).sum(axis=(1, 2, 3)).max() <= epsilon * (1 + 1e-5) + 3e-6
    np.testing.assert_array_equal(found[points == images], images[points == images])


def test_l1_is_what_a_general_solver_finds() -> None:
    """Minimise (u - v - move)^2 over u, v >= 0 with u, v within the room and a sum of at most epsilon."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        image, move, epsilon = rng.random(6), rng.normal(0.0, 0.5, 6), 0.8
        solved = optimize.minimize(
            lambda parts, move=move: np.sum((parts[:6] - parts[6:] - move) ** 2),
            np.zeros(12),
            bounds=[*((0.0, 1.0 - x) for x in image), *((0.0, x) for x in image)],
            constraints={"type": "ineq", "fun": lambda parts: 0.8 - np.sum(parts)},
            options={"ftol": 1e-12, "maxiter": 500},
        )
        expected = image + solved.x[:6] - solved.x[6:]
        shape = (1, 1, 6, 1)
        found = nearest_within_l1(
            image.reshape(shape).astype(np.float32), (image + move).reshape(shape).astype(np.float32), epsilon
        )
        np.testing.assert_allclose(found.numpy().ravel(), expected, atol=1e-4)


@pytest.mark.parametrize("project_onto", [nearest_within_l1, within_l2])
def test_projecting_twice_changes_nothing(project_onto: object) -> None:
    images, points = moved(0.3)
    once = project_onto(tf.constant(images), tf.constant(points), 1.0)
    np.testing.assert_allclose(project_onto(tf.constant(images), once, 1.0), once, atol=1e-6)
    np.testing.assert_array_equal(project_onto(tf.constant(images), tf.constant(images), 1.0), images)


@pytest.mark.parametrize("scale", SCALES)
def test_l2_stays_in_the_ball_and_the_box(scale: float) -> None:
    images, points = moved(scale)
    found = within_l2(tf.constant(images), tf.constant(points), 0.5).numpy()
    expected = [project(image, point, 0.5, "l2") for image, point in zip(images, points, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1.0, 1e30])
def test_directions_of_any_size_have_length_one(size: float) -> None:
    values = np.random.default_rng(0).standard_normal((3, *SHAPE))
    values[2] = 0.0
    found = unit_l2(tf.constant((size * values).astype(np.float32))).numpy()
    np.testing.assert_allclose(np.sqrt(np.sum(found**2, axis=(1, 2, 3)))[:2], 1.0, rtol=1e-4)
    np.testing.assert_allclose(
        found[:2], (values / np.sqrt(np.sum(values**2, (1, 2, 3), keepdims=True) + 1e-300))[:2], atol=1e-4
    )
    np.testing.assert_array_equal(found[2], 0.0)
