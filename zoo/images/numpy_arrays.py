"""Arrays of NumPy out of what looks like one: of JAX, PyTorch, TensorFlow, or a list."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# Generators, PyTorch's loaders, Keras' PyDataset.
_COLLECTED = "Collect the batches: images, labels = map(np.concatenate, zip(*batches))."


def as_array(data: Any, what: str) -> np.ndarray:
    if _gives_batches(data):
        raise ValueError(f"Expected {what} as one array. Received: {type(data).__name__}. {_COLLECTED}")
    try:
        array = np.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"Expected {what} that NumPy can read as one array. Received: {type(data).__name__}, {_first_line(error)}."
        ) from None
    if array.dtype.kind == "O":
        raise ValueError(f"Expected {what} as one array of numbers. Received: {type(data).__name__} of Python objects.")
    return array


def _gives_batches(data: Any) -> bool:
    """Whether something is no array, and no sequence of images, but can be gone through."""
    if isinstance(data, Sequence) or hasattr(data, "shape") or hasattr(data, "__array__"):
        return False
    return hasattr(data, "__iter__") or (hasattr(data, "__len__") and hasattr(data, "__getitem__"))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
