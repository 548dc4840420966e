"""The digital common corruptions, on whole batches: float32, (n, height, width, channels), in [0, 1]."""

import io

import numpy as np
import PIL.Image
from scipy import ndimage

from cortexzoo.evaluation.shifts.base import SampleGenerators


def contrast(images: np.ndarray, draws: SampleGenerators, factor: float) -> np.ndarray:
    """Scales the distance of each value from its channel's mean."""
    means = images.mean(axis=(1, 2), keepdims=True)
    return (images - means) * factor + means


def elastic_transform(
    images: np.ndarray, draws: SampleGenerators, strength: float, smoothness: float, skew: float
) -> np.ndarray:
    """Distorts the image by a random affine map, and then by a smooth random displacement of every pixel.

    Args:
        images: the images.
        draws: random numbers.
        strength: size of the field, as a share of the image's shorter side.
        smoothness: standard deviation of the Gaussian that smooths it, as a share of that side.
        skew: greatest displacement of the three points that define the affine map, as a share of that side.
    """
    height, width = images.shape[1:3]
    side = min(height, width)
    images = _move_points(images, draws.uniform(-skew * side, skew * side, (3, 2)))
    fields = [draws.uniform(-1.0, 1.0, (height, width)) for _ in range(2)]
    # The Gaussian is cut at three standard deviations.
    smooth = {"sigma": smoothness * side, "axes": (1, 2), "mode": "reflect", "truncate": 3}
    across, down = (strength * side * ndimage.gaussian_filter(field, **smooth) for field in fields)
    rows, columns = np.mgrid[:height, :width]
    return _sample(images, rows + down, columns + across, "reflect")


def _move_points(images: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The affine map that moves three corners of a square in the middle by `offsets`, (n, 3, 2), columns first."""
    height, width = images.shape[1:3]
    # In the smallest images the three points would be one.
    half = max(min(height, width) // 3, 1)
    points = np.array([width // 2, height // 2]) + half * np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    moved = np.concatenate([points + offsets, np.ones((len(images), 3, 1))], axis=2)
    back = np.linalg.solve(moved, np.broadcast_to(points, (len(images), 3, 2)))
    rows, columns = np.mgrid[:height, :width].astype(float)
    sources = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back[:, None]
    return _sample(images, sources[..., 1], sources[..., 0], "mirror")


def _sample(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, mode: str) -> np.ndarray:
    """Bilinear values at these places of each sample, (n, height, width); `mode` is SciPy's for what lies outside."""
    samples = np.broadcast_to(np.arange(len(images), dtype=float)[:, None, None], rows.shape)
    places = np.stack([samples, rows, columns])
    channels = [ndimage.map_coordinates(images[..., c], places, order=1, mode=mode) for c in range(images.shape[-1])]
    return np.stack(channels, axis=-1)


def pixelate(images: np.ndarray, draws: SampleGenerators, share: float) -> np.ndarray:
    """Shrinks both sides to a share by averaging boxes, and magnifies the result again without smoothing."""
    rows, columns = (_shrink_and_magnify(size, share) for size in images.shape[1:3])
    return np.einsum("ij,njkc,lk->nilc", rows, images, columns, optimize=True)


def _shrink_and_magnify(size: int, share: float) -> np.ndarray:
    small = max(int(size * share), 1)
    return _box(size, small) @ _box(small, size)


def _box(rows: int, columns: int) -> np.ndarray:
    """Pillow's box filter from `columns` to `rows` pixels, as a matrix."""
    eye = PIL.Image.fromarray(np.eye(columns, dtype=np.float32))
    return np.asarray(eye.resize((columns, rows), PIL.Image.Resampling.BOX))


def jpeg_compression(images: np.ndarray, draws: SampleGenerators, quality: int) -> np.ndarray:
    """Writes and reads each image as JPEG: of three channels as a colour image, of others channel by channel."""
    pixels = np.round(255 * images).astype(np.uint8)
    if images.shape[-1] != 3:
        pixels = np.moveaxis(pixels, -1, 1).reshape(-1, *images.shape[1:3])
    decoded = np.stack([_through_jpeg(image, quality) for image in pixels])
    if images.shape[-1] != 3:
        decoded = np.moveaxis(decoded.reshape(len(images), -1, *images.shape[1:3]), 1, -1)
    return decoded / 255.0


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(PIL.Image.open(file))
