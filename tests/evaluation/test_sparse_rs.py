"""Sparse-RS against an exhaustive search, and what holds for every number of pixels and channels."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from cortexzoo.evaluation.attacks import Batch, SparseRS
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.norms import distances
from tests.evaluation.small_models import TINY, random_network, save_classifier

SHAPES = [(4, 4, 1), (5, 3, 2), (1, 7, 3)]


def odd(path: Path, shape: tuple[int, int, int], bias: float = 0.0) -> tuple[Classifier, Batch]:
    """A small random network for images of this shape, and twelve images from all over its margins.

    The bias of the first class makes its images more robust.
    """
    network = random_network(np.random.default_rng(1), int(np.prod(shape)), 12, 3, scale=1.5)
    network.layers[-1][1].assign([bias, 0.0, 0.0])
    info = dataclasses.replace(TINY, image_shape=shape)
    images = np.random.default_rng(0).random((400, *shape), np.float32)
    classifier = Classifier(save_classifier(path / "1", network, shape, network.variables), info, images[:2])
    labels = classifier.predict(images)
    chosen = np.argsort(classifier.loses_by(images, labels))[:: 400 // 12][:12]
    return classifier, Batch(images[chosen], labels[chosen], chosen, 0)


def broken(attack: SparseRS, classifier: Classifier, batch: Batch) -> np.ndarray:
    """Which samples the attack breaks, after checking its images."""
    images = batch.check(attack.run(classifier, "logits", batch), attack.name)
    assert images.dtype == np.float32
    assert distances(batch.images, images, "l0").max() <= attack.epsilon
    # A changed value is an end.
    assert np.all((images == batch.images) | (images == 0.0) | (images == 1.0))
    return classifier.misclassifies(images, batch.labels)


def breakable(classifier: Classifier, image: np.ndarray, label: int, count: int) -> bool:
    """Whether some choice of pixels and colours breaks the image."""
    height, width, channels = image.shape
    colours = list(itertools.product((0.0, 1.0), repeat=channels))
    candidates = []
    for pixels in itertools.combinations(range(height * width), count):
        for chosen in itertools.product(colours, repeat=count):
            flat = image.reshape(-1, channels).copy()
            flat[list(pixels)] = chosen
            candidates.append(flat.reshape(image.shape))
    labels = np.full(len(candidates), label)
    return bool(classifier.misclassifies(np.stack(candidates), labels).any())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_finds_what_an_exhaustive_search_finds(count: int, shape: tuple[int, int, int], tmp_path: Path) -> None:
    classifier, batch = odd(tmp_path, shape, bias=float(count))
    expected = np.array(
        [breakable(classifier, image, label, count) for image, label in zip(batch.images, batch.labels, strict=True)]
    )
    assert 0 < expected.sum() < len(batch)
    # One walk may end where every single exchange is worse.
    found = broken(SparseRS(epsilon=float(count), queries=600, restarts=3), classifier, batch)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("share", [0.5, 1.0, 3.0])
def test_takes_any_number_of_pixels(share: float, shape: tuple[int, int, int], tmp_path: Path) -> None:
    classifier, batch = odd(tmp_path, shape)
    epsilon = share * shape[0] * shape[1] + 0.5
    assert broken(SparseRS(epsilon=epsilon, queries=60), classifier, batch).mean() > 0.5


def test_less_than_a_pixel_changes_nothing(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    images = SparseRS(epsilon=0.9).run(tiny_classifier, "logits", tiny_batch)
    np.testing.assert_array_equal(images, tiny_batch.images)


def test_more_restarts_break_the_same_samples_and_more(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    attack = SparseRS(epsilon=1.0, queries=5)
    one, two, many = (broken(dataclasses.replace(attack, restarts=n), tiny_classifier, tiny_batch) for n in (1, 2, 20))
    assert not np.any(one & ~two)
    assert not np.any(two & ~many)
    assert one.sum() < many.sum()


def test_more_queries_break_more(digits_classifier: Classifier, digits_batch: Batch) -> None:
    few, more = (
        broken(SparseRS(epsilon=6.0, queries=queries), digits_classifier, digits_batch).sum() for queries in (20, 1000)
    )
    assert few < more


def test_a_sample_does_not_depend_on_its_batch_but_on_the_seed(tiny_classifier: Classifier, tiny_batch: Batch) -> None:
    # More queries than a block.
    attack = SparseRS(epsilon=2.0, queries=70)
    images = attack.run(tiny_classifier, "logits", tiny_batch)
    np.testing.assert_array_equal(attack.run(tiny_classifier, "logits", tiny_batch), images)
    order = np.random.default_rng(0).permutation(len(tiny_batch))
    for chosen in (order[:1], order[1:4], order[4:]):
        np.testing.assert_array_equal(attack.run(tiny_classifier, "logits", tiny_batch.take(chosen)), images[chosen])
    other = attack.run(tiny_classifier, "logits", dataclasses.replace(tiny_batch, seed=1))
    assert np.any(other != images, axis=(1, 2, 3)).mean() > 0.5


def test_exchange_follows_the_published_schedule() -> None:
    # 0.3 of 200 pixels, divided by 2, 4, 5, 6, 8, 10, 12, 15 and 20.
    expected = {0: 60, 1: 30, 50: 30, 51: 15, 201: 12, 501: 10, 1001: 7, 2001: 6, 4001: 5, 6001: 4, 8001: 3, 10_000: 3}
    attack = SparseRS(epsilon=200.0, queries=10_000)
    assert {query: attack._exchanged(200, query) for query in expected} == expected
    assert dataclasses.replace(attack, queries=1000)._exchanged(200, 5) == 30
    assert attack._exchanged(1, 9000) == 1


def test_an_exchange_is_a_permutation() -> None:
    attack, shape = SparseRS(epsilon=5.0, queries=100), (3, 4, 2)
    for query in range(100):
        positions, sources, colours = attack.draw(shape, np.random.default_rng(query), query)
        order = np.arange(12)
        order[positions] = sources
        np.testing.assert_array_equal(np.sort(order), np.arange(12))
        # The positions of the changed pixels come first; these get colours, and the others their own.
        assert np.all((colours == -1.0).all(axis=1) == (positions >= 5))
        assert np.all(np.isin(colours[positions < 5], (0.0, 1.0)))
        assert np.all((order < 5)[positions] == (order[positions] == positions) & (positions < 5) | (positions >= 5))


@pytest.mark.parametrize("options", [{"queries": 0}, {"restarts": 0}, {"alpha_init": 0.0}, {"norm": "l1"}])
def test_impossible_settings_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Received: "):
        SparseRS(**{"epsilon": 1.0} | options)
