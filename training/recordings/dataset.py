"""Recordings as a prepared TFDS dataset, one example for each image. See docs/recordings.md for the format."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_REQUIRED, _OPTIONAL = ("image", "responses"), ("scans",)
_NAME, _VERSION, _SHARD = "recordings", "1.0.0", 1000


def read_dataset(directory: Path) -> dict[str, np.ndarray]:
    """Reads all splits of a prepared dataset into the arrays of an .npz file of recordings. Nothing is downloaded.

    Args:
        directory: folder of one version of the dataset, with dataset_info.json and features.json.

    Returns:
        `images` (n, height, width[, channels]); `responses` (trials, n, units), with NaN where an image has fewer trials
        than others; and, where the dataset has them, `scans` (units,). The values are not checked.

    Raises:
        ValueError: the folder holds no prepared dataset or a broken one, a feature is missing or unknown, or the examples do
            not fit together.
    """
    columns = _read_columns(directory)
    arrays = {"images": _stacked("image", columns["image"]), "responses": _padded(columns["responses"])}
    if "scans" in columns:
        scans = _stacked("scans", columns["scans"])
        if (scans != scans[0]).any():
            raise ValueError("Expected the same `scans` in all examples. Received: different ones.")
        arrays["scans"] = scans[0]
    return arrays


def write_dataset(images: np.ndarray, responses: np.ndarray, scans: np.ndarray, directory: Path) -> None:
    """Writes recordings as a prepared dataset with one split; a reader never sees it half written.

    Args:
        images: float32, (n, height, width, channels).
        responses: float32, (trials, n, units).
        scans: int64, (units,).
        directory: a new folder.

    Raises:
        ValueError: the folder exists already.
    """
    # Imported late: .npz files need no framework.
    import tensorflow_datasets as tfds

    if directory.exists():
        raise ValueError(f"Expected a new folder for the dataset. Received: {directory}, which exists already.")
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    temporary.mkdir()
    tensor = tfds.features.Tensor
    features = tfds.features.FeaturesDict(
        {
            "image": tensor(shape=images.shape[1:], dtype=np.float32),
            "responses": tensor(shape=(None, responses.shape[2]), dtype=np.float32),
            "scans": tensor(shape=scans.shape, dtype=np.int64),
        }
    )
    identity = tfds.core.DatasetIdentity(_NAME, tfds.core.Version(_VERSION), str(temporary), module_name="")
    writer = tfds.core.SequentialWriter(tfds.core.DatasetInfo(builder=identity, features=features), _SHARD)
    writer.initialize_splits(["train"])
    examples = [{"image": image, "responses": responses[:, i], "scans": scans} for i, image in enumerate(images)]
    writer.add_examples({"train": examples})
    writer.close_all()
    os.replace(temporary, directory)


def _read_columns(directory: Path) -> dict[str, list[np.ndarray]]:
    """Returns each feature's values, one an example."""
    import tensorflow as tf
    import tensorflow_datasets as tfds
    from google.protobuf import json_format

    try:
        builder = tfds.builder_from_directory(directory)
        # One shard after the other: the images keep the order in which they were written.
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        examples = list(tfds.as_numpy(builder.as_dataset(split="all", read_config=config)))
    except (OSError, ValueError, json_format.Error, tf.errors.OpError) as error:
        raise ValueError(f"Expected the folder of a prepared TFDS dataset, such as NAME/1.0.0. Received: {error}") from error
    features = builder.info.features
    names = set(features) if isinstance(features, tfds.features.FeaturesDict) else set()
    if not examples or not set(_REQUIRED) <= names <= {*_REQUIRED, *_OPTIONAL}:
        raise ValueError(
            f"Expected examples with the features {', '.join(_REQUIRED)} and optionally {', '.join(_OPTIONAL)}. "
            f"Received: {len(examples)} examples with {', '.join(sorted(names)) or 'none'}."
        )
    return {name: [np.asarray(example[name]) for example in examples] for name in sorted(names)}


def _stacked(name: str, values: Sequence[np.ndarray]) -> np.ndarray:
    shapes = sorted({value.shape for value in values})
    if len(shapes) > 1:
        raise ValueError(f"Expected one shape of `{name}` in all examples. Received: {shapes[0]}, {shapes[1]}.")
    return np.stack(values)


def _padded(values: Sequence[np.ndarray]) -> np.ndarray:
    """Returns (trials, n, units) of n arrays (trials, units), float32; those with fewer trials end in NaN."""
    units = values[0].shape[-1:]
    wrong = [value for value in values if value.ndim != 2 or value.shape[1:] != units or value.dtype.kind not in "fiu"]
    if wrong:
        raise ValueError(
            f"Expected `responses` of shape (trials, units) in every example, with the same units. "
            f"Received: {wrong[0].dtype} of shape {wrong[0].shape}."
        )
    padded = np.full((max(map(len, values)), len(values), *units), np.nan, np.float32)
    for i, value in enumerate(values):
        padded[: len(value), i] = value
    return padded
