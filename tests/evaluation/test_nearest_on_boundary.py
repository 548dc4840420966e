"""The problem of a Brendel-Bethge step, against a general solver and against what its constraints say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from cortexzoo.evaluation.attacks.nearest_on_boundary import nearest_on_boundary

SIZE = 8
NORMS = ("linf", "l2", "l1", "l0")
REGIONS = st.sampled_from([10.0, 1.0, 0.3, 0.05, 0.01])


def problem(seed: int, count: int = 5) -> tuple[np.ndarray, ...]:
    """Current points, images, normals and wanted changes of some samples."""
    rng = np.random.default_rng(seed)
    current, images = rng.random((2, count, SIZE)).astype(np.float32)
    normals = rng.standard_normal((count, SIZE)).astype(np.float32)
    wanted = (0.5 * rng.standard_normal(count)).astype(np.float32)
    return current, images, normals, wanted


def radii(radius: float, count: int = 5) -> np.ndarray:
    return np.full(count, radius, np.float32)


def solve(seed: int, radius: float, norm: str) -> tuple[np.ndarray, ...]:
    current, images, normals, wanted = problem(seed)
    moves = nearest_on_boundary(images - current, normals, wanted, -current, 1 - current, radii(radius), norm)
    return current, images, normals, wanted, moves


def length(values: np.ndarray) -> np.ndarray:
    return np.linalg.norm(values, axis=1)


@pytest.mark.parametrize("norm", NORMS)
@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10_000), REGIONS)
def test_moves_stay_within_box_and_region(norm: str, seed: int, radius: float) -> None:
    current, _, normals, wanted, moves = solve(seed, radius, norm)
    assert moves.dtype == np.float32
    assert np.all(length(moves) <= radius * (1 + 1e-3))
    assert np.all((current + moves >= -1e-6) & (current + moves <= 1 + 1e-6))
    # The boundary is reached, or the region is used up, or every value that helps is at its bound.
    reached = np.sum(normals * moves, axis=1)
    missed = reached < wanted - 0.03 * np.abs(wanted) - 1e-5
    stuck = np.all(np.abs(moves - np.where(normals * np.sign(wanted)[:, None] > 0, 1 - current, -current)) < 1e-2, axis=1)
    assert np.all(~missed | (length(moves) > radius * 0.98) | stuck)


def distance_by_linear_program(z, b, c, low, high, norm) -> float:
    """The least ||z - d|| in Linf or L1 without a region, with slack variables."""
    if norm == "linf":
        cost, slack = np.r_[np.zeros(SIZE), 1.0], np.ones((SIZE, 1))
    else:
        cost, slack = np.r_[np.zeros(SIZE), np.ones(SIZE)], np.eye(SIZE)
    above = np.block([[np.eye(SIZE), -slack], [-np.eye(SIZE), -slack]])
    bounds = [*zip(low, high, strict=True), *[(0, None)] * slack.shape[1]]
    equality = np.r_[b, np.zeros(slack.shape[1])][None]
    found = linprog(cost, A_ub=above, b_ub=np.r_[z, -z], A_eq=equality, b_eq=[c], bounds=bounds)
    return found.fun if found.success else np.inf


@pytest.mark.parametrize("norm", ["linf", "l1"])
@pytest.mark.parametrize("seed", range(8))
def test_nearest_without_a_region_is_that_of_a_linear_program(norm: str, seed: int) -> None:
    current, images, normals, _, moves = solve(seed, 10.0, norm)
    order = {"linf": np.inf, "l1": 1}[norm]
    for i, move in enumerate(moves.astype(float)):
        z, low, high = (images - current)[i], -current[i], 1 - current[i]
        # With what the move really gains: it may be a little more than wanted.
        least = distance_by_linear_program(z, normals[i], normals[i] @ move, low, high, norm)
        assert np.linalg.norm(z - move, order) <= 1.01 * least + 1e-3


@pytest.mark.parametrize("radius", [10.0, 0.6])
@pytest.mark.parametrize("seed", range(8))
def test_nearest_in_l2_is_that_of_a_general_solver(seed: int, radius: float) -> None:
    current, images, normals, wanted, moves = solve(seed, radius, "l2")
    for i, move in enumerate(moves.astype(float)):
        z, b = (images - current)[i].astype(float), normals[i].astype(float)
        if b @ move < wanted[i] - 0.03 * abs(wanted[i]) - 1e-5:
            continue  # out of reach
        constraints = [
            {"type": "eq", "fun": lambda d, b=b, gained=b @ move: b @ d - gained},
            {"type": "ineq", "fun": lambda d: radius**2 - d @ d},
        ]
        bounds = list(zip(-current[i], 1 - current[i], strict=True))
        found = minimize(lambda d, z=z: np.sum((z - d) ** 2), move, bounds=bounds, constraints=constraints, method="SLSQP")
        assert np.sum((z - move) ** 2) <= 1.02 * found.fun + 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_nearest_in_l0_changes_few_values(seed: int) -> None:
    # With one large slope a single value does it: the others return to the image.
    current, images, normals, _ = problem(seed)
    normals *= 0.01
    normals[:, 3] = 10.0
    wanted = (normals * (images - current)).sum(axis=1) + 10 * np.where(images[:, 3] < 0.5, 0.3, -0.3)
    moves = nearest_on_boundary(images - current, normals, wanted, -current, 1 - current, radii(10.0), "l0")
    changed = np.abs(images - current - moves) > 1e-4
    assert np.all(changed[:, np.arange(SIZE) != 3].sum(axis=1) == 0)


def test_flat_boundary_gives_no_direction() -> None:
    current, images, normals, wanted = problem(0)
    moves = nearest_on_boundary(images - current, 0 * normals, wanted, -current, 1 - current, radii(1.0), "l2")
    np.testing.assert_array_equal(moves, 0.0)
