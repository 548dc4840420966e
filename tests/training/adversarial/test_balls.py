"""The balls of the four norms: what stays inside, what is nearest, and which way a step goes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy.optimize import minimize

from cortexzoo.training.adversarial.balls import BALLS

GENERATOR = np.random.default_rng(3)
IMAGES = GENERATOR.random((6, 4, 5, 2), np.float32)
EPSILONS = {"linf": 0.2, "l2": 0.7, "l1": 2.0, "l0": 3.0}


def sizes(norm: str, points: np.ndarray) -> np.ndarray:
    """The distance of each point from its image; in L0 in pixels."""
    moves = (np.asarray(points, np.float64) - IMAGES).reshape(len(IMAGES), -1)
    if norm == "l0":
        return np.any(np.asarray(points) != IMAGES, axis=-1).sum(axis=(1, 2))
    return np.linalg.norm(moves, {"linf": np.inf, "l2": 2, "l1": 1}[norm], axis=1)


@settings(max_examples=25, deadline=None)
@given(norm=st.sampled_from(sorted(BALLS)), scale=st.floats(0.0, 1.0), spread=st.floats(0.0, 5.0), seed=st.integers(0, 99))
def test_projections_end_in_the_ball_and_the_box(norm: str, scale: float, spread: float, seed: int) -> None:
    epsilon = np.float32(scale * EPSILONS[norm])
    moved = IMAGES + np.float32(spread) * np.random.default_rng(seed).standard_normal(IMAGES.shape).astype("float32")
    start = BALLS[norm].start(IMAGES, epsilon, keras.random.SeedGenerator(seed))
    for points in (start, BALLS[norm].project(IMAGES, moved, epsilon)):
        points = ops.convert_to_numpy(points)
        assert points.min() >= 0.0
        assert points.max() <= 1.0
        assert (sizes(norm, points) <= epsilon * (1 + 1e-5) + 1e-6).all()


@pytest.mark.parametrize("norm", sorted(BALLS))
def test_what_is_inside_stays(norm: str) -> None:
    inside = ops.convert_to_numpy(BALLS[norm].start(IMAGES, EPSILONS[norm], keras.random.SeedGenerator(0)))
    assert (sizes(norm, inside) > 0).any()
    np.testing.assert_allclose(ops.convert_to_numpy(BALLS[norm].project(IMAGES, inside, EPSILONS[norm])), inside, atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_projections_are_the_nearest_points(norm: str) -> None:
    """Against a general solver, on one small image."""
    image, point = IMAGES[:1, :2, :2, :1], IMAGES[:1, :2, :2, :1] + np.array([0.9, -0.6, 0.2, -0.1]).reshape(1, 2, 2, 1)
    epsilon = 0.4 if norm == "l1" else 0.15
    found = ops.convert_to_numpy(BALLS[norm].project(image, point.astype("float32"), epsilon)).ravel()
    x, order = image.ravel().astype(float), {"linf": np.inf, "l1": 1}[norm]
    limit = {"type": "ineq", "fun": lambda y: epsilon - np.linalg.norm(y - x, order)}
    best = minimize(
        lambda y: np.sum((y - point.ravel()) ** 2), x, bounds=[(0, 1)] * 4, constraints=[limit], method="SLSQP", tol=1e-12
    )
    np.testing.assert_allclose(found, best.x, atol=2e-3)
    assert np.sum((found - point.ravel()) ** 2) <= best.fun + 1e-5


@pytest.mark.parametrize("norm", sorted(BALLS))
def test_steps_raise_a_linear_loss_by_their_length(norm: str) -> None:
    """No step of the same length raises it more, but that of L1, which is shared by a fortieth of the coordinates."""
    gradient = GENERATOR.standard_normal(IMAGES.shape).astype("float32")
    images = np.full_like(IMAGES, 0.5)
    moves = ops.convert_to_numpy(BALLS[norm].step(images, images, gradient, 0.1)) - images
    flat, slopes = moves.reshape(len(moves), -1), gradient.reshape(len(moves), -1)
    order, dual = {"linf": (np.inf, 1), "l2": (2, 2), "l1": (1, np.inf), "l0": (np.inf, None)}[norm]
    np.testing.assert_allclose(np.linalg.norm(flat, order, axis=1), 0.1, rtol=1e-4)
    if dual is not None:
        np.testing.assert_allclose((flat * slopes).sum(1), 0.1 * np.linalg.norm(slopes, dual, axis=1), rtol=1e-4)


def test_l1_steps_pass_by_values_at_the_border() -> None:
    gradient = np.ones((1, 2, 2, 1), "float32") * np.array([4.0, 3.0, 2.0, 1.0], "float32").reshape(1, 2, 2, 1)
    images = np.array([1.0, 0.5, 0.5, 0.5], "float32").reshape(1, 2, 2, 1)
    moves = ops.convert_to_numpy(BALLS["l1"].step(images, images, gradient, 0.1)) - images
    np.testing.assert_allclose(moves.ravel(), [0.0, 0.1, 0.0, 0.0], atol=1e-6)


def test_l0_keeps_the_pixels_that_moved_farthest() -> None:
    moved = IMAGES.copy()
    moved[:, 0, 0] += 0.5
    moved[:, 1, 2] -= 0.4
    moved[:, 3, 3] += 0.01
    kept = ops.convert_to_numpy(BALLS["l0"].project(np.full_like(IMAGES, 0.5), moved - IMAGES + 0.5, 2.0))
    changed = np.any(kept != 0.5, axis=-1)
    assert changed[:, 0, 0].all()
    assert changed[:, 1, 2].all()
    assert (changed.sum(axis=(1, 2)) == 2).all()
