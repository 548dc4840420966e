"""Recordings as an .npz file or a TFDS dataset: images, and the responses of units in each trial. See docs/recordings.md."""

import dataclasses
import functools
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from cortexzoo.training.recordings.dataset import read_dataset, write_dataset
from cortexzoo.training.targets.base import check_images

_REQUIRED, _OPTIONAL = ("images", "responses"), ("scans",)


@dataclasses.dataclass(frozen=True)
class Recordings:
    """The images that were shown and the responses that were recorded.

    Attributes:
        images: float32, (n, height, width, channels), in [0, 1].
        responses: float32, (trials, n, units); NaN where a trial is missing.
        scans: int64, (units,). Which units were recorded together.
    """

    images: np.ndarray
    responses: np.ndarray
    scans: np.ndarray

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of all values, by which a fit knows whether it was made of these recordings."""
        arrays = (self.images, self.responses, self.scans)
        content = b"".join(f"{array.dtype} {array.shape} ".encode() + array.tobytes() for array in arrays)
        return hashlib.sha256(content).hexdigest()


def load_recordings(path: str | os.PathLike[str]) -> Recordings:
    """Reads and checks recordings.

    Args:
        path: an .npz file with the arrays `images` (n, height, width[, channels]) and `responses` (trials, n, units), and,
            where there are several scans, `scans` (units,); or the folder of a prepared TFDS dataset whose examples have the
            features `image`, `responses` and, where there are several scans, `scans`.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: `path` is neither an .npz file nor a dataset; an array is missing, unknown, or of a wrong type or shape;
            or images are outside [0, 1], responses infinite, or a unit has none at all.
    """
    path = Path(path)
    try:
        arrays = read_dataset(path) if path.is_dir() else _read_file(path)
        images = arrays["images"][..., None] if arrays["images"].ndim == 3 else arrays["images"]
        images = check_images(images)
        responses = _check_responses(arrays["responses"], len(images))
        return Recordings(images, responses, _check_scans(arrays.get("scans"), responses.shape[2]))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_recordings(recordings: Recordings, path: str | os.PathLike[str]) -> None:
    """Writes recordings for `load_recordings`; a reader never sees them half written.

    Args:
        recordings: the recordings.
        path: an .npz file, which is replaced; or, with any other suffix, a new folder for a prepared TFDS dataset.

    Raises:
        ValueError: the folder exists already.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".npz":
        write_dataset(recordings.images, recordings.responses, recordings.scans, path)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, images=recordings.images, responses=recordings.responses, scans=recordings.scans)
    os.replace(temporary, path)


def _read_file(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here: NumPy leaves the file open when it is not an archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"Expected an .npz file of plain arrays. Received: {error}") from error
    missing, unknown = set(_REQUIRED) - arrays.keys(), arrays.keys() - {*_REQUIRED, *_OPTIONAL}
    if missing or unknown:
        raise ValueError(
            f"Expected the arrays {', '.join(_REQUIRED)} and optionally {', '.join(_OPTIONAL)}. "
            f"Received: {', '.join(sorted(arrays)) or 'none'}."
        )
    return arrays


def _check_responses(responses: np.ndarray, images: int) -> np.ndarray:
    if responses.ndim != 3 or responses.shape[1] != images or 0 in responses.shape or responses.dtype.kind not in "fiu":
        raise ValueError(
            f"Expected responses of shape (trials, {images}, units), one column an image. "
            f"Received: {responses.dtype} of shape {responses.shape}."
        )
    responses = responses.astype(np.float32, copy=False)
    if np.isinf(responses).any():
        raise ValueError("Expected finite responses, and NaN where a trial is missing. Received: infinite ones.")
    if silent := np.flatnonzero(np.isnan(responses).all(axis=(0, 1))).tolist():
        raise ValueError(
            f"Expected responses of every unit. Received: only NaN for {len(silent)} units, such as unit {silent[0]}."
        )
    return responses


def _check_scans(scans: np.ndarray | None, units: int) -> np.ndarray:
    if scans is None:
        return np.zeros(units, np.int64)
    if scans.shape != (units,) or scans.dtype.kind not in "iu":
        raise ValueError(
            f"Expected an integer scan for each of the {units} units. Received: {scans.dtype} of shape {scans.shape}."
        )
    return scans.astype(np.int64)
