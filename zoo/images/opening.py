"""Finds out what kind of source the user has."""

import functools
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cortexzoo import datasets
from cortexzoo.images import folders, npz, published, tensors
from cortexzoo.images.checks import to_content
from cortexzoo.images.source import ImageSource, source_of


def open_images(
    data: Any,
    labels: Any = None,
    *,
    name: str | None = None,
    scale: float | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> ImageSource:
    """Opens labelled images.

    Args:
        data: one of
            an array of images, (n, height, width, channels) or (n, height, width): uint8 from 0 to 255, or floats in [0, 1];
            a tuple of such an array and the labels;
            a `tf.data.Dataset` of (image, label) or {"image": ..., "label": ...}, batched or not;
            the name of a data set of the catalogue, such as "mnist";
            a name in TensorFlow Datasets, with a split or without: "emnist/letters", "cats_vs_dogs:train[:100]";
            an .npz file that holds images and labels, x and y, or x_test and y_test;
            a folder of class folders of PNG, JPEG or BMP files, or of such folders as train/ and test/.
            A name of the catalogue comes before a file of that name: write "./mnist" for the latter.
        labels: for an array, (n,), class numbers from 0; or (n, classes), one-hot.
        name: for people; by default that of the file, the folder or the data set, and "images" for arrays.
        scale: the value that stands for white, where that is neither 255 in uint8 nor 1 in floats.
        image_shape: (height, width, channels). Images of files and of TFDS are resized to it (bilinear), which
            `ImageSource.notes` says; arrays have to have it.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: what was expected, what was received, and what to do.
    """
    options: dict[str, Any] = {"scale": scale, "image_shape": _checked_shape(image_shape)}
    _check_name(name)
    if isinstance(data, tuple) and len(data) == 2 and labels is None:
        data, labels = data
    if not isinstance(data, ImageSource | str | os.PathLike) and not _is_tf_dataset(data):
        return source_of(to_content(data, labels, **options), name or "images")
    if labels is not None:
        raise ValueError(f"Expected `labels` beside an array of images only. Received: labels beside {_described(data)}.")
    if isinstance(data, ImageSource):
        return data
    if _is_tf_dataset(data):
        return source_of(tensors.read(data, **options), name or "images")
    return _open_named(data, name, options)


def _open_named(data: str | os.PathLike[str], name: str | None, options: dict[str, Any]) -> ImageSource:
    if isinstance(data, str) and data in datasets.DATASETS:
        return _open_catalogued(data, {"name": name, **options})
    path = Path(data).expanduser()
    # An empty text is no path, though `Path` takes it for the working directory.
    if path.is_dir() and data:
        return folders.open_folder(path, name, **options)
    if path.is_file():
        return npz.open_npz(path, name, **options)
    if isinstance(data, str) and published.is_reference(data):
        try:
            return published.open_published(data, name, **options)
        except datasets.DatasetNotFoundError as error:
            raise ValueError(f"{_expected()} Received: {data!r}, where there is no file or folder. {error}") from None
    raise ValueError(f"{_expected()} Received: {os.fspath(data)!r}, where there is no file or folder.")


def _open_catalogued(name: str, options: dict[str, Any]) -> ImageSource:
    if given := [option for option, value in options.items() if value is not None]:
        raise ValueError(
            f"Expected no {', '.join(f'`{option}`' for option in given)} for {name}, a data set of the catalogue. "
            f"For other images of it, name a split, as in '{name}:test'."
        )
    return ImageSource(datasets.info(name), {split: functools.partial(_load, name, split) for split in datasets.SPLITS})


def _load(name: str, split: str) -> datasets.Split:
    return datasets.load(name, split)


def _is_tf_dataset(data: Any) -> bool:
    # Who has a dataset has imported TensorFlow.
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(data, tensorflow.data.Dataset)


def _checked_shape(image_shape: Any) -> tuple[int, int, int] | None:
    if image_shape is None:
        return None
    shape = tuple(image_shape) if isinstance(image_shape, list | tuple) else ()
    if len(shape) != 3 or not all(isinstance(size, int | np.integer) and size > 0 for size in shape):
        raise ValueError(f"`image_shape` must be (height, width, channels), as in (96, 96, 3). Received: {image_shape!r}")
    height, width, channels = map(int, shape)
    return height, width, channels


def _check_name(name: str | None) -> None:
    if name is not None and not (isinstance(name, str) and re.fullmatch(r"[\w.\-]+", name)):
        raise ValueError(f"`name` must be made of letters, digits, '_', '-' and '.'. Received: name={name!r}")


def _described(data: Any) -> str:
    return repr(data) if isinstance(data, str) else type(data).__name__


def _expected() -> str:
    return (
        f"Expected a data set of the catalogue ({', '.join(datasets.DATASETS)}), an .npz file, a folder of class folders, "
        "or a name in TensorFlow Datasets such as 'emnist/letters' or 'cats_vs_dogs:train[:100]'."
    )
