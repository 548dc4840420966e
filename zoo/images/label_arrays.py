"""Labels as people have them, as class numbers; or what is wrong with them, and what to do."""

from typing import Any

import numpy as np

from cortexzoo.images.numpy_arrays import as_array

_MOST_CLASSES = 100_000


def to_labels(labels: Any) -> tuple[np.ndarray, int]:
    """Checks labels alone, see `to_content`.

    Returns:
        int64 labels, (n,), and the number of classes: the length of a one-hot label, else one more than the largest label,
        and at least 2.
    """
    if labels is None:
        raise ValueError("Expected `labels`, one for each image. Received: none.")
    array = as_array(labels, "labels")
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"Expected labels that are class numbers from 0. Received: {array.dtype} labels. "
            "np.unique(labels, return_inverse=True) numbers names in alphabetical order; it has to be the model's."
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        return _from_one_hot(array)
    if array.ndim != 1:
        hint = "" if array.ndim else " The label of one image is [label]."
        raise ValueError(f"Expected labels of shape (n,), or one-hot (n, classes). Received: shape {array.shape}.{hint}")
    if array.size == 0:
        raise ValueError("Expected at least one label. Received: none.")
    return _whole_numbers(array)


def _from_one_hot(array: np.ndarray) -> tuple[np.ndarray, int]:
    if array.size == 0:
        raise ValueError(f"Expected at least one label. Received: labels of shape {array.shape}.")
    bad = np.flatnonzero(~(((array == 0) | (array == 1)).all(axis=1) & (array.sum(axis=1, dtype=np.float64) == 1)))
    if len(bad):
        raise ValueError(
            f"Expected one-hot labels, (n, classes): a single 1 among zeros. Received: shape {array.shape}, and row "
            f"{bad[0]} is {np.array2string(array[bad[0]], threshold=8)}. labels.argmax(axis=1) takes the likeliest class."
        )
    return np.argmax(array, axis=1).astype(np.int64), array.shape[1]


def _whole_numbers(array: np.ndarray) -> tuple[np.ndarray, int]:
    bad = array if array.dtype.kind != "f" else array[~(np.isfinite(array) & (array == np.round(array)))]
    if array.dtype.kind == "f" and bad.size:
        raise ValueError(f"Expected labels that are whole numbers. Received: {array.dtype} labels, among them {bad[0]:g}.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= _MOST_CLASSES:
        raise ValueError(
            f"Expected labels from 0 to the number of classes less one. Received: labels from {low} to {high}. Leave out "
            "images without a label; number other labels with np.unique(labels, return_inverse=True)."
        )
    return array.astype(np.int64), max(high + 1, 2)
