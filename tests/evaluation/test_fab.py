"""FAB: its projections against solvers, its distances against closed forms and other attacks."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from cortexzoo.evaluation.attacks import FAB, Attack, Batch, BrendelBethge, DecoupledDirectionNorm
from cortexzoo.evaluation.attacks.fab_projection import nearest_on_hyperplane
from cortexzoo.evaluation.attacks.registry import build_attack
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import reached
from tests.evaluation.test_attacks_closed_form import EPSILONS, Problem, excess, problem

NORMS = ("linf", "l2", "l1")
SIZE = 8
every_norm = pytest.mark.parametrize("norm", NORMS)


def planes(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, values and slopes; many coordinates at the box, some slopes 0, some equal."""
    rng = np.random.default_rng(seed)
    points = np.clip(rng.uniform(-0.5, 1.5, (count, SIZE)), 0, 1)
    slopes = rng.standard_normal((count, SIZE)) * 10.0 ** rng.uniform(-2, 0, (count, SIZE))
    slopes[rng.random(slopes.shape) < 0.2] = 0.0
    slopes[: count // 4] = np.sign(slopes[: count // 4])
    values = rng.standard_normal(count)
    return points.astype(np.float32), values.astype(np.float32), slopes.astype(np.float32)


def within_reach(points: np.ndarray, values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """By how much the values can change towards 0 before the box ends, as a multiple of what is needed."""
    towards = -np.sign(values)[:, None] * slopes
    gained = np.sum(np.where(towards > 0, towards * (1 - points), -towards * points), axis=1)
    return gained / np.abs(values)


def least_move(point: np.ndarray, value: float, slope: np.ndarray, norm: str) -> float:
    """The length of the smallest move to the hyperplane, by a general solver."""
    low, high = -point.astype(np.float64), 1 - point.astype(np.float64)
    if norm == "l2":
        plane = {"type": "eq", "fun": lambda d: value + slope @ d, "jac": lambda _: slope}
        options = {"ftol": 1e-14, "maxiter": 500}
        # From a point of the hyperplane, which is where the solver works best.
        start = linprog(np.zeros(SIZE), A_eq=slope[None], b_eq=[-value], bounds=list(zip(low, high, strict=True))).x
        bounds = list(zip(low, high, strict=True))
        found = minimize(lambda d: d @ d, start, jac=lambda d: 2 * d, bounds=bounds, constraints=plane, options=options)
        return float(np.linalg.norm(found.x))
    # |d_i| <= t_i, in Linf all of them the same: the coordinates and their bounds are the unknowns.
    bounds_of = np.eye(SIZE) if norm == "l1" else np.ones((SIZE, 1))
    extra = bounds_of.shape[1]
    found = linprog(
        np.r_[np.zeros(SIZE), np.ones(extra)],
        A_ub=np.block([[np.eye(SIZE), -bounds_of], [-np.eye(SIZE), -bounds_of]]),
        b_ub=np.zeros(2 * SIZE),
        A_eq=np.r_[slope, np.zeros(extra)][None],
        b_eq=[-value],
        bounds=[*zip(low, high, strict=True), *[(0, None)] * extra],
    )
    return float(found.fun)


def length(moves: np.ndarray, norm: str) -> np.ndarray:
    return np.linalg.norm(moves, {"linf": np.inf, "l2": 2, "l1": 1}[norm], axis=1)


@every_norm
def test_projections_are_the_nearest_points_of_hyperplane_and_box(norm: str) -> None:
    points, values, slopes = planes(0, 100)
    reach = within_reach(points, values, slopes)
    moves = nearest_on_hyperplane(points, values, slopes, norm).numpy()
    assert np.all((points + moves > -1e-6) & (points + moves < 1 + 1e-6))
    chosen = np.flatnonzero(reach > 1.001)
    assert 30 < len(chosen) < 90
    np.testing.assert_allclose((values + np.sum(slopes * moves, axis=1))[chosen], 0.0, atol=2e-6)
    best = [least_move(points[i], values[i], slopes[i], norm) for i in chosen]
    np.testing.assert_allclose(length(moves, norm)[chosen], best, rtol=1e-4, atol=1e-6)


@every_norm
def test_out_of_reach_the_moves_end_at_the_box(norm: str) -> None:
    points, values, slopes = planes(1, 100)
    far = within_reach(points, values, slopes) < 0.999
    moves = nearest_on_hyperplane(points, values, slopes, norm).numpy()
    towards = -np.sign(values)[:, None] * np.sign(slopes)
    end = np.where(towards > 0, 1.0, np.where(towards < 0, 0.0, points))
    assert far.sum() > 10
    np.testing.assert_allclose((points + moves)[far], end[far], atol=1e-6)


@every_norm
def test_nothing_moves_on_the_plane_or_where_there_is_no_slope(norm: str) -> None:
    points, values, slopes = planes(2, 10)
    for given in ((values * 0, slopes), (values, slopes * 0)):
        np.testing.assert_array_equal(nearest_on_hyperplane(points, *given, norm), 0.0)


@pytest.fixture(scope="module")
def five_classes(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(tmp_path_factory.mktemp("five"), 5, 100.0)


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(tmp_path_factory.mktemp("two"), 2, 5.0)


@every_norm
@pytest.mark.parametrize("classes", ["two_classes", "five_classes"])
def test_linear_boundaries_are_found_exactly(norm: str, classes: str, request: pytest.FixtureRequest) -> None:
    assert excess(FAB(norm=norm, steps=10), request.getfixturevalue(classes)).max() < 1.002


@every_norm
def test_each_class_is_aimed_at_in_turn(norm: str, five_classes: Problem) -> None:
    batch, rows = five_classes.batch, np.arange(len(five_classes.batch))
    likeliest = np.argsort(-five_classes.classifier.serving_logits(batch.images), axis=1)
    for classes in (1, 2, 4):
        # Only faces of the likeliest classes, of which the nearest counts.
        expected = np.min([five_classes.to_class[norm][rows, likeliest[:, k]] for k in range(1, classes + 1)], axis=0)
        found = reached(FAB(norm=norm, steps=10, target_classes=classes), five_classes.classifier, batch)
        # On the way to one class another may win.
        assert np.all(found < expected * 1.002)
        assert np.all(found > five_classes.truth[norm] * 0.9998)


@pytest.mark.parametrize(
    ("norm", "other"),
    [
        ("l2", DecoupledDirectionNorm()),
        ("l2", BrendelBethge(norm="l2", steps=200)),
        ("linf", BrendelBethge(norm="linf", steps=200)),
        ("l1", BrendelBethge(norm="l1", steps=200)),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_as_near_as_other_minimising_attacks(
    norm: str, other: Attack, digits_classifier: Classifier, digits_batch: Batch
) -> None:
    ours, theirs = (reached(attack, digits_classifier, digits_batch) for attack in (FAB(norm=norm, steps=50), other))
    assert np.all(np.isfinite(ours))
    assert np.median(ours) < 1.02 * np.median(theirs)


@every_norm
def test_samples_leave_at_epsilon_and_none_is_missed(
    norm: str, tiny_classifier: Classifier, tiny_batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = reached(FAB(norm=norm, steps=20), tiny_classifier, tiny_batch)
    epsilon, search, sizes = float(np.median(least)), FAB._search, []

    def counted(self: FAB, classifier: Classifier, endpoint: str, batch: Batch, *rest: object) -> tuple:
        sizes.append(len(batch))
        return search(self, classifier, endpoint, batch, *rest)

    monkeypatch.setattr(FAB, "_search", counted)
    found = reached(FAB(norm=norm, steps=20, epsilon=epsilon), tiny_classifier, tiny_batch)
    np.testing.assert_array_equal(found <= epsilon, least <= epsilon)
    # The others went on to the end, with the second class too.
    np.testing.assert_allclose(found[least > epsilon], least[least > epsilon], rtol=1e-3)
    assert np.all(found >= least * (1 - 1e-3))
    assert sizes[0] == len(tiny_batch)
    assert np.sum(least > epsilon) <= sizes[1] < len(tiny_batch)


@every_norm
@pytest.mark.parametrize("more", [{"restarts": 4}, {"target_classes": 3}, {"steps": 30}], ids=lambda more: next(iter(more)))
def test_more_of_each_ends_no_farther(norm: str, more: dict, digits_classifier: Classifier, digits_batch: Batch) -> None:
    # One step, from which luck may lead nearer than another one.
    base = FAB(norm=norm, steps=1, target_classes=1)
    one, several = (reached(dataclasses.replace(base, **more), digits_classifier, digits_batch) for more in ({}, more))
    # The last bisection of the line starts elsewhere.
    assert np.all(several <= one * 1.002)
    assert np.any(several < one * 0.99)


@every_norm
def test_a_result_depends_on_sample_and_seed_alone(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = FAB(norm=norm, epsilon=0.01, steps=5, restarts=2)
    together = attack.run(tiny_classifier, "logits", tiny_batch)
    assert together.min() >= 0.0
    assert together.max() <= 1.0
    np.testing.assert_array_equal(attack.run(tiny_classifier, "logits", tiny_batch), together)
    order = np.random.default_rng(0).permutation(len(tiny_batch))
    parts = [attack.run(tiny_classifier, "logits", tiny_batch.take(chosen)) for chosen in (order[:1], order[1:5], order[5:])]
    np.testing.assert_allclose(np.concatenate(parts), together[order], atol=1e-3)


def test_random_starts_follow_the_seed(digits_classifier: Classifier, digits_batch: Batch) -> None:
    attack = FAB(norm="l2", steps=1, restarts=4, target_classes=1)
    other = attack.run(digits_classifier, "logits", dataclasses.replace(digits_batch, seed=1))
    assert np.any(other != attack.run(digits_classifier, "logits", digits_batch))


@every_norm
def test_logits_of_any_size_have_the_same_boundary(norm: str, of_any_size: list[tuple[Classifier, Batch]]) -> None:
    ordinary, *others = (FAB(norm=norm, steps=10).run(classifier, "logits", batch) for classifier, batch in of_any_size)
    for found in others:
        np.testing.assert_allclose(found, ordinary, atol=1e-3)


def test_through_a_surrogate_that_decides_otherwise(behind_a_rounding: tuple[Classifier, Batch]) -> None:
    through = reached(FAB(norm="l2"), *behind_a_rounding, "attack_logits")
    assert np.mean(np.isfinite(through)) > 0.8
    # Without any gradient, steps in random directions.
    blind = reached(FAB(norm="l2"), *behind_a_rounding)
    assert np.mean(np.isfinite(blind)) > 0.5
    assert np.median(blind) > np.median(through)


def test_by_name_it_minimises_unless_a_size_is_given() -> None:
    assert build_attack("fab", "l2", None, 1.5) == FAB(norm="l2")
    assert build_attack("fab", "l2", 0.5, 1.5) == FAB(norm="l2", epsilon=0.5)


def test_images_within_epsilon_are_found_at_the_threshold(two_classes: Problem) -> None:
    for norm in NORMS:
        attack = FAB(norm=norm, epsilon=EPSILONS[norm], steps=10)
        images = attack.run(two_classes.classifier, "logits", two_classes.batch)
        broken = distances(two_classes.batch.images, images, norm) <= EPSILONS[norm]
        np.testing.assert_array_equal(broken, two_classes.truth[norm] * 1.002 <= EPSILONS[norm])
