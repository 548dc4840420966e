"""AutoPGD: closed forms, the papers' algorithms written down plainly, another implementation, and what always holds."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.evaluation.attacks import AutoPGD, Batch
from cortexzoo.evaluation.attacks.auto_pgd_steps import MomentumSteps, SparseSteps
from cortexzoo.evaluation.attacks.logit_losses import TARGETED
from cortexzoo.evaluation.attacks.magnified_gradient import evaluation, usable
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.auto_pgd_reference import auto_pgd, sparse_auto_pgd
from tests.evaluation.small_models import TINY, correct_batch, random_network, save_classifier, tiny_split
from tests.evaluation.test_attacks_closed_form import Problem, problem

NORMS = ("linf", "l2", "l1")
# Some tiny images are broken at these radii and others are not.
RADII = {"linf": 0.06, "l2": 0.2, "l1": 0.5}
every_norm = pytest.mark.parametrize("norm", NORMS)


def broken(attack: AutoPGD, classifier: Classifier, batch: Batch, endpoint: str = "logits") -> np.ndarray:
    """Which samples the attack breaks, after checking that its images are within epsilon and the box."""
    images = batch.check(attack.run(classifier, endpoint, batch), attack.name)
    assert distances(batch.images, images, attack.norm).max() <= attack.epsilon * (1 + 1e-5)
    return classifier.misclassifies(images, batch.labels)


@pytest.fixture(scope="module", params=[(2, 5.0), (5, 100.0)], ids=["two classes", "five classes"])
def linear(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(tmp_path_factory.mktemp("linear"), *request.param)


@every_norm
@pytest.mark.parametrize("loss", ["cross_entropy", "targeted_dlr"])
def test_breaks_what_is_nearer_than_epsilon_and_nothing_else(loss: str, norm: str, linear: Problem) -> None:
    truth = linear.truth[norm]
    # Just beyond the distance of one sample, and just below it.
    for epsilon in (np.sort(truth)[5] * 1.01, np.sort(truth)[5] * 0.999):
        attack = AutoPGD(norm=norm, epsilon=epsilon, loss=loss, large_radii=norm == "l1")
        found, expected = broken(attack, linear.classifier, linear.batch), truth < epsilon
        # No attack may find what does not exist.
        assert not np.any(found & ~expected)
        # Untargeted losses may follow a class that is not the nearest.
        assert np.sum(found != expected) <= (0 if loss in TARGETED else 2)


@pytest.fixture(scope="module")
def objectives(tiny_classifier: Classifier) -> Callable[[int, int], Callable]:
    """For a label and an image shape, the loss and the gradient by TensorFlow alone."""
    logits_of = tiny_classifier.endpoint("logits")

    @tf.function(autograph=False)
    def margin(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            logits = logits_of(image[None])[0]
            value = tf.reduce_max(tf.where(tf.range(3, dtype=tf.int64) == label, -1e9, logits)) - logits[label]
        return value, tape.gradient(value, image)

    def objective(label: int) -> Callable:
        def values(image: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = margin(tf.constant(image, tf.float32), tf.constant(label, tf.int64))
            return float(value), gradient.numpy().astype(np.float64)

        return values

    return objective


@every_norm
def test_steps_are_those_of_the_papers(
    norm: str, tiny_classifier: Classifier, tiny_batch: Batch, objectives: Callable
) -> None:
    # At this radius nearly all samples take all their steps.
    epsilon, steps = RADII[norm] / 10, 30
    ours = AutoPGD(norm=norm, epsilon=epsilon, steps=steps, loss="margin")
    start = ours._start(tiny_batch, 0)
    images = ours.run(tiny_classifier, "logits", tiny_batch)
    unbroken = np.flatnonzero(~tiny_classifier.misclassifies(images, tiny_batch.labels))
    assert len(unbroken) > 12
    same = 0
    for i in unbroken:
        objective = objectives(tiny_batch.labels[i])
        given = (tiny_batch.images[i].astype(np.float64), start[i].astype(np.float64), objective, epsilon, steps)
        path = auto_pgd(*given, norm) if norm != "l1" else sparse_auto_pgd(*given, count=0.2 * 16, changed=16)
        same += np.allclose(images[i], path[-1], atol=0.02 * epsilon)
    # Rounding may decide a comparison of losses in a flat place.
    assert same >= len(unbroken) - 1


def test_checkpoints_are_the_published_ones() -> None:
    windows = MomentumSteps("linf").windows(100)
    assert np.flatnonzero(windows).tolist() == [22, 41, 57, 70, 80, 87, 93, 99]
    assert windows[windows > 0].tolist() == [22, 19, 16, 13, 10, 7, 6, 6]
    assert np.flatnonzero(SparseSteps().windows(100)).tolist() == list(range(4, 101, 4))
    for steps in (1, 2, 3, 10):
        assert len(MomentumSteps("l2").windows(steps)) == len(SparseSteps().windows(steps)) == steps + 1


@pytest.mark.parametrize(("steps", "expected"), [(100, [30, 30, 40]), (1, [1, 1, 0]), (7, [3, 3, 1])])
def test_large_radii_share_the_steps(steps: int, expected: list[int]) -> None:
    attack = AutoPGD(norm="l1", epsilon=1.0, steps=steps, large_radii=True)
    assert attack._phases() == list(zip((3, 2, 1), expected, strict=True))


@pytest.mark.parametrize(
    "options",
    [{"norm": "l2", "large_radii": True}, {"norm": "l0"}, {"norm": "l2", "loss": "clipped_probabilities"}]
    + [{"norm": "l2", count: 0} for count in ("steps", "restarts", "target_classes", "averages")],
    ids=str,
)
def test_impossible_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Received: "):
        AutoPGD(epsilon=1.0, **options)


@every_norm
def test_targets_are_the_likeliest_classes(norm: str, linear: Problem) -> None:
    batch, truth = linear.batch, linear.truth[norm]
    order = np.argsort(-linear.classifier.serving_logits(batch.images), axis=1)[:, 1:]
    attack = AutoPGD(norm=norm, epsilon=np.median(truth), loss="targeted_margin", steps=40)
    before = np.zeros(len(batch), bool)
    for count in range(1, order.shape[1] + 1):
        found = broken(dataclasses.replace(attack, target_classes=count), linear.classifier, batch)
        aimed_at = np.take_along_axis(linear.to_class[norm], order[:, :count], axis=1).min(axis=1)
        # On its way to one class an image may meet another.
        assert np.all(found[aimed_at < attack.epsilon * 0.99])
        assert not np.any(found & (truth > attack.epsilon))
        assert not np.any(before & ~found)
        before = found


@every_norm
def test_more_restarts_break_the_same_samples_and_more(norm: str, tiny_classifier: Classifier) -> None:
    batch = correct_batch(tiny_classifier, tiny_split(tiny_classifier.serving_logits, 40), 40)
    attack = AutoPGD(norm=norm, epsilon=RADII[norm] / 4, steps=1, loss="dlr")
    one, more = (broken(dataclasses.replace(attack, restarts=n), tiny_classifier, batch) for n in (1, 5))
    assert not np.any(one & ~more)
    # The first step in Linf and L2 is as long as the ball is wide, so that its end hardly depends on its start.
    assert norm != "l1" or one.sum() < more.sum()


@every_norm
def test_samples_do_not_depend_on_each_other(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = AutoPGD(norm=norm, epsilon=RADII[norm], steps=10, loss="dlr", large_radii=norm == "l1")
    together = attack.run(tiny_classifier, "logits", tiny_batch)
    np.testing.assert_array_equal(attack.run(tiny_classifier, "logits", tiny_batch), together)
    alone = np.concatenate(
        [attack.run(tiny_classifier, "logits", tiny_batch.take(np.array([i]))) for i in range(len(tiny_batch))]
    )
    same = np.isclose(alone, together, atol=1e-4).all(axis=(1, 2, 3))
    assert np.sum(~same) <= 1
    other = attack.run(tiny_classifier, "logits", dataclasses.replace(tiny_batch, seed=1))
    assert not np.allclose(other, together)


@every_norm
def test_epsilon_larger_than_the_box(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = AutoPGD(norm=norm, epsilon=30.0, steps=20, large_radii=norm == "l1")
    assert broken(attack, tiny_classifier, tiny_batch).all()


@every_norm
def test_images_at_the_borders_of_the_box(norm: str, tiny_classifier: Classifier) -> None:
    images = np.repeat(np.array([0.0, 1.0], np.float32), 16).reshape(2, *TINY.image_shape)
    batch = Batch(images, tiny_classifier.predict(images), np.arange(2), 0)
    attack = AutoPGD(norm=norm, epsilon=RADII[norm] / 10, steps=20)
    assert broken(attack, tiny_classifier, batch).dtype == bool
    assert broken(dataclasses.replace(attack, epsilon=16.0), tiny_classifier, batch).all()


@pytest.fixture(scope="module")
def confident(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Classifier]:
    """The same network twice; the logits of the second are multiplied by 10,000."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    paths = [tmp_path_factory.mktemp("confident") / "1" for _ in range(2)]
    save_classifier(paths[0], network, TINY.image_shape, network.variables)
    save_classifier(paths[1], lambda images: 1e4 * network(images), TINY.image_shape, network.variables)
    probe = np.full((1, *TINY.image_shape), 0.5, np.float32)
    first, second = (Classifier(path, TINY, probe) for path in paths)
    return first, second


