"""Arrays of NumPy out of what looks like one: of JAX, PyTorch, TensorFlow, or a list."""

from typing import Any

import numpy as np


def as_array(data: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"Expected {what} that NumPy can read as one array. Received: {type(data).__name__}, {_first_line(error)}."
        ) from None
    if array.dtype.kind == "O":
        raise ValueError(f"Expected {what} as one array of numbers. Received: {type(data).__name__} of Python objects.")
    return array


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
