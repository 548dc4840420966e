"""Batches: every image once an epoch, in an order that seed and epoch alone decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexzoo.training.batches import EpochBatches


def make_batches(count: int, batch_size: int, seed: int = 0, **options: object) -> EpochBatches:
    labels = np.arange(count)
    return EpochBatches(labels[:, None].astype(np.float32), labels, batch_size, seed, **options)


def order(batches: EpochBatches, epoch: int) -> list[int]:
    batches.set_epoch(epoch)
    return [int(label) for i in range(len(batches)) for label in batches[i][1]]


@given(count=st.integers(1, 60), batch_size=st.integers(1, 20), seed=st.integers(0, 2**32), epoch=st.integers(0, 1000))
def test_no_image_comes_twice_in_an_epoch(count: int, batch_size: int, seed: int, epoch: int) -> None:
    batches = make_batches(count, min(batch_size, count), seed)
    seen = order(batches, epoch)
    assert len(set(seen)) == len(seen) == len(batches) * batches.batch_size
    # Only what fills no batch is left for another epoch.
    assert count - len(seen) < batches.batch_size


@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 1000), before=st.lists(st.integers(0, 1000), max_size=4))
def test_order_does_not_depend_on_what_was_read_before(seed: int, epoch: int, before: list[int]) -> None:
    fresh, used = make_batches(50, 7, seed), make_batches(50, 7, seed)
    for earlier in before:
        order(used, earlier)
    assert order(used, epoch) == order(fresh, epoch)


def test_order_differs_between_epochs_and_seeds() -> None:
    orders = [tuple(order(make_batches(50, 10, seed), epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9


def test_first_epoch_needs_no_call() -> None:
    batches = make_batches(50, 10)
    assert [int(label) for i in range(5) for label in batches[i][1]] == order(make_batches(50, 10), 0)


def test_images_and_labels_stay_together() -> None:
    batches = make_batches(30, 4)
    for i in range(len(batches)):
        images, labels = batches[i]
        np.testing.assert_array_equal(images[:, 0], labels)


def test_targets_are_made_from_the_batch() -> None:
    batches = make_batches(30, 4, target=lambda images, labels: images[:, 0] + 100 * labels)
    _, targets = batches[2]
    np.testing.assert_array_equal(targets, 101 * make_batches(30, 4)[2][1])


def test_steps_shorten_an_epoch_and_never_lengthen_it() -> None:
    assert len(make_batches(30, 4)) == 7
    assert len(make_batches(30, 4, steps=3)) == 3
    assert len(make_batches(30, 4, steps=100)) == 7


def picture_batches(**options: object) -> EpochBatches:
    images = np.random.default_rng(0).random((20, 6, 5, 2), np.float32)
    return EpochBatches(images, np.arange(20), 5, 0, **options)


def test_shifted_images_are_windows_of_the_mirrored_border() -> None:
    batches = picture_batches(max_shift=2, border="reflect")
    seen = set()
    for i in range(len(batches)):
        for image, label in zip(*batches[i], strict=True):
            padded = np.pad(batches.images[label], ((2, 2), (2, 2), (0, 0)), mode="reflect")
            windows = {(y, x): padded[y : y + 6, x : x + 5] for y in range(5) for x in range(5)}
            (offset,) = (offset for offset, window in windows.items() if (window == image).all())
            seen.add(offset)
    assert len(seen) > 10


def test_half_of_the_images_are_mirrored() -> None:
    batches, mirrored = picture_batches(flip=True), []
    for epoch in range(10):
        batches.set_epoch(epoch)
        for image, label in zip(*batches[0], strict=True):
            mirrored.append((image == batches.images[label][:, ::-1]).all())
            assert mirrored[-1] or (image == batches.images[label]).all()
    # 50 draws: five standard deviations are 17.7.
    assert abs(sum(mirrored) - 25) < 18


def test_augmentation_leaves_the_order_alone() -> None:
    expected = order(make_batches(20, 5), 3)
    batches = picture_batches(flip=True, max_shift=2, noise=0.1)
    batches.set_epoch(3)
    assert [int(label) for i in range(4) for label in batches[i][1]] == expected


def test_noise_is_drawn_anew_in_every_step_and_clipped() -> None:
    gray = np.full((20, 30, 30, 1), 0.5, np.float32)
    batches, drawn = EpochBatches(gray, np.arange(20), 5, 0, noise=0.1), []
    for epoch in range(3):
        batches.set_epoch(epoch)
        for i in range(len(batches)):
            images, _ = batches[i]
            np.testing.assert_array_equal(images, batches[i][0])
            drawn.append(images - gray[0])
    assert drawn[0].dtype == np.float32
    assert len({float(noise.sum()) for noise in drawn}) == len(drawn)
    # 54,000 draws.
    assert np.std(drawn) == pytest.approx(0.1, rel=0.02)
    strong, _ = EpochBatches(gray, np.arange(20), 5, 0, noise=1.0)[0]
    assert (strong.min(), strong.max()) == (0.0, 1.0)
