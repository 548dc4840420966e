"""Images and labels that belong together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cortexzoo.images.image_arrays import to_images
from cortexzoo.images.label_arrays import to_labels
from cortexzoo.images.source import Content


def to_content(
    images: Any,
    labels: Any,
    *,
    scale: float | None = None,
    image_shape: tuple[int, int, int] | None = None,
    class_names: Sequence[str] | None = None,
) -> Content:
    """Checks images and labels.

    Args:
        images: array-like, (n, height, width, channels) or (n, height, width): uint8 from 0 to 255, floats in [0, 1], or any
            numbers from 0 to `scale`.
        labels: array-like, (n,) or (n, 1), class numbers from 0; or (n, classes), one-hot.
        scale: the value that stands for white.
        image_shape: the expected (height, width, channels); settles what could be read as channels first.
        class_names: in the order of the labels; by default "0", "1", and so on.

    Returns:
        The images as uint8 from 0 to 255, without a copy, where they are so; else as float32 in [0, 1].

    Raises:
        ValueError: what was expected, what was received, and what to do.
    """
    pixels = to_images(images, scale=scale, image_shape=image_shape)
    numbers, classes = to_labels(labels)
    if len(numbers) != len(pixels):
        raise ValueError(
            f"Expected a label for each image. Received: {len(pixels)} images and {len(numbers)} labels."
            + (" Is this one image? Then pass image[None]." if np.ndim(images) == 3 and len(numbers) == 1 else "")
        )
    names = tuple(map(str, range(classes) if class_names is None else class_names))
    if classes > len(names):
        raise ValueError(
            f"Expected labels below {len(names)}, the number of class names. Received: label {int(numbers.max())}."
        )
    return Content(pixels, numbers, names)
