"""Images and labels out of a `tf.data.Dataset`."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from cortexzoo.images import pixels
from cortexzoo.images.checks import to_content
from cortexzoo.images.naming import find_pair
from cortexzoo.images.source import Content

_MAPPED = "Map it, as in dataset.map(lambda image, label, weight: (image, label))."
Elements = Iterator[tuple[np.ndarray, np.ndarray]]
_BATCH = 256
_ELEMENTS = 'Expected a tf.data.Dataset of (image, label), or of {"image": ..., "label": ...}.'


def read(
    dataset: Any,
    *,
    scale: float | None = None,
    image_shape: tuple[int, int, int] | None = None,
    class_names: tuple[str, ...] | None = None,
) -> Content:
    """Reads a dataset to its end.

    Args:
        dataset: `tf.data.Dataset` of (image, label) or {"image": ..., "label": ...}, batched or not.
        scale: see `checks.to_content`.
        image_shape: (height, width, channels). Single uint8 images of other sizes are resized to it.
        class_names: in the order of the labels.

    Raises:
        ValueError: the dataset has no end, other elements, or images of several sizes; see `checks.to_content` too.
    """
    # Keras' image_dataset_from_directory tells the names.
    class_names = class_names or getattr(dataset, "class_names", None)
    images, labels, *notes = _read_arrays(dataset, image_shape)
    content = to_content(images, labels, scale=scale, image_shape=image_shape, class_names=class_names)
    return dataclasses.replace(content, notes=tuple(notes))


def _read_arrays(dataset: Any, image_shape: tuple[int, int, int] | None) -> tuple[Any, ...]:
    """Images, labels, and a note where images were resized."""
    import tensorflow as tf

    dataset = _pairs(dataset)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("Expected a tf.data.Dataset with an end. Received: an infinite one. dataset.take(n) has one.")
    try:
        image, label = _shapes(dataset)
        if _is_batched(image, label):
            return _joined(dataset.as_numpy_iterator())
        if _has_one_size(dataset.element_spec, image_shape):
            return _joined(dataset.batch(_BATCH).as_numpy_iterator())
        if image_shape is None:
            return _stacked(dataset.as_numpy_iterator())
        return _resized(dataset.as_numpy_iterator(), image_shape)
    except tf.errors.OpError as error:
        # The first line says what happened, behind the name of a node.
        cause = re.sub(r"\{\{.*?\}\}\s*", "", error.message.splitlines()[0])
        raise ValueError(f"Expected a tf.data.Dataset that can be read to its end. Received: {cause}") from None


def _pairs(dataset: Any) -> Any:
    """The dataset as one of (image, label)."""
    import tensorflow as tf

    spec = dataset.element_spec
    if isinstance(spec, dict) and (keys := find_pair(spec)):
        dataset = dataset.map(lambda element: (element[keys[0]], element[keys[1]]))
    parts = dataset.element_spec
    if not (isinstance(parts, tuple) and len(parts) == 2 and all(isinstance(part, tf.TensorSpec) for part in parts)):
        raise ValueError(f"{_ELEMENTS} Received: {_described(spec)}. {_MAPPED}")
    return dataset


def _described(spec: Any) -> str:
    if isinstance(spec, dict):
        return f"a dict of {', '.join(map(repr, spec))}"
    if isinstance(spec, tuple):
        return f"a tuple of {len(spec)}: {', '.join(map(_described, spec))}"
    return str(getattr(spec, "shape", spec))


def _shapes(dataset: Any) -> tuple[Any, Any]:
    """The shapes of an image and a label, or of a batch of them; the first ones' where the dataset knows no rank."""
    import tensorflow as tf

    image, label = (part.shape for part in dataset.element_spec)
    if image.rank is None or label.rank is None:
        (images, labels) = _unzipped(dataset.take(1).as_numpy_iterator())
        image, label = tf.TensorShape(images[0].shape), tf.TensorShape(labels[0].shape)
    return image, label


def _is_batched(image: Any, label: Any) -> bool:
    if image.rank == 3 and label.rank == 1:
        # Batches of gray images without channels, or single images with one-hot labels.
        return image[-1] not in (1, 3, 4)
    return image.rank == 4 or label.rank == 2


def _has_one_size(element_spec: tuple[Any, Any], image_shape: tuple[int, int, int] | None) -> bool:
    image, label = (part.shape for part in element_spec)
    known = image.is_fully_defined() and label.is_fully_defined()
    return known and image_shape in (None, tuple(image))


def _joined(batches: Elements) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _unzipped(batches)
    if len({batch.shape[1:] for batch in images}) > 1:
        raise ValueError(f"Expected images of one size. Received: batches of shapes {images[0].shape}, {images[-1].shape}.")
    return np.concatenate(images), np.concatenate(labels)


def _stacked(elements: Elements) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _unzipped(elements)
    for row, image in enumerate(images):
        if image.shape != images[0].shape:
            raise ValueError(
                f"Expected images of one size. Received: {images[0].shape}, and {image.shape} as image {row}. "
                "`image_shape` resizes uint8 images."
            )
    return np.stack(images), np.stack(labels)


def _resized(elements: Elements, image_shape: tuple[int, int, int]) -> tuple[Any, ...]:
    changed = 0

    def fitted() -> Elements:
        nonlocal changed
        for image, label in elements:
            changed += image.shape[:2] != image_shape[:2]
            yield (image if image.shape == image_shape else pixels.fitted(image, image_shape)), label

    images, labels = _stacked(fitted())
    return images, labels, *([pixels.resized_note(changed, len(images), image_shape)] if changed else [])


def _unzipped(elements: Elements) -> tuple[list[np.ndarray], list[np.ndarray]]:
    pairs = list(elements)
    if not pairs:
        raise ValueError("Expected at least one image. Received: an empty tf.data.Dataset.")
    images, labels = map(list, zip(*pairs, strict=True))
    return images, labels
