"""The beam search against exhaustive ones on tiny images, and against the greedy search."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from cortexzoo.evaluation.attacks import Batch, GreedyPixels, PixelBeam
from cortexzoo.evaluation.attacks.single_changes import Changes, margins_after
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import TINY, dense, random_network, save_classifier

PIXELS = int(np.prod(TINY.image_shape))
TWO_CLASSES = dataclasses.replace(TINY, class_names=("a", "b"))


def misclassified(attack: PixelBeam | GreedyPixels, classifier: Classifier, batch: Batch) -> np.ndarray:
    return classifier.misclassifies(attack.run(classifier, "logits", batch), batch.labels)


def can_be_broken(classifier: Classifier, image: np.ndarray, label: int, pixels: int) -> bool:
    """Whether any set of that many pixels breaks the image, each at 0, at 1 or as it is."""
    found = []
    for places in itertools.combinations(range(PIXELS), pixels):
        for colours in itertools.product((0.0, 1.0, None), repeat=pixels):
            changed = image.flatten()
            for place, colour in zip(places, colours, strict=True):
                changed[place] = changed[place] if colour is None else colour
            found.append(changed.reshape(image.shape))
    return bool(classifier.misclassifies(np.stack(found), np.full(len(found), label)).any())


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Batch]:
    """A network on which the best first pixel is often not one of the best two."""
    network = random_network(np.random.default_rng(6), PIXELS, 20, 2, scale=6.0)
    images = np.random.default_rng(2).random((2000, *TINY.image_shape), np.float32)
    path = save_classifier(tmp_path_factory.mktemp("hard") / "1", network, TINY.image_shape, network.variables)
    classifier = Classifier(path, TWO_CLASSES, images[:2])
    labels = classifier.predict(images)
    # Those that are farthest from the other class.
    chosen = np.argsort(classifier.loses_by(images, labels))[:40]
    return classifier, Batch(images[chosen], labels[chosen], chosen, 0)


@pytest.mark.parametrize("pixels", [1, 2])
def test_a_beam_that_keeps_everything_is_exhaustive(pixels: int, hard: tuple[Classifier, Batch]) -> None:
    classifier, batch = hard
    found = misclassified(PixelBeam(norm="l0", epsilon=pixels, width=2 * PIXELS), classifier, batch)
    samples = zip(batch.images, batch.labels, strict=True)
    expected = [can_be_broken(classifier, image, label, pixels) for image, label in samples]
    np.testing.assert_array_equal(found, expected)
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_one_kept_image_is_the_greedy_search(pixels: int, hard: tuple[Classifier, Batch]) -> None:
    classifier, batch = hard
    greedy = misclassified(GreedyPixels(steps=pixels), classifier, batch)
    np.testing.assert_array_equal(misclassified(PixelBeam(norm="l0", epsilon=pixels, width=1), classifier, batch), greedy)
    assert 0 < greedy.sum() < len(greedy)


@pytest.mark.parametrize(("norm", "epsilon"), [("l0", 2), ("l1", 2.0)])
def test_a_beam_breaks_what_the_greedy_search_breaks_and_more(
    norm: str, epsilon: float, hard: tuple[Classifier, Batch]
) -> None:
    narrow, wide = (misclassified(PixelBeam(norm=norm, epsilon=epsilon, width=n), *hard) for n in (1, 8))
    assert not np.any(narrow & ~wide)
    assert narrow.sum() < wide.sum()


@pytest.mark.parametrize(("norm", "epsilon"), [("l0", 1), ("l0", 3), ("l1", 0.25), ("l1", 1.3)])
def test_budgets_hold(norm: str, epsilon: float, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    images = PixelBeam(norm=norm, epsilon=epsilon).run(tiny_classifier, "logits", tiny_batch)
    wrong = tiny_classifier.misclassifies(images, tiny_batch.labels)
    reached = distances(tiny_batch.images, images, norm)
    assert wrong.any()
    assert reached.max() <= epsilon * (1 + 1e-6)
    assert images.min() >= 0.0
    assert images.max() <= 1.0
    np.testing.assert_array_equal(images[~wrong], tiny_batch.images[~wrong])


def linear(directory: Path, weights: np.ndarray, bias: float) -> Classifier:
    """Class 1 beats class 0 where the sum of the weighted pixels exceeds the bias."""
    network = dense((np.stack([np.zeros(PIXELS), weights], axis=1), np.array([bias, 0.0])))
    path = save_classifier(directory / "1", network, TINY.image_shape, network.variables)
    return Classifier(path, TWO_CLASSES, np.full((1, *TINY.image_shape), 0.5, np.float32))


@pytest.mark.parametrize(("epsilon", "broken"), [(1.24, False), (1.26, True)])
def test_the_last_value_moves_as_far_as_the_budget_lasts(epsilon: float, broken: bool, tmp_path: Path) -> None:
    """With weights of 1 and a bias of 1.25 a black image needs an L1 norm of 1.25, whatever the values are."""
    classifier = linear(tmp_path, np.ones(PIXELS), 1.25)
    batch = Batch(np.zeros((1, *TINY.image_shape), np.float32), np.zeros(1, np.int64), np.arange(1), 0)
    images = PixelBeam(norm="l1", epsilon=epsilon).run(classifier, "logits", batch)
    assert classifier.misclassifies(images, batch.labels) == [broken]
    if broken:
        np.testing.assert_allclose(np.sort(images.ravel())[-3:], [0.0, 0.26, 1.0], atol=1e-6)


def test_a_sample_does_not_depend_on_its_batch(hard: tuple[Classifier, Batch]) -> None:
    classifier, batch = hard
    attack = PixelBeam(norm="l0", epsilon=3)
    together = attack.run(classifier, "logits", batch)
    np.testing.assert_array_equal(attack.run(classifier, "logits", batch), together)
    alone = [attack.run(classifier, "logits", batch.take(np.array([i])))[0] for i in range(10)]
    np.testing.assert_array_equal(alone, together[:10])


def test_a_batch_limit_changes_nothing(tiny_path: Path, tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    limited = Classifier(tiny_path, TINY, tiny_batch.images[:2], batch_limit=3)
    attack, part = PixelBeam(norm="l1", epsilon=0.6), tiny_batch.take(np.arange(4))
    expected, found = (attack.run(classifier, "logits", part) for classifier in (tiny_classifier, limited))
    np.testing.assert_array_equal(found, expected)


def test_no_budget_is_no_change(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    images = PixelBeam(norm="l0", epsilon=0.5).run(tiny_classifier, "logits", tiny_batch)
    np.testing.assert_array_equal(images, tiny_batch.images)


def test_colours_of_a_pixel_go_together(tmp_path: Path) -> None:
    """Only yellow counts: red and green of the same pixel."""
    info = dataclasses.replace(TINY, image_shape=(2, 2, 3))
    weights = np.zeros((12, 3))
    weights[[3, 4], 1] = 1.0
    weights[5, 1] = -1.0
    network = dense((weights, [1.5, 0.0, -100.0]))
    images = np.zeros((1, 2, 2, 3), np.float32)
    path = save_classifier(tmp_path / "1", network, info.image_shape, network.variables)
    classifier = Classifier(path, info, images)
    found = PixelBeam(norm="l0", epsilon=1).run(classifier, "logits", Batch(images, np.zeros(1, np.int64), np.arange(1), 0))
    np.testing.assert_array_equal(found[0, 0, 1], [1.0, 1.0, 0.0])
    assert found.sum() == 2.0


def test_margins_after_changes_are_those_of_the_changed_images(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    rng = np.random.default_rng(0)
    states = tiny_batch.images.reshape(len(tiny_batch), PIXELS, 1)
    rows, places = rng.integers(len(states), size=1100), rng.integers(PIXELS, size=1100)
    changes = Changes(rows, places, rng.random((1100, 1), np.float32))
    found = margins_after(tiny_classifier, states, tiny_batch.labels, changes)
    changed = changes.apply(states).reshape(-1, *TINY.image_shape)
    assert np.all(np.sum(changed != tiny_batch.images[rows], axis=(1, 2, 3)) == 1)
    np.testing.assert_allclose(found, tiny_classifier.loses_by(changed, tiny_batch.labels[rows]), atol=1e-5)
    assert margins_after(tiny_classifier, states, tiny_batch.labels, changes.take(slice(0))).shape == (0,)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="width=0"):
        PixelBeam(norm="l0", epsilon=1, width=0)
    with pytest.raises(ValueError, match="norm"):
        PixelBeam(norm="l2", epsilon=1)
