"""`tf.data.Dataset` in all the forms that people give it."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cortexzoo.images import open_images

N = 7
BYTES = np.random.default_rng(1).integers(0, 256, (N, 9, 8, 3), np.uint8)
LABELS = np.arange(N) % 4
SAME = open_images(BYTES, LABELS).info.name
PAIRS = tf.data.Dataset.from_tensor_slices((BYTES, LABELS))


def elements() -> Iterator[tuple[np.ndarray, np.int64]]:
    yield from zip(BYTES, LABELS, strict=True)


DATASETS = {
    "single": PAIRS,
    "batched": PAIRS.batch(3),
    "batched, whole batches": PAIRS.batch(7, drop_remainder=True),
    "dictionaries": PAIRS.map(lambda image, label: {"image": image, "label": label, "id": label}),
    "batched dictionaries": PAIRS.map(lambda image, label: {"images": image, "labels": label}).batch(2),
    "one-hot": PAIRS.map(lambda image, label: (image, tf.one_hot(label, 4))),
    "batched one-hot": PAIRS.map(lambda image, label: (image, tf.one_hot(label, 4))).batch(3),
    "floats": PAIRS.map(lambda image, label: (tf.cast(image, tf.float32) / 255.0, label)),
    "generator": tf.data.Dataset.from_generator(
        elements, output_signature=(tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    ),
    "unknown rank": PAIRS.map(lambda image, label: (tf.py_function(lambda x: x, [image], tf.uint8), label)),
    "batched, unknown rank": PAIRS.batch(4).map(lambda *pair: tf.py_function(lambda *x: x, pair, (tf.uint8, tf.int64))),
    "prefetched": PAIRS.batch(2).prefetch(1),
}


def refusal(dataset: tf.data.Dataset, **options: object) -> str:
    with pytest.raises(ValueError, match="Received: ") as caught:
        open_images(dataset, **options)
    return str(caught.value)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_datasets(dataset: tf.data.Dataset) -> None:
    source = open_images(dataset)
    assert source.info.name == SAME
    np.testing.assert_array_equal(source.load("test").images, BYTES / np.float32(255))
    np.testing.assert_array_equal(source.load("test").labels, LABELS)


@pytest.mark.parametrize("batch", [0, 3])
def test_gray_without_channels(batch: int) -> None:
    dataset = tf.data.Dataset.from_tensor_slices((BYTES[..., 0], LABELS))
    dataset = dataset.batch(batch) if batch else dataset
    assert open_images(dataset).info.name == open_images(BYTES[..., :1], LABELS).info.name


def test_scale() -> None:
    dataset = PAIRS.map(lambda image, label: (tf.cast(image, tf.float32), label))
    assert open_images(dataset, scale=255).info.name == SAME
    assert "Pass scale=255" in refusal(dataset)


def test_several_sizes() -> None:
    several = tf.data.Dataset.from_generator(
        lambda: ((np.full((4 + row, 5, 1), 7, np.uint8), row) for row in range(3)),
        output_signature=(tf.TensorSpec((None, None, 1), tf.uint8), tf.TensorSpec((), tf.int32)),
    )
    message = (
        "Expected images of one size. Received: (4, 5, 1), and (5, 5, 1) as image 1. `image_shape` resizes uint8 images."
    )
    assert message in refusal(several)
    source = open_images(several, image_shape=(6, 5, 1))
    assert source.info.image_shape == (6, 5, 1)
    assert source.notes == ("2 of 3 images were resized to 6 x 5 pixels, bilinear.",)
    np.testing.assert_array_equal(source.load("test").images, np.full((3, 6, 5, 1), 7 / 255, np.float32))


def test_resizing_is_that_of_pillow() -> None:
    images = open_images(PAIRS, image_shape=(5, 4, 3)).load("test").images
    expected = [np.asarray(Image.fromarray(image).resize((4, 5), Image.Resampling.BILINEAR)) for image in BYTES]
    np.testing.assert_array_equal(images, np.stack(expected) / np.float32(255))


def test_floats_are_not_resized() -> None:
    floats = PAIRS.map(lambda image, label: (tf.cast(image, tf.float32) / 255.0, label))
    assert "Expected uint8 images of shape (height, width, 1)" in refusal(floats, image_shape=(5, 4, 3))


def test_batches_of_several_sizes() -> None:
    dataset = tf.data.Dataset.from_generator(
        lambda: ((np.zeros((2, size, 5, 1), np.uint8), [0, 1]) for size in (4, 6)),
        output_signature=(tf.TensorSpec((None, None, None, 1), tf.uint8), tf.TensorSpec((None,), tf.int32)),
    )
    assert "Expected images of one size. Received: batches of shapes (2, 4, 5, 1), (2, 6, 5, 1)." in refusal(dataset)


def test_names_of_keras(tmp_path: object) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(BYTES[0]).save(tmp_path / name / "1.png")
    dataset = keras.utils.image_dataset_from_directory(tmp_path, image_size=(9, 8), shuffle=False, verbose=False)
    source = open_images(dataset, scale=255)
    assert source.info.class_names == ("cat", "dog")
    assert source.info.name == open_images(tmp_path, name="images").info.name


def broken() -> tf.data.Dataset:
    def check(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.debugging.check_numerics(tf.cast(image, tf.float32) / 0.0, "a hole in the file"), label

    return PAIRS.map(check)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (PAIRS.repeat(), "Received: an infinite one. dataset.take(n) has one."),
        (PAIRS.take(0), "Received: an empty tf.data.Dataset."),
        (PAIRS.map(lambda image, label: image), "Expected a tf.data.Dataset of (image, label)"),
        (PAIRS.map(lambda image, label: (image, label, label)), "Expected a tf.data.Dataset of (image, label)"),
        (PAIRS.map(lambda image, label: {"image": image, "name": label}), "Expected a tf.data.Dataset of (image, label)"),
        (PAIRS.map(lambda image, label: (image, {"label": label})), "Expected a tf.data.Dataset of (image, label)"),
        (broken(), "Expected a tf.data.Dataset that can be read to its end. Received: a hole in the file"),
        (PAIRS.map(lambda image, label: (tf.transpose(image, (2, 0, 1)), label)), "looks like channels first"),
    ],
    ids=["infinite", "empty", "no labels", "weights", "no label", "nested", "broken", "channels first"],
)
def test_refused(dataset: tf.data.Dataset, expected: str) -> None:
    assert expected in refusal(dataset)
