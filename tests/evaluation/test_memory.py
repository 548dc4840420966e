"""Batches of large models: what an image takes is measured."""

import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.evaluation import memory

SHAPE = (96, 96, 3)
COPIES = 24


def wide(images: tf.Tensor) -> tf.Tensor:
    """Keeps two dozen copies of an image for its gradient: a square at each, which needs what is squared."""
    values = images
    for _ in range(COPIES):
        values = tf.square(values) + images
    return tf.reshape(values, (tf.shape(images)[0], -1))[:, :3]


def test_small_images_need_no_measuring() -> None:
    assert memory.images_at_once(lambda images: pytest.fail("measured"), (28, 28, 1)) is None


def test_as_many_images_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_available", lambda: 2.0e9)
    wanted = 0.4 * 2.0e9 / (COPIES * 4 * np.prod(SHAPE))
    # Not only at first, when no memory of earlier models is left over.
    for _ in range(3):
        # Within a factor: how much the allocator holds back varies.
        assert wanted / 4 < memory.images_at_once(wide, SHAPE) < 4 * wanted


def test_one_image_is_always_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_available", lambda: 1.0)
    monkeypatch.setattr(memory, "_bytes_each", lambda *_: 1e6)
    assert memory.images_at_once(wide, SHAPE) == 1


def test_what_fits_into_memory_that_the_process_has_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_available", lambda: 2.0e9)
    monkeypatch.setattr(memory, "_peak_of", lambda gradient, count, shape: 1e9)
    assert memory.images_at_once(wide, SHAPE) == memory._MOST
    # From 16 images on they need more than what was freed before, and part of the first growth is hidden.
    monkeypatch.setattr(memory, "_peak_of", lambda gradient, count, shape: max(1e9, count * 1e8))
    assert memory.images_at_once(wide, SHAPE) == int(0.4 * 2.0e9 / 1e8)


def test_where_memory_cannot_be_measured_any_number_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_available", lambda: None)
    assert memory.images_at_once(wide, SHAPE) is None
