"""Images and labels in a NumPy archive."""

import functools
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from cortexzoo.images.checks import to_content
from cortexzoo.images.naming import PAIRS, TRAINING_PAIRS, find_pair, safe_name
from cortexzoo.images.source import Content, ImageSource, source_of

_CLASS_NAMES = "class_names"


def open_npz(path: Path, name: str | None = None, **options: Any) -> ImageSource:
    """Opens an .npz file with images and labels, and class_names where it has them.

    Args:
        path: the file. Its arrays are called images and labels, x and y, or x_test and y_test; x_train and y_train are its
            training images. Nothing in it is unpickled.
        name: see `open_images`.
        **options: `scale` and `image_shape`, see `checks.to_content`.

    Raises:
        ValueError: the file cannot be read, or holds no images.
    """
    if path.suffix.lower() != ".npz":
        raise ValueError(
            f"Expected an .npz file, as np.savez('my.npz', images=images, labels=labels) writes. Received: {path}."
        )
    keys = _keys(path)
    pair, training = find_pair(keys, PAIRS), find_pair(keys, TRAINING_PAIRS)
    if pair is None:
        raise ValueError(
            f"Expected the arrays images and labels, x and y, or x_test and y_test in {path}. "
            f"Received: {', '.join(keys) or 'no arrays'}."
        )
    train = functools.partial(_content, path, training, options) if training else None
    return source_of(_content(path, pair, options), name or safe_name(path.stem), train=train)


def _content(path: Path, pair: tuple[str, str], options: dict[str, Any]) -> Content:
    images, labels = (_read(path, key) for key in pair)
    names = _read(path, _CLASS_NAMES).tolist() if _CLASS_NAMES in _keys(path) else None
    try:
        return to_content(images, labels, class_names=names, **options)
    except ValueError as error:
        raise ValueError(f"{path}, arrays {pair[0]} and {pair[1]}: {error}") from None


def _keys(path: Path) -> list[str]:
    return _with_archive(path, lambda archive: list(archive.files))


def _read(path: Path, key: str) -> np.ndarray:
    return _with_archive(path, lambda archive: archive[key])


def _with_archive(path: Path, read: Any) -> Any:
    try:
        # NumPy leaves a file of its own open where it is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return read(archive)
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"Expected an .npz file of arrays of numbers. Received: {path}, unreadable: {error}") from None
