"""Images as people have them, as uint8 or as float32 in [0, 1]; or what is wrong with them, and what to do."""

import math
from typing import Any

import numpy as np

from cortexzoo.images.numpy_arrays import as_array

# Beyond rounding in float32; what is less than this over 1.0 is cut off.
_TOLERANCE = 1e-6
# In an evaluation the scale is that of the model's input, too.
_FOR_UNIT = "; for a model of images in [0, 1] pass images / {}."
# What people subtract: the largest value that is left, how to undo it, and the layer that does the same in the model.
_NORMALIZATIONS = (
    (0.5, "images + 0.5", "Rescaling(1, offset=-0.5)"),
    (1.0, "(images + 1) / 2", "Rescaling(2, offset=-1)"),
    (math.inf, "images * std + mean", "Normalization(mean=mean, variance=std**2)"),
)


def to_images(images: Any, *, scale: float | None, image_shape: tuple[int, int, int] | None) -> np.ndarray:
    """Checks images alone, see `to_content`."""
    _check_scale(scale)
    array = _numeric(as_array(images, "images"))
    array = _with_channels(array)
    if array.size == 0:
        raise ValueError(f"Expected at least one image of at least one pixel. Received: images of shape {array.shape}.")
    _check_layout(array, image_shape)
    return np.ascontiguousarray(_in_range(array, scale))


def _check_scale(scale: float | None) -> None:
    number = isinstance(scale, int | float | np.number) and not isinstance(scale, bool)
    if scale is not None and not (number and math.isfinite(scale) and scale > 0):
        raise ValueError(f"`scale` must be the value that stands for white, as in scale=255. Received: scale={scale!r}")


def _numeric(array: np.ndarray) -> np.ndarray:
    """Booleans become 0.0 and 1.0, and types that NumPy does not know itself, such as bfloat16, float32."""
    if array.dtype.kind == "b" or array.dtype.name.startswith(("bfloat", "float8")):
        return array.astype(np.float32)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"Expected images as uint8 or floating-point numbers. Received: {array.dtype}.")
    # Half precision would lose the difference between 254 and 255 on the way to [0, 1].
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _with_channels(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3:
        return array[..., None]
    if array.ndim == 4:
        return array
    hint = ""
    if array.ndim == 2 and (side := _square_side(array.shape[1])):
        hint = f" Flattened images become images again with images.reshape(-1, {', '.join(map(str, side))})."
    raise ValueError(
        "Expected images of shape (n, height, width, channels), or (n, height, width) with one channel. "
        f"Received: shape {array.shape}.{hint}"
    )


def _square_side(values: int) -> tuple[int, int, int] | None:
    for channels in (1, 3):
        side = math.isqrt(values // channels)
        if side > 1 and side * side * channels == values:
            return (side, side, channels)
    return None


def _check_layout(array: np.ndarray, image_shape: tuple[int, int, int] | None) -> None:
    shape = tuple(map(int, array.shape[1:]))
    if image_shape is not None and shape == tuple(image_shape):
        return
    if _looks_channels_first(shape):
        raise ValueError(
            f"Expected images of shape (n, height, width, channels). Received: shape {array.shape}, which looks like "
            f"channels first. Pass np.transpose(images, (0, 2, 3, 1)), or image_shape={shape} if the shape is right."
        )
    if image_shape is not None:
        raise ValueError(
            f"Expected images of shape {tuple(image_shape)}, as `image_shape` says. Received: {shape}. "
            "Resize arrays before, for instance with tf.image.resize."
        )


def _looks_channels_first(shape: tuple[int, ...]) -> bool:
    first, second, last = shape
    return first in (1, 3, 4) and last > 4 and (second > first or last > 16)


def _in_range(array: np.ndarray, scale: float | None) -> np.ndarray:
    low, high = float(array.min()), float(array.max())
    _check_finite(array, low, high)
    if array.dtype == np.uint8 and scale in (None, 255) and not (scale is None and high == 1):
        return array
    white = _white(array, low, high) if scale is None else scale
    _check_range(low, high, white, scale is not None and array.dtype.kind == "f")
    result = array.astype(np.float32, copy=False)
    if white != 1:
        result = result / np.float32(white)
    return np.clip(result, 0.0, 1.0) if low < 0 or high > white else result


def _check_finite(array: np.ndarray, low: float, high: float) -> None:
    if math.isfinite(low) and math.isfinite(high):
        return
    bad = np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3)))
    raise ValueError(
        f"Expected images without NaN and infinity. Received: {len(bad)} of {len(array)} images with them, "
        f"the first of them image {bad[0]}."
    )


def _white(array: np.ndarray, low: float, high: float) -> float:
    """What stands for white where nobody says so: 1 for floats. Integers other than uint8 tell nothing."""
    if array.dtype.kind == "f":
        return 1.0
    if array.dtype == np.uint8:
        raise ValueError(
            "Expected uint8 images from 0 to 255. Received: no value above 1. Pass scale=1 if 1 is white. If these were "
            "floats in [0, 1] before a cast to uint8, pass the floats: the cast lost their content."
        )
    guess = 255 if high <= 255 else 65535
    raise ValueError(
        f"Expected uint8 images, or `scale`, the value that stands for white. Received: {array.dtype} from {low:g} to "
        f"{high:g}. Pass scale={guess} if {guess} is white{_FOR_UNIT.format(guess)}"
    )


def _check_range(low: float, high: float, white: float, given_for_floats: bool) -> None:
    if given_for_floats and white > 1 and 0 <= low < high <= 1:
        raise ValueError(
            f"Expected images from 0 to scale={white:g}. Received: floats from {low:g} to {high:g}, in [0, 1] already. "
            "Leave `scale` out."
        )
    margin = _TOLERANCE * white
    if -margin <= low and high <= white + margin:
        return
    expected = "images in [0, 1]" if white == 1 else f"images from 0 to scale={white:g}"
    raise ValueError(f"Expected {expected}. Received: values from {low:.4g} to {high:.4g}. {_remedy(low, high, white)}")


def _remedy(low: float, high: float, white: float) -> str:
    if low >= 0:
        guess = 255 if high <= 255 else 65535
        return f"Pass scale={guess}, or whatever value stands for white{_FOR_UNIT.format(guess)}"
    if low >= -0.1 * white and 0.5 * white < high <= 1.1 * white:
        return f"If interpolation overshot, np.clip(images, 0, {white:g}) cuts it off."
    undo, layer = next((undo, layer) for most, undo, layer in _NORMALIZATIONS if max(-low, high) <= most)
    return (
        f"They look normalised. Undo it with {undo}, and make keras.layers.{layer} the model's first layer, so that "
        "perturbations are measured in pixels."
    )
