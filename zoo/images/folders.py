"""Images in a folder for each class."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cortexzoo.images import pixels
from cortexzoo.images.checks import to_content
from cortexzoo.images.naming import safe_name
from cortexzoo.images.source import Content, ImageSource, source_of

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")


@dataclasses.dataclass(frozen=True)
class _Files:
    """The images of a folder, class by class.

    Attributes:
        paths: in the order of the classes, and sorted within each.
        labels: of each.
        class_names: the folders' names, sorted.
        others: number of files that are no images.
    """

    paths: list[Path]
    labels: list[int]
    class_names: tuple[str, ...]
    others: int


def open_folder(
    path: Path, name: str | None = None, *, scale: float | None = None, image_shape: tuple[int, int, int] | None = None
) -> ImageSource:
    """Opens a folder with one folder a class, or with such folders as test/ and train/.

    Args:
        path: the folder. Its classes are numbered in the alphabetical order of their folders, as Keras does.
        name: see `open_images`.
        scale: 255 or None: files hold bytes.
        image_shape: (height, width, channels) to which every image is resized; by default all have to have one size.

    Raises:
        ValueError: there are no images, a file is corrupt, or sizes differ.
    """
    if scale not in (None, 255):
        raise ValueError(f"Expected no `scale` for a folder: its files hold values from 0 to 255. Received: scale={scale!r}")
    test, train = path / "test", path / "train"
    nested = any(_class_folders(test)) if test.is_dir() else False
    files = _list_files(test if nested else path)
    content = _read(files, image_shape)
    shape = tuple(map(int, content.images.shape[1:]))
    read_train = functools.partial(_read_train, train, files.class_names, shape) if nested and train.is_dir() else None
    return source_of(content, name or safe_name(path.resolve().name), train=read_train)


def _read_train(path: Path, class_names: tuple[str, ...], shape: tuple[int, int, int]) -> Content:
    files = _list_files(path)
    if files.class_names != class_names:
        raise ValueError(
            f"Expected the class folders of test/ in {path}: {', '.join(class_names)}. "
            f"Received: {', '.join(files.class_names)}."
        )
    return _read(files, shape)


def _class_folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _list_files(path: Path) -> _Files:
    folders = _class_folders(path)
    if len(folders) < 2:
        raise ValueError(
            f"Expected a folder for each class in {path}, as in {path / 'cat' / '1.png'}, and at least two of them. "
            f"Received: {', '.join(folder.name for folder in folders) or 'no folders'}."
        )
    found = [(file, label) for label, folder in enumerate(folders) for file in _files_in(folder)]
    images = [(file, label) for file, label in found if file.suffix.lower() in _ENDINGS]
    if not images:
        raise ValueError(f"Expected PNG, JPEG or BMP files in the folders of {path}. Received: {len(found)} other files.")
    paths, labels = map(list, zip(*images, strict=True))
    return _Files(paths, labels, tuple(folder.name for folder in folders), len(found) - len(images))


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))


def _read(files: _Files, image_shape: tuple[int, int, int] | None) -> Content:
    headers = [_open(path, lambda image: (image.size, image.mode)) for path in files.paths]
    gray = [mode in pixels.GRAY_MODES for _, mode in headers]
    sizes = [(height, width) for (width, height), _ in headers]
    if image_shape is None:
        _check_one_size(files.paths, sizes)
    shape = image_shape or (*sizes[0], 1 if all(gray) else 3)
    images = np.empty((len(files.paths), *shape), np.uint8)
    for row, path in enumerate(files.paths):
        images[row] = _open(path, functools.partial(pixels.decoded, image_shape=shape))
    content = to_content(images, files.labels, scale=255, image_shape=shape, class_names=files.class_names)
    return dataclasses.replace(content, notes=tuple(_notes(files, sizes, gray, shape)))


def _check_one_size(paths: list[Path], sizes: list[tuple[int, int]]) -> None:
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise ValueError(
                f"Expected images of one size. Received: {sizes[0]} in {paths[0]}, and {size} in {path}. "
                f"image_shape=({sizes[0][0]}, {sizes[0][1]}, 3) would resize all of them."
            )


def _open(path: Path, read: Callable[[Image.Image], Any]) -> Any:
    try:
        with Image.open(path) as image:
            return read(image)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"Expected a PNG, JPEG or BMP image. Received: {path}, which cannot be read: {error}") from None


def _notes(files: _Files, sizes: list[tuple[int, int]], gray: list[bool], shape: tuple[int, int, int]) -> Iterator[str]:
    if resized := sum(size != shape[:2] for size in sizes):
        yield pixels.resized_note(resized, len(sizes), shape)
    if converted := sum(one != (shape[-1] == 1) for one in gray):
        yield f"{converted:,} of {len(gray):,} images were converted to {'gray' if shape[-1] == 1 else 'RGB'}."
    if files.others:
        yield f"{files.others:,} files that are not PNG, JPEG or BMP were left out."
