"""Data sets of TensorFlow Datasets by name, beyond those of the catalogue."""

import functools
import re
from typing import Any

import numpy as np

from cortexzoo import datasets
from cortexzoo.datasets import prepared
from cortexzoo.images import tensors
from cortexzoo.images.naming import safe_name
from cortexzoo.images.source import Content, ImageSource, source_of

# name, name/config, name:1.0.0, name:split, name:1.0.0:split
_REFERENCE = re.compile(r"(?P<name>[a-z]\w*(/[\w.\-]+)?)(:(?P<version>\d+\.\d+\.\d+))?(:(?P<split>[a-z][^/\\]*))?")


def is_reference(text: str) -> bool:
    """Tells whether a text could name a data set of TFDS."""
    return _REFERENCE.fullmatch(text) is not None


def open_published(
    reference: str, name: str | None = None, *, scale: float | None = None, image_shape: tuple[int, int, int] | None = None
) -> ImageSource:
    """Opens a data set of TFDS.

    Args:
        reference: "name", "name/config", either with ":version" and ":split". By default the split "test", with "train" as
            training images.
        name: see `open_images`.
        scale: see `checks.to_content`.
        image_shape: see `open_images`.

    Raises:
        ValueError: it has no such split, or holds no labelled images.
        DatasetNotFoundError: TFDS does not know it.
        DatasetUnavailableError: it is not prepared, and cannot be downloaded.
    """
    parts = _REFERENCE.fullmatch(reference)
    builder = prepared.builder(parts["name"], parts["version"])
    read = functools.partial(_read, builder, scale=scale, image_shape=image_shape)
    has_train = parts["split"] is None and "train" in builder.info.splits
    content = read(split=parts["split"] or "test")
    train = functools.partial(read, split="train") if has_train else None
    known = _known(parts["name"], content)
    return source_of(content, name or safe_name(parts["name"]), train=train, known=known)


def _read(builder: Any, *, split: str, scale: float | None, image_shape: tuple[int, int, int] | None) -> Content:
    image, label = _keys(builder)
    dataset = _dataset(builder, split).map(lambda element: (element[image], element[label]))
    names = getattr(builder.info.features[label], "names", None)
    return tensors.read(dataset, scale=scale, image_shape=image_shape, class_names=names)


def _keys(builder: Any) -> tuple[str, str]:
    """The names of image and label among the features."""
    features, keys = builder.info.features, builder.info.supervised_keys or ("image", "label")
    shapes = {key: getattr(feature, "shape", None) for key, feature in features.items()}
    if len(keys) != 2 or not all(isinstance(key, str) for key in keys) or len(shapes.get(keys[0]) or ()) != 3:
        raise ValueError(
            f"Expected labelled images in {builder.info.full_name}. Received: features {', '.join(sorted(features))}."
        )
    if shapes.get(keys[1]) != () or np.dtype(features[keys[1]].np_dtype).kind not in "iu":
        raise ValueError(f"Expected one class for each image of {builder.info.full_name}. Received: {features[keys[1]]}.")
    return keys


def _dataset(builder: Any, split: str) -> Any:
    try:
        return builder.as_dataset(split=split, shuffle_files=False)
    except (ValueError, AssertionError, KeyError):
        known = list(builder.info.splits)
        raise ValueError(
            f"Expected a split of {builder.info.full_name}, one of {', '.join(known)}, or a part of one. "
            f"Received: {split!r}. Name one, as in '{builder.info.name}:{known[0]}[:100]'."
        ) from None


def _known(tfds_name: str, content: Content) -> datasets.DatasetInfo | None:
    """The description in the catalogue of the data set that these images are a part of."""
    shape = content.images.shape[1:]
    infos = datasets.DATASETS.values()
    return next((info for info in infos if info.tfds_name == tfds_name and info.image_shape == shape), None)
