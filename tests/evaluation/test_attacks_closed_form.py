"""Linear classifiers far from the borders of the box: the distance to the boundary is known; attacks must find it.

For logits W x + b the distance in L_p to class j is margin_j / ||w_y - w_j||_q with 1/p + 1/q = 1; a sample's distance is
the least over j. A recorded distance below it is impossible, a distance much above it is a weak attack.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import (
    LBFGS,
    SPSA,
    Attack,
    BasicIterativeMethod,
    Batch,
    BoundaryAttack,
    BrendelBethge,
    CarliniWagnerL2,
    DecoupledDirectionNorm,
    DeepFool,
    ElasticNet,
    FastGradientMethod,
    L1Descent,
    MadryEtAl,
    MomentumIterativeMethod,
    ProjectedGradientDescent,
    SparseL1Descent,
)
from cortexzoo.evaluation.attacks.starting_points import StartingPoints
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import TINY, dense, save_classifier

DUALS = {"linf": 1, "l2": 2, "l1": np.inf}
# Thresholds as far from the true distances as in a real table: some samples are below, some above, by a factor of ten.
EPSILONS = {"linf": 0.01, "l2": 0.04, "l1": 0.06}
# float32: margins of 1e-2 with a rounding error of 1e-6.
BELOW = 2e-4


@dataclasses.dataclass(frozen=True)
class Problem:
    """A linear classifier and samples whose distances are known, to each class and to the nearest."""

    classifier: Classifier
    batch: Batch
    to_class: dict[str, np.ndarray]

    @property
    def truth(self) -> dict[str, np.ndarray]:
        """The distance of each sample."""
        return {norm: values.min(axis=1) for norm, values in self.to_class.items()}


def problem(directory: Path, classes: int, sharpness: float) -> Problem:
    """Builds one; `sharpness` multiplies the logits, so that the softmax has a clear second class."""
    rng = np.random.default_rng(classes)
    weights = rng.standard_normal((16, classes))
    images = rng.uniform(0.45, 0.55, (100, *TINY.image_shape)).astype(np.float32)
    flat = images.reshape(len(images), -1).astype(np.float64)
    # Every class starts with the same logit in the middle of the cube.
    bias = -0.5 * weights.sum(axis=0)
    network = dense((sharpness * weights, sharpness * bias))
    path = save_classifier(directory / "1", network, TINY.image_shape, network.variables)
    info = dataclasses.replace(TINY, class_names=tuple(str(i) for i in range(classes)))
    classifier = Classifier(path, info, images)
    # What float32 really computes with.
    weights, bias = (value.numpy().astype(np.float64) for value in network.layers[0])
    logits = flat @ weights + bias
    labels = logits.argmax(axis=1)
    rows = np.arange(len(images))
    to_class = {}
    for norm, dual in DUALS.items():
        slopes = np.linalg.norm(weights[:, labels][:, :, None] - weights[:, None, :], dual, axis=0)
        slopes[rows, labels] = 1.0
        to_class[norm] = (logits[rows, labels][:, None] - logits) / slopes
        to_class[norm][rows, labels] = np.inf
    truth = {norm: values.min(axis=1) for norm, values in to_class.items()}
    # Distances from a tenth to ten times the threshold. The closed form ignores the box, into which all must fit: an L1
    # attack may put all of the distance into one pixel.
    fits = np.all([(truth[n] > EPSILONS[n] / 10) & (truth[n] < EPSILONS[n] * 10) for n in DUALS], axis=0) & (
        truth["l1"] < 0.4
    )
    chosen = np.flatnonzero(fits)[:12]
    below = sum(np.sum(truth[norm][chosen] < EPSILONS[norm]) for norm in DUALS)
    assert len(chosen) == 12
    assert 0 < below < 36
    candidates = rng.random((200, *TINY.image_shape), np.float32)
    batch = Batch(images, labels, rows, 0).take(chosen)
    starts = StartingPoints(classifier, Split(candidates, np.zeros(200, np.int64), np.arange(200))).of(batch)
    return Problem(classifier, dataclasses.replace(batch, starts=starts), {norm: to_class[norm][chosen] for norm in DUALS})


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(tmp_path_factory.mktemp("two"), 2, 5.0)


@pytest.fixture(scope="module")
def five_classes(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(tmp_path_factory.mktemp("five"), 5, 100.0)


def excess(attack: Attack, given: Problem) -> np.ndarray:
    """Found distance / true distance, for every sample."""
    images = attack.run(given.classifier, "logits", given.batch)
    assert np.all(given.classifier.predict(images) != given.batch.labels)
    ratio = distances(given.batch.images, images, attack.norm) / given.truth[attack.norm]
    # No attack may find what does not exist.
    assert ratio.min() > 1 - BELOW
    return ratio


def first(given: Problem, count: int) -> Problem:
    """The problem with fewer samples."""
    truth = {norm: values[:count] for norm, values in given.to_class.items()}
    return Problem(given.classifier, given.batch.take(np.arange(count)), truth)


def gradient_attack(attack_class: type, norm: str) -> Attack:
    return attack_class(
        norm=norm, epsilon=EPSILONS[norm], **({"rounds": 12} if attack_class is not FastGradientMethod else {})
    )


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_one_step_is_exact_for_two_classes(norm: str, two_classes: Problem) -> None:
    assert excess(gradient_attack(FastGradientMethod, norm), two_classes).max() < 1.01


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack_class", [BasicIterativeMethod, MomentumIterativeMethod])
def test_steps_from_the_image_are_exact_for_two_classes(attack_class: type, norm: str, two_classes: Problem) -> None:
    assert excess(gradient_attack(attack_class, norm), two_classes).max() < 1.01


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_end_within_the_search_tolerance(norm: str, two_classes: Problem) -> None:
    # The bracket ends at 5 %, and 1 / (1 - 0.05) = 1.053.
    assert excess(gradient_attack(ProjectedGradientDescent, norm), two_classes).max() < 1.055


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_madry_cannot_cross_the_ball(norm: str, two_classes: Problem) -> None:
    # 40 steps of eps / 30 are 4/3 of the radius: where the start lies on the wrong side they do not reach the far one. On
    # average over uniform starts a Linf coordinate ends at 8/9 of epsilon.
    ratio = excess(gradient_attack(MadryEtAl, norm), two_classes)
    assert ratio.max() < 1.4
    assert np.median(ratio) < 1.2


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("attack_class", "worst", "median"),
    [
        (ProjectedGradientDescent, 1.15, 1.05),
        (BasicIterativeMethod, 1.15, 1.01),
        (MomentumIterativeMethod, 1.2, 1.01),
        (MadryEtAl, 1.5, 1.25),
    ],
)
def test_iterative_attacks_find_the_nearest_of_several_classes(
    attack_class: type, worst: float, median: float, norm: str, five_classes: Problem
) -> None:
    # The cross-entropy mixes classes that are about equally near.
    ratio = excess(gradient_attack(attack_class, norm), five_classes)
    assert ratio.max() < worst
    assert np.median(ratio) < median


@pytest.mark.parametrize("classes", ["two_classes", "five_classes"])
@pytest.mark.parametrize(
    ("attack", "worst", "median"),
    [
        (CarliniWagnerL2(learning_rate=1e-2), 1.06, 1.01),
        # The suites' steps are made for distances about 30 times as large.
        (CarliniWagnerL2(), 1.2, 1.03),
    ],
    ids=["small steps", "defaults"],
)
def test_carlini_wagner_finds_the_nearest_class(
    attack: CarliniWagnerL2, worst: float, median: float, classes: str, request: pytest.FixtureRequest
) -> None:
    ratio = excess(attack, request.getfixturevalue(classes))
    assert ratio.max() < worst
    assert np.median(ratio) < median


@pytest.mark.parametrize("classes", ["two_classes", "five_classes"])
def test_spsa_comes_close_without_gradients(classes: str, request: pytest.FixtureRequest) -> None:
    attack = SPSA(epsilon=EPSILONS["linf"], rounds=10, steps=60, directions=32, learning_rate=0.003)
    ratio = excess(attack, request.getfixturevalue(classes))
    assert ratio.max() < 1.2
    assert np.median(ratio) < 1.05


@pytest.mark.parametrize("classes", ["two_classes", "five_classes"])
@pytest.mark.parametrize(
    ("attack", "worst", "median"),
    [
        (DeepFool(norm="l2"), 1.01, 1.01),
        (DeepFool(norm="linf"), 1.01, 1.01),
        (DecoupledDirectionNorm(initial_epsilon=0.1), 1.1, 1.03),
        (DecoupledDirectionNorm(initial_epsilon=0.1, loss="margin"), 1.1, 1.03),
    ],
    ids=lambda value: f"{value.name} {value.norm}" if hasattr(value, "name") else None,
)
def test_minimising_attacks_find_the_nearest_class(
    attack: Attack, worst: float, median: float, classes: str, request: pytest.FixtureRequest
) -> None:
    ratio = excess(attack, request.getfixturevalue(classes))
    assert ratio.max() < worst
    assert np.median(ratio) < median


@pytest.mark.parametrize("rescale", [False, True])
def test_lbfgs_is_exact_for_two_classes(rescale: bool, two_classes: Problem) -> None:
    assert excess(LBFGS(rescale=rescale, rounds=2), first(two_classes, 4)).max() < 1.01


def test_lbfgs_finds_the_nearest_of_several_classes(five_classes: Problem) -> None:
    # The cross-entropy mixes classes that are about equally near.
    ratio = excess(LBFGS(constant=1000.0, rounds=4, targets=2), first(five_classes, 4))
    assert ratio.max() < 1.3
    assert np.median(ratio) < 1.1


@pytest.mark.parametrize(
    "attack",
    [*(BrendelBethge(norm=norm, steps=200) for norm in ("l2", "linf", "l1")), BoundaryAttack(steps=5000)],
    ids=lambda attack: f"{attack.name} {attack.norm}",
)
def test_walks_along_the_boundary_end_at_its_nearest_point(
    attack: Attack, two_classes: Problem, five_classes: Problem
) -> None:
    assert excess(attack, two_classes).max() < 1.03
    # Of several faces a walk may end on another one than the nearest, but there it ends at the nearest point.
    images = attack.run(five_classes.classifier, "logits", five_classes.batch)
    predicted = five_classes.classifier.predict(images)
    of_face = five_classes.to_class[attack.norm][np.arange(len(predicted)), predicted]
    reached = distances(five_classes.batch.images, images, attack.norm)
    assert np.median(reached / of_face) < 1.03
    assert np.mean(excess(attack, five_classes) < 1.03) >= 0.5


def test_elastic_net_is_near_the_l1_optimum(two_classes: Problem) -> None:
    attack = ElasticNet(step_size=1e-3, regularization=1e-4, initial_constant=1e-2, decision_rule="L1")
    ratio = excess(attack, two_classes)
    assert np.median(ratio) < 1.1


def test_sparse_steps_put_all_into_the_best_pixel(two_classes: Problem) -> None:
    attack = SparseL1Descent(epsilon=EPSILONS["l1"], rounds=12)
    assert excess(attack, two_classes).max() < 1.01


def test_dense_l1_steps_pay_for_every_pixel(two_classes: Problem) -> None:
    """A step along the gradient costs ||g||_1 for a gain of ||g||_2^2; the best pixel costs 1 for max |g|."""
    attack = L1Descent(epsilon=EPSILONS["l1"], steps=1, relative_step=1.0, rounds=12)
    ratio = excess(attack, two_classes)
    weights = two_classes.classifier.endpoint("logits")(np.eye(16, dtype=np.float32).reshape(16, 4, 4, 1)).numpy()
    slope = weights[:, 0] - weights[:, 1]
    slope -= two_classes.classifier.endpoint("logits")(np.zeros((1, 4, 4, 1), np.float32)).numpy()[0] @ [1, -1]
    expected = np.abs(slope).sum() * np.abs(slope).max() / np.sum(slope**2)
    np.testing.assert_allclose(ratio, expected, rtol=0.02)
