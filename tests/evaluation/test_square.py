"""The Square Attack in its three norms: closed forms, the published schedule and patterns, and ART's implementation."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import Batch, Square
from cortexzoo.evaluation.attacks import square as module
from cortexzoo.evaluation.attacks.projections import nearest_within_l1
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances, largest_distance
from cortexzoo.evaluation.results.metrics import TOLERANCE
from tests.evaluation.small_models import TINY, correct_batch, dense, save_classifier

NORMS = ("linf", "l2", "l1")
# Radii at which some of the samples break and others do not.
DUALS = {"linf": 1, "l2": 2, "l1": np.inf}
TINY_EPSILONS = {"linf": 0.05, "l2": 0.16, "l1": 0.5}
DIGITS_EPSILONS = {"linf": 0.05, "l2": 0.6, "l1": 5.0}
every_norm = pytest.mark.parametrize("norm", NORMS)


def broken(attack: Square, classifier: Classifier, batch: Batch) -> np.ndarray:
    """Which samples the attack breaks, after checking its images."""
    images = batch.check(attack.run(classifier, "logits", batch), attack.name)
    assert images.dtype == np.float32
    assert distances(batch.images, images, attack.norm).max() <= attack.epsilon * (1 + TOLERANCE)
    return classifier.misclassifies(images, batch.labels)


def linear(path: Path, weights: np.ndarray, norm: str, distance: float) -> tuple[Classifier, Batch, np.ndarray]:
    """A linear classifier of two classes, samples about `distance` from the other class, and their exact distances."""
    images = np.random.default_rng(0).uniform(0.4, 0.6, (4, *weights.shape)).astype(np.float32)
    slope = np.linalg.norm(weights.ravel(), DUALS[norm])
    network = dense((np.stack([weights.ravel(), np.zeros(weights.size)], 1), [distance * slope - weights.sum() / 2, 0.0]))
    info = dataclasses.replace(TINY, image_shape=weights.shape, class_names=("a", "b"))
    classifier = Classifier(save_classifier(path / "1", network, weights.shape, network.variables), info, images[:2])
    margin = -np.diff(classifier.serving_logits(images).astype(np.float64), axis=1)[:, 0]
    assert margin.min() > 0.0
    return classifier, Batch(images, np.zeros(4, np.int64), np.arange(4), 0), margin / slope


def check_distances(attack: Square, classifier: Classifier, batch: Batch, truth: np.ndarray, factor: float) -> None:
    """No sample breaks right below its distance, and each does at `factor` times it."""
    for i, distance in enumerate(truth):
        one = batch.take(np.array([i]))
        assert broken(dataclasses.replace(attack, epsilon=factor * distance), classifier, one).all()
        assert not broken(dataclasses.replace(attack, epsilon=0.99 * distance), classifier, one).any()


@pytest.mark.parametrize("shape", [(4, 4, 1), (3, 6, 2)], ids=str)
def test_finds_all_signs_of_a_linear_classifier(shape: tuple[int, int, int], tmp_path: Path) -> None:
    problem = linear(tmp_path, np.random.default_rng(1).standard_normal(shape), "linf", 0.1)
    check_distances(Square(norm="linf", epsilon=0.1, queries=800), *problem, factor=1.01)


# In L1 the nearest point changes one pixel alone, and a bump three at least.
@pytest.mark.parametrize(("norm", "factor"), [("l2", 1.1), ("l1", 2.5)])
def test_comes_near_a_linear_classifier_that_is_a_bump(norm: str, factor: float, tmp_path: Path) -> None:
    weights = np.zeros((6, 6, 1))
    weights[1:4, 2:5, 0] = module._halves(3, 3, norm)
    check_distances(Square(norm=norm, epsilon=0.1, queries=500), *linear(tmp_path, weights, norm, 0.1), factor)


@every_norm
def test_more_restarts_break_the_same_samples_and_more(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = Square(norm=norm, epsilon=TINY_EPSILONS[norm], queries=10)
    one, two, many = (broken(dataclasses.replace(attack, restarts=n), tiny_classifier, tiny_batch) for n in (1, 2, 10))
    assert not np.any(one & ~two)
    assert not np.any(two & ~many)
    assert one.sum() < many.sum() < len(many)


@every_norm
def test_more_queries_break_more(norm: str, digits_classifier: Classifier, digits_batch: Batch) -> None:
    attack = Square(norm=norm, epsilon=DIGITS_EPSILONS[norm])
    few, more = (broken(dataclasses.replace(attack, queries=n), digits_classifier, digits_batch).sum() for n in (10, 1000))
    assert few < more


@every_norm
def test_a_sample_does_not_depend_on_its_batch_but_on_the_seed(
    norm: str, tiny_classifier: Classifier, tiny_batch: Batch
) -> None:
    # More queries than a block.
    attack = Square(norm=norm, epsilon=TINY_EPSILONS[norm], queries=70)
    images = attack.run(tiny_classifier, "logits", tiny_batch)
    np.testing.assert_array_equal(attack.run(tiny_classifier, "logits", tiny_batch), images)
    order = np.random.default_rng(0).permutation(len(tiny_batch))
    for chosen in (order[:1], order[1:4], order[4:]):
        np.testing.assert_allclose(attack.run(tiny_classifier, "logits", tiny_batch.take(chosen)), images[chosen], atol=1e-5)
    other = attack.run(tiny_classifier, "logits", dataclasses.replace(tiny_batch, seed=1))
    assert np.any(~np.isclose(other, images), axis=(1, 2, 3)).mean() > 0.5


@every_norm
def test_an_unbounded_attack_breaks_all(norm: str, digits_classifier: Classifier, digits_batch: Batch) -> None:
    attack = Square(norm=norm, epsilon=1e30, queries=300)
    assert broken(attack, digits_classifier, digits_batch).all()
    assert largest_distance((28, 28, 1), norm) < attack.epsilon


@every_norm
def test_no_epsilon_changes_nothing(norm: str, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    images = Square(norm=norm, epsilon=0.0, queries=5).run(tiny_classifier, "logits", tiny_batch)
    np.testing.assert_allclose(images, tiny_batch.images, atol=1e-6)


def test_side_follows_the_published_schedule() -> None:
    # Of 100 x 100 pixels: the table of AutoAttack for 10,000 queries, and rescaled.
    expected = {0: 89, 10: 89, 11: 63, 50: 63, 51: 45, 200: 45, 201: 32, 501: 22, 1001: 16, 2001: 11, 4001: 8, 8001: 4}
    attack = Square(norm="linf", epsilon=0.1, queries=10_000)
    assert {query: attack._side(10_000, query) for query in expected} == expected
    short = dataclasses.replace(attack, queries=5000)
    assert [short._side(10_000, query) for query in (5, 6, 25, 26, 4000, 4001)] == [89, 63, 63, 45, 6, 4]
    # Bumps are odd, and at least 3 wide.
    bumps = dataclasses.replace(attack, norm="l2")
    assert [bumps._side(10_000, query) for query in (0, 11, 501, 8001)] == [89, 63, 23, 5]
    assert bumps._side(100, 8001) == 3


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("l1", 1)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (3, 3), (5, 3), (4, 4), (9, 9)], ids=str)
def test_bump_is_the_sum_of_the_papers_rectangles(norm: str, order: int, shape: tuple[int, int]) -> None:
    def rectangles(height: int, width: int) -> np.ndarray:
        values = np.zeros((height, width))
        for k in range(max(height, width) // 2 + 1):
            top, left = height // 2 - k, width // 2 - k
            values[max(top, 0) : top + 2 * k + 1, max(left, 0) : left + 2 * k + 1] += 1 / (k + 1) ** 2
        return values / np.linalg.norm(values.ravel(), order) if values.size else values

    height, width = shape
    expected = np.concatenate([rectangles(height // 2, width), -rectangles(height - height // 2, width)])
    found = module._halves(height, width, norm)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected.ravel(), order))
    assert np.all(found != 0.0)


def test_squares_reach_every_pixel() -> None:
    shape = (7, 8, 2)
    for norm, size in (("linf", 1), ("l2", 9)):
        drawn = [Square(norm=norm, epsilon=0.1, queries=100).draw(shape, np.random.default_rng(i), 90) for i in range(600)]
        changed = [pixels[added[:, 0] != 0.0] for pixels, added, *_ in drawn]
        assert {len(pixels) for pixels in changed} == {size}
        assert set(np.concatenate(changed)) == set(range(56))
    # In L2 mass may be taken from everywhere.
    assert set(np.concatenate([pixels[added[:, 0] == 0.0] for pixels, added, _ in drawn])) == set(range(56))


def moved(change: np.ndarray, pixels: np.ndarray, added: np.ndarray, epsilon: float, order: int) -> np.ndarray:
    """Algorithm 3 for one sample, channel by channel, in float64; in the second square alone, nothing is added."""
    found, channels = change.reshape(-1, change.shape[-1]).copy(), change.shape[-1]
    unused = max(epsilon**order - np.sum(np.abs(change) ** order), 0.0)
    for channel in range(channels):
        first, both = added[:, channel] != 0.0, found[pixels, channel]
        held = np.sum(np.abs(both) ** order) + unused / channels
        mixed = added[first, channel] + both[first] / np.linalg.norm(both[first], order)
        found[pixels, channel] = 0.0
        # In L1 the authors multiply by the number of channels before they project.
        factor = {1: channels, 2: 1}[order]
        found[pixels[first], channel] = factor * mixed / np.linalg.norm(mixed, order) * held ** (1 / order)
    return found.reshape(change.shape)


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("l1", 1)])
@pytest.mark.parametrize("shape", [(9, 7, 1), (9, 7, 2)], ids=str)
def test_a_query_is_that_of_the_paper(shape: tuple[int, int, int], norm: str, order: int) -> None:
    rng, epsilon = np.random.default_rng(0), 0.4
    # Some pixels are cut at the box, which leaves some of epsilon.
    images = rng.uniform(0.0, 1.0, (3, *shape)).astype(np.float32)
    attack = Square(norm=norm, epsilon=epsilon, queries=100)
    (start,) = attack.start(Batch(images, np.zeros(3, np.int64), np.arange(3), 0), 0, epsilon)
    start -= 0.3 * (start - images)
    pixels, added, count = attack.draw(shape, rng, 50)
    # Repeated, as where other squares have more pixels.
    padded = np.append(pixels, pixels[-1:]), np.append(added, added[-1:], axis=0)
    propose = {"l2": module._move_l2, "l1": module._move_l1}[norm]
    (found,) = propose(tf.constant(images), (tf.constant(start),), tf.constant(epsilon, tf.float32), *padded, count)
    change = np.stack([moved(sample, pixels, added, epsilon, order) for sample in start.astype(np.float64) - images])
    if norm == "l1":
        expected = nearest_within_l1(images, np.float32(images + change), np.float32(epsilon)).numpy()
    else:
        np.testing.assert_allclose(np.linalg.norm(change.reshape(3, -1), axis=1), epsilon, rtol=1e-5)
        expected = np.clip(images + change, 0.0, 1.0)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)
    assert not np.allclose(expected, start, atol=1e-2)


def test_a_query_in_linf_sets_a_square() -> None:
    rng, shape, epsilon = np.random.default_rng(0), (9, 7, 2), 0.3
    images, start = (rng.uniform(0.0, 1.0, (3, *shape)).astype(np.float32) for _ in range(2))
    pixels, signs = Square(norm="linf", epsilon=epsilon, queries=100).draw(shape, rng, 50)
    (found,) = module._set_square(tf.constant(images), (tf.constant(start),), np.float32(epsilon), pixels, np.float32(signs))
    assert len(np.unique(signs, axis=0)) == 1
    expected = start.reshape(3, -1, 2).copy()
    expected[:, pixels] = np.clip(images.reshape(3, -1, 2)[:, pixels] + epsilon * signs, 0.0, 1.0)
    np.testing.assert_allclose(found, expected.reshape(images.shape), atol=1e-6)


@pytest.mark.parametrize(("norm", "art_norm", "epsilon"), [("linf", np.inf, 0.1), ("l2", 2, 1.0)])
def test_breaks_about_as_many_as_art(
    norm: str, art_norm: float, epsilon: float, digits_classifier: Classifier, digits: Split
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        art = pytest.importorskip("art.attacks.evasion")
        from art.estimators.classification import TensorFlowV2Classifier
    batch = correct_batch(digits_classifier, digits, 40)
    estimator = TensorFlowV2Classifier(
        lambda images, training: digits_classifier.endpoint("logits")(tf.cast(images, tf.float32)),
        nb_classes=10,
        input_shape=(28, 28, 1),
        clip_values=(0.0, 1.0),
    )
    attack = art.SquareAttack(estimator, norm=art_norm, eps=epsilon, max_iter=200, verbose=False)
    np.random.seed(0)  # noqa: NPY002
    # It divides by the norm of an unchanged window.
    with np.errstate(divide="ignore", invalid="ignore"):
        images = attack.generate(batch.images.copy(), np.eye(10)[batch.labels])
    theirs = digits_classifier.misclassifies(images, batch.labels)
    ours = broken(Square(norm=norm, epsilon=epsilon, queries=200), digits_classifier, batch)
    if norm == "linf":
        assert abs(ours.mean() - theirs.mean()) <= 0.1
    else:
        # ART divides a bump by what Algorithm 3 multiplies it by.
        assert ours.mean() >= theirs.mean() > 0.1


def test_images_wrong_at_once_are_returned_as_they_are(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    labels = (tiny_batch.labels + 1) % TINY.num_classes
    attack = Square(norm="linf", epsilon=0.1, queries=5)
    images = attack.run(tiny_classifier, "logits", dataclasses.replace(tiny_batch, labels=labels))
    np.testing.assert_array_equal(images, tiny_batch.images)


@pytest.mark.parametrize("options", [{"queries": 0}, {"restarts": 0}, {"p_init": 0.0}, {"p_init": 1.1}, {"norm": "l0"}])
def test_impossible_settings_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Received: "):
        Square(**{"norm": "linf", "epsilon": 0.1} | options)