@every_norm
@pytest.mark.parametrize("loss", ["cross_entropy", "dlr"])
def test_confidence_does_not_put_out_the_gradient(
    loss: str, norm: str, confident: tuple[Classifier, Classifier], tiny_batch: Batch
) -> None:
    attack = AutoPGD(norm=norm, epsilon=RADII[norm], steps=40, loss=loss, large_radii=norm == "l1")
    usual, sharp = (broken(attack, classifier, tiny_batch) for classifier in confident)
    # The cross-entropy of sharp logits is the margin: it may lead elsewhere.
    assert sharp.sum() >= usual.sum() - (1 if loss == "cross_entropy" else 0)
    assert sharp.sum() > 2
    if loss == "cross_entropy":
        scaled = broken(dataclasses.replace(attack, logit_scale=1e-4), confident[1], tiny_batch)
        assert np.sum(scaled != usual) <= 1


def test_a_start_without_a_gradient_leads_to_the_image(tmp_path: Path) -> None:
    """A class that wins wherever noise is: only near the image there is a slope."""
    centre = tf.Variable(np.full((16, 1), 0.5), dtype=tf.float32)

    def logits(images: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(images, (-1, 16))
        # A tent along one direction: noise is beyond it.
        noisy = tf.reduce_sum(tf.abs(flat - tf.reduce_mean(flat, 1, keepdims=True)), 1)
        slope = tf.nn.relu(0.05 - noisy) * 100.0 * (flat @ centre)[:, 0]
        return tf.stack([tf.fill(tf.shape(slope), 22.0), slope, tf.zeros_like(slope)], axis=1)

    path = save_classifier(tmp_path / "1", logits, TINY.image_shape, [centre])
    images = np.full((4, *TINY.image_shape), 0.5, np.float32)
    classifier = Classifier(path, TINY, images)
    batch = Batch(images, np.zeros(4, np.int64), np.arange(4), 0)
    attack = AutoPGD(norm="linf", epsilon=0.1, loss="margin")
    assert not classifier.misclassifies(attack._start(batch, 0), batch.labels).any()
    assert broken(attack, classifier, batch).all()


def test_a_surrogate_gives_the_gradient_and_the_model_decides(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(3), 16, 12, TINY.num_classes, scale=1.0)
    path = save_classifier(
        tmp_path / "1",
        lambda image: network(tf.cast(image >= 0.5, tf.float32)),
        TINY.image_shape,
        network.variables,
        # This surrogate always says class 2; its gradient is right.
        attack_logits=lambda image: network(tf.sigmoid(20 * (image - 0.5))) + tf.constant([0.0, 0.0, 50.0]),
    )
    classifier = Classifier(path, TINY, np.full((1, *TINY.image_shape), 0.4, np.float32))
    batch = correct_batch(classifier, tiny_split(classifier.serving_logits), 40)
    attack = AutoPGD(norm="linf", epsilon=0.2, loss="targeted_margin")
    assert broken(attack, classifier, batch, "attack_logits").mean() > 0.9


def test_averages_are_over_the_answers_of_a_random_model() -> None:
    answers = tf.Variable(0.0)

    def attacked(images: tf.Tensor) -> tf.Tensor:
        return images[:, 0, 0] * answers.assign_add(1.0)

    mean = evaluation(attacked, None, lambda logits, *_: tf.reduce_sum(logits, axis=1), 4)
    ones = tf.ones((1, 1, 1, 2))
    value, gradient, logits = tf.function(mean, autograph=False)(ones, None, None, None, tf.ones(1, tf.float64))
    np.testing.assert_allclose(value, [5.0])
    np.testing.assert_allclose(gradient, 2.5 * ones)
    np.testing.assert_allclose(logits, [[2.5, 2.5]])


@pytest.mark.parametrize(
    ("slopes", "expected", "nothing", "factor"),
    [
        ([3.0, -8.5], [3.0, -8.5], False, 2.0**-3),
        ([0.0, 1e-30], [0.0, 1e-30], False, 2.0**100),
        ([0.0, 0.0], [0.0, 0.0], True, 2.0**25),
        # A pixel without a number or with an infinite slope does not count.
        ([np.nan, 0.75], [0.0, 0.75], False, 2.0),
        ([np.inf, 0.75], [0.0, 0.75], False, 2.0),
        # All of it has overflown.
        ([-np.inf, 0.0], [-1.0, 0.0], False, 2.0**-12),
    ],
)
def test_magnification_follows_the_gradient(
    slopes: list[float], expected: list[float], nothing: bool, factor: float
) -> None:
    gradient = tf.reshape(tf.constant(slopes, tf.float32), (1, 1, 1, 2))
    kept, without, followed = usable(gradient, tf.ones(1, tf.float64), tf.float32)
    np.testing.assert_array_equal(tf.reshape(kept, 2), np.array(expected, np.float32))
    assert bool(without[0]) is nothing
    assert float(followed[0]) == min(factor, 2.0**100)


def test_averaged_gradients_break_a_random_model(tmp_path: Path) -> None:
    """Noise on the image of three times the radius, each time anew."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes, scale=2.0)
    noisy = lambda image: network(image + tf.random.normal(tf.shape(image), stddev=0.3))  # noqa: E731
    path = save_classifier(tmp_path / "1", noisy, TINY.image_shape, network.variables)
    split = tiny_split(network)
    classifier = Classifier(path, TINY, split.images[:2])
    batch = Batch(split.images, split.labels, split.ids, 0)

    def share_right(averages: int) -> float:
        images = AutoPGD(norm="linf", epsilon=0.1, steps=20, loss="margin", averages=averages).run(
            classifier, "logits", batch
        )
        return float(np.mean([classifier.predict(images) == batch.labels for _ in range(50)]))

    clean = np.mean([classifier.predict(batch.images) == batch.labels for _ in range(50)])
    assert share_right(32) < clean - 0.15


class LogitsOf(tf.Module):
    """A classifier as the toolbox calls it."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self._endpoint = classifier.endpoint("logits")

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self._endpoint(tf.cast(images, tf.float32))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2)])
@pytest.mark.parametrize(("loss", "name"), [("cross_entropy", "cross_entropy"), ("dlr", "difference_logits_ratio")])
def test_breaks_as_many_as_adversarial_robustness_toolbox(
    loss: str, name: str, norm: str, order: float, digits_classifier: Classifier, digits_batch: Batch
) -> None:
    evasion, classification = (
        pytest.importorskip("art.attacks.evasion"),
        pytest.importorskip("art.estimators.classification"),
    )
    epsilon = {"linf": 0.04, "l2": 0.6}[norm]
    estimator = classification.TensorFlowV2Classifier(
        LogitsOf(digits_classifier),
        nb_classes=10,
        input_shape=(28, 28, 1),
        loss_object=tf.keras.losses.CategoricalCrossentropy(from_logits=True),
        clip_values=(0.0, 1.0),
    )
    theirs = evasion.AutoProjectedGradientDescent(
        estimator,
        norm=order,
        eps=epsilon,
        eps_step=2 * epsilon,
        max_iter=40,
        nb_random_init=1,
        loss_type=name,
        verbose=False,
    )
    images = theirs.generate(digits_batch.images, np.eye(10, dtype=np.float32)[digits_batch.labels])
    expected = digits_classifier.misclassifies(np.clip(images, 0.0, 1.0), digits_batch.labels)
    found = broken(AutoPGD(norm=norm, epsilon=epsilon, steps=40, loss=loss), digits_classifier, digits_batch)
    assert 0 < found.sum() < len(found)
    assert found.sum() >= expected.sum()
