"""Decoded images of one size and one number of channels."""

import numpy as np
from PIL import Image

GRAY_MODES = ("1", "L", "LA")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def decoded(image: Image.Image, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Returns an image as uint8, (height, width, channels).

    Args:
        image: in gray or colour, of eight bits.
        image_shape: (height, width, 1) for luma, or (height, width, 3) for RGB; other sizes are resized, bilinear.

    Raises:
        ValueError: more than eight bits, transparency, or another number of channels.
    """
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise ValueError(f"`image_shape` must have 1 or 3 channels, gray or RGB. Received: {image_shape}")
    if image.mode not in (*GRAY_MODES, *_COLOUR_MODES):
        raise ValueError(f"Expected gray or colour images of 8 bits. Received: mode {image.mode}; convert the image before.")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise ValueError("Expected images without transparency. Received: a transparent one; put it on a background before.")
    image = image.convert("RGB").convert("L") if channels == 1 and image.mode in ("P", "PA") else image
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image_shape)


def fitted(array: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a uint8 image, (height, width) or (height, width, 1 or 3), in another shape, see `decoded`.

    Raises:
        ValueError: `array` is no such image.
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise ValueError(
            "Expected uint8 images of shape (height, width, 1) or (height, width, 3) to resize. "
            f"Received: {array.dtype}, shape {array.shape}."
        )
    return decoded(Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array), image_shape)


def resized_note(resized: int, count: int, image_shape: tuple[int, int, int]) -> str:
    """Says how many images were resized."""
    height, width, _ = image_shape
    return f"{resized:,} of {count:,} images were resized to {height} x {width} pixels, bilinear."
