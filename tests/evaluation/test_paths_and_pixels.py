"""Attacks without gradients: paths of images, noise and single pixels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cortexzoo.datasets import Split
from cortexzoo.evaluation.attacks import (
    AdditiveNoise,
    Attack,
    Batch,
    BestOf,
    BinaryContrastReduction,
    BlendedUniformNoise,
    GaussianBlur,
    GreedyPixels,
    Inversion,
    L2ContrastReduction,
    LinearContrastReduction,
    Pointwise,
    Refined,
)
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.attacks.starting_points import STARTS, StartingPoints
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import TINY, dense, save_classifier


@pytest.fixture(scope="module")
def brightness(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Dark images are of class 0, bright ones of class 1: what a path does to the mean decides."""
    weights = np.zeros((16, 3))
    weights[:, 1] = 1.0
    network = dense((weights, [6.0, 0.0, -100.0]))
    path = save_classifier(tmp_path_factory.mktemp("brightness") / "1", network, TINY.image_shape, network.variables)
    return Classifier(path, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


def uniform_images(*levels: float) -> np.ndarray:
    return np.stack([np.full(TINY.image_shape, level, np.float32) for level in levels])


def dark_batch(*levels: float) -> Batch:
    images = uniform_images(*levels)
    starts = np.repeat(uniform_images(*[1.0] * len(levels))[:, None], STARTS, axis=1)
    return Batch(images, np.zeros(len(levels), np.int64), np.arange(len(levels)), 0, starts)


def test_contrast_reduction_stops_where_the_class_changes(brightness: Classifier) -> None:
    # The boundary is at a mean of 6 / 16 = 0.375; a quarter of a thousand steps of (0.5 - 0) is there.
    batch = dark_batch(0.0, 0.25)
    linear = LinearContrastReduction(norm="linf").run(brightness, "logits", batch)
    np.testing.assert_allclose(linear.mean(axis=(1, 2, 3)), [0.3755, 0.37525], atol=2e-4)
    binary = BinaryContrastReduction(norm="linf").run(brightness, "logits", batch)
    np.testing.assert_allclose(binary.mean(axis=(1, 2, 3)), [0.375, 0.375], atol=1e-4)
    sized = L2ContrastReduction(epsilon=1.5, rounds=12, tolerance=1e-3).run(brightness, "logits", batch)
    np.testing.assert_allclose(sized.mean(axis=(1, 2, 3)), [0.375, 0.375], atol=2e-3)


def test_the_steps_of_a_path_do_not_depend_on_the_batch(brightness: Classifier) -> None:
    attack, batch = LinearContrastReduction(norm="l2"), dark_batch(0.0, 0.1, 0.2, 0.3)
    together = attack.run(brightness, "logits", batch)
    alone = np.concatenate([attack.run(brightness, "logits", batch.take(np.array([i]))) for i in range(4)])
    np.testing.assert_array_equal(together, alone)


def test_inversion_and_its_failure(brightness: Classifier) -> None:
    batch = dark_batch(0.1, 0.3)
    images = Inversion(norm="l1").run(brightness, "logits", batch)
    np.testing.assert_allclose(images, 1 - batch.images)
    bright = Batch(uniform_images(0.45), np.ones(1, np.int64), np.arange(1), 0)
    assert brightness.predict(Inversion(norm="l1").run(brightness, "logits", bright)) == [1]


def test_blended_noise_ends_on_the_line_to_its_noise(brightness: Classifier) -> None:
    images = BlendedUniformNoise(norm="l2").run(brightness, "logits", dark_batch(0.0))
    assert brightness.predict(images) == [1]
    # Of a black image the blend is the noise times a share; its mean is just above the boundary.
    assert 0.375 < images.mean() < 0.377


def test_blur_keeps_the_mean_and_so_fails_here(brightness: Classifier) -> None:
    batch = dark_batch(0.1)
    assert brightness.predict(GaussianBlur(norm="l2", steps=50).run(brightness, "logits", batch)) == [0]


@pytest.mark.parametrize("clipping_aware", [False, True])
@pytest.mark.parametrize("distribution", ["gaussian", "uniform"])
def test_noise_has_the_size_asked_for(
    distribution: str, clipping_aware: bool, tiny_classifier: Classifier, tiny_batch: Batch
) -> None:
    attack = AdditiveNoise(norm="l2", epsilon=1.2, distribution=distribution, clipping_aware=clipping_aware)
    epsilon = np.full(len(tiny_batch), attack.epsilon, np.float32)
    sizes = distances(tiny_batch.images, attack.perturb(tiny_classifier, "logits", tiny_batch, epsilon, 0), "l2")
    if clipping_aware:
        np.testing.assert_allclose(sizes, 1.2, rtol=1e-4)
    else:
        assert np.all(sizes < 1.2 + 1e-5)
        assert sizes.min() < 1.19


def test_uniform_noise_stays_in_the_linf_ball(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = AdditiveNoise(norm="linf", epsilon=0.1, distribution="uniform")
    images = attack.perturb(tiny_classifier, "logits", tiny_batch, np.full(len(tiny_batch), 0.1, np.float32), 0)
    np.testing.assert_allclose(distances(tiny_batch.images, images, "linf"), 0.1, rtol=1e-5)


def test_repeats_find_what_one_draw_does_not(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    def broken(repeats: int) -> int:
        attack = AdditiveNoise(norm="l2", epsilon=0.5, distribution="gaussian", repeats=repeats, rounds=1)
        return int(np.sum(tiny_classifier.predict(attack.run(tiny_classifier, "logits", tiny_batch)) != tiny_batch.labels))

    assert broken(1) < broken(50)


def test_pointwise_needs_every_pixel_that_it_changes(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    candidates = np.random.default_rng(3).random((200, *TINY.image_shape), np.float32)
    train = Split(candidates, np.zeros(200, np.int64), np.arange(200))
    starts = StartingPoints(tiny_classifier, train).nearest(tiny_batch.images, tiny_batch.labels)
    batch = dataclasses.replace(tiny_batch, starts=starts)
    images = Pointwise(restarts=3).run(tiny_classifier, "logits", batch)
    assert np.all(tiny_classifier.predict(images) != batch.labels)
    assert distances(batch.images, images, "l0").sum() < distances(batch.images, starts[:, 1], "l0").sum()
    for image, found, label in zip(batch.images, images, batch.labels, strict=True):
        for row, column in np.argwhere(np.any(image != found, axis=-1)):
            back = found.copy()
            back[row, column] = image[row, column]
            assert tiny_classifier.predict(back[None]) == [label]


def test_pointwise_on_a_linear_model_is_minimal_in_number(brightness: Classifier) -> None:
    """A black image needs 7 white pixels of 16 for a mean above 0.375; no start can do with fewer."""
    images = Pointwise().run(brightness, "logits", dark_batch(0.0))
    assert distances(uniform_images(0.0), images, "l0") == [7.0]


def test_greedy_pixels_are_fewest_for_two_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    images = rng.random((20, *TINY.image_shape)).astype(np.float32)
    network = dense((rng.standard_normal((16, 2)), np.array([4.0, 0.0])))
    info = dataclasses.replace(TINY, class_names=("a", "b"))
    classifier = Classifier(save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables), info, images)
    labels = classifier.predict(images)
    found = GreedyPixels().run(classifier, "logits", Batch(images, labels, np.arange(20), 0))
    assert np.all(classifier.predict(found) != labels)
    # A pixel contributes at most what its better end does, independently of the others.
    weights, bias = (values.numpy() @ [1, -1] for values in network.layers[0])
    side = np.where(labels == 0, -1, 1)
    slopes = weights * side[:, None]
    flat = images.reshape(20, -1)
    gains = -np.sort(-np.maximum(slopes * (1 - flat), -slopes * flat), axis=1)
    missing = -(np.sum(slopes * flat, axis=1) + bias * side)
    fewest = 1 + np.sum(np.cumsum(gains, axis=1) <= missing[:, None], axis=1)
    np.testing.assert_array_equal(distances(images, found, "l0"), fewest)
    assert len(set(fewest)) > 2


def test_greedy_pixels_of_many_channels(tmp_path: Path) -> None:
    """Of six channels not all 64 corners are tried, but each channel's ends: the fourth alone decides."""
    info = dataclasses.replace(TINY, image_shape=(3, 2, 6))
    weights = np.zeros((36, 3))
    weights[3::6, 1] = 1.0
    network = dense((weights, [2.5, 0.0, -100.0]))
    path = save_classifier(tmp_path / "1", network, info.image_shape, network.variables)
    images = np.full((2, *info.image_shape), 0.1, np.float32)
    classifier = Classifier(path, info, images)
    found = GreedyPixels().run(classifier, "logits", Batch(images, np.zeros(2, np.int64), np.arange(2), 0))
    # Two white pixels give 2.4, three 3.3.
    np.testing.assert_array_equal(distances(images, found, "l0"), 3)


def test_greedy_pixels_give_up(brightness: Classifier) -> None:
    """Seven pixels would do, see above."""
    images = GreedyPixels(steps=6).run(brightness, "logits", dark_batch(0.0))
    assert brightness.predict(images) == [0]
    assert distances(uniform_images(0.0), images, "l0") == [6.0]


def test_starting_points_are_the_nearest_of_another_class(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    candidates = np.random.default_rng(0).random((100, *TINY.image_shape), np.float32)
    found = StartingPoints(tiny_classifier, Split(candidates, np.zeros(100, np.int64), np.arange(100))).nearest(
        tiny_batch.images, tiny_batch.labels
    )
    predictions = tiny_classifier.predict(candidates)
    for image, label, starts in zip(tiny_batch.images, tiny_batch.labels, found, strict=True):
        square = ((candidates - image) ** 2).sum(axis=(1, 2, 3))
        others = [np.where(predictions == other, square, np.inf) for other in set(range(3)) - {label}]
        nearest = sorted(others, key=np.min)
        # There are two other classes: the remaining starts repeat the nearest.
        expected = [candidates[of_class.argmin()] for of_class in (*nearest, *[nearest[0]] * (STARTS - 2))]
        np.testing.assert_array_equal(starts, expected)


def test_noise_comes_before_training_images(tiny_classifier: Classifier, tiny_batch: Batch, tmp_path: Path) -> None:
    candidates = np.random.default_rng(0).random((100, *TINY.image_shape), np.float32)
    train = Split(candidates, np.zeros(100, np.int64), np.arange(100))
    points = StartingPoints(tiny_classifier, train)
    nearest, starts = points.nearest(tiny_batch.images, tiny_batch.labels), points.of(tiny_batch)
    noise = BlendedUniformNoise(norm="l2").run(tiny_classifier, "logits", tiny_batch)
    found = tiny_classifier.misclassifies(noise, tiny_batch.labels)
    assert found.any()
    np.testing.assert_array_equal(starts[found, 0], noise[found])
    np.testing.assert_array_equal(starts[found, 1:], nearest[found, :-1])
    np.testing.assert_array_equal(starts[~found], nearest[~found])
    # The same in any batch, and known from the first one.
    np.testing.assert_array_equal(points.of(tiny_batch.take(np.array([5, 2]))), starts[[5, 2]])
    np.testing.assert_array_equal(StartingPoints(tiny_classifier, train).of(tiny_batch.take(np.array([5]))), starts[[5]])
    # Uniform noise is never so bright that this model calls it class 1.
    network = dense((np.array([[0.0, 1.0, 0.0]] * 16), [15.2, 0.0, -100.0]))
    classifier = Classifier(save_classifier(tmp_path / "1", network, TINY.image_shape, network.variables), TINY, candidates)
    points, dark = (
        StartingPoints(classifier, Split(uniform_images(1.0), np.zeros(1, np.int64), np.arange(1))),
        dark_batch(0.1),
    )
    np.testing.assert_array_equal(points.of(dark), np.ones((1, STARTS, *TINY.image_shape)))


def test_without_any_candidate_the_image_itself_is_returned(brightness: Classifier) -> None:
    dark = Split(uniform_images(0.0, 0.1), np.zeros(2, np.int64), np.arange(2))
    batch = dark_batch(0.2)
    starts = StartingPoints(brightness, dark).nearest(batch.images, batch.labels)
    np.testing.assert_array_equal(starts, np.repeat(batch.images[:, None], STARTS, axis=1))


@dataclasses.dataclass(frozen=True)
class Fixed(Attack):
    """Gives one image whatever is asked."""

    name = "fixed"

    level: float
    norm: str = "linf"

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        return np.full_like(batch.images, self.level)


@pytest.fixture(scope="module")
def thresholded(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Counts pixels at or above 0.5: class 1 from four of them."""
    import tensorflow as tf

    def logits(images: tf.Tensor) -> tf.Tensor:
        count = tf.reduce_sum(tf.cast(images >= 0.5, tf.float32), axis=(1, 2, 3))
        return tf.stack([tf.fill(tf.shape(count), 3.5), count, tf.zeros_like(count)], axis=-1)

    path = save_classifier(Path(tmp_path_factory.mktemp("thresholded")) / "1", logits, TINY.image_shape)
    return Classifier(path, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))


def test_refinement_moves_pixels_just_past_the_threshold(thresholded: Classifier) -> None:
    batch = dark_batch(0.1)
    images = Refined(inner=Fixed(0.9)).run(thresholded, "logits", batch)
    np.testing.assert_array_equal(images, 0.5)
    assert thresholded.predict(images) == [1]


def test_refinement_leaves_alone_what_it_would_break(brightness: Classifier) -> None:
    # All pixels below the threshold would go back to the image, which is correctly classified.
    images = Refined(inner=Fixed(0.45)).run(brightness, "logits", dark_batch(0.1))
    np.testing.assert_array_equal(images, np.float32(0.45))


def test_settings_of_a_refined_attack_hold_those_of_the_attack() -> None:
    plain = AdditiveNoise(norm="linf", epsilon=0.3, distribution="uniform")
    refined = Refined(inner=plain)
    assert settings(refined)["inner"] == settings(plain)
    assert settings(refined) != settings(plain)
    for name in ("norm", "chunk_size", "uses_gradients", "needs_starts"):
        assert getattr(refined, name) == getattr(plain, name)


@dataclasses.dataclass(frozen=True)
class Brightened(Fixed):
    """Gives that image to the samples of some ids, and the others their own."""

    ids: tuple[int, ...] = ()

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        chosen = np.isin(batch.ids, self.ids)[:, None, None, None]
        return np.where(chosen, super().run(classifier, endpoint, batch), batch.images)


def test_best_of_takes_each_samples_nearest(brightness: Classifier) -> None:
    attack = BestOf(attacks=(Brightened(0.9, ids=(0, 1)), Brightened(0.5, ids=(1, 2)), Brightened(0.2, ids=(0, 1, 2, 3))))
    images = attack.run(brightness, "logits", dark_batch(0.1, 0.1, 0.1, 0.1))
    # At 0.2 none is adversarial, so that the last one fails.
    np.testing.assert_allclose(images[:, 0, 0, 0], [0.9, 0.5, 0.5, 0.1])
    assert settings(attack)["attacks"] == [settings(part) for part in attack.attacks]
    with pytest.raises(ValueError, match="of one norm"):
        BestOf(attacks=(Fixed(0.9), Fixed(0.9, norm="l2")))
