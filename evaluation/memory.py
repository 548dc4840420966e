"""Measures how many images fit into memory when a model is differentiated."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

# Hundreds of images with up to this many values fit, with any usual model.
_SMALL = 64 * 64 * 3
# Attacks hold several copies of images and gradients in addition to activations, and other processes need memory, too.
_SHARE = 0.4
# A process that grows by less, in bytes, tells nothing.
_NOISE = 4e6
# More images are not tried: attacks rarely take more at once.
_MOST = 128
_Function = Callable[[tf.Tensor], tf.Tensor]


def images_at_once(logits: _Function, image_shape: tuple[int, int, int]) -> int | None:
    """Returns how many images to differentiate at once; None if any number fits or memory cannot be measured.

    Measures peak memory with growing numbers of images to learn what one image needs, and divides a part of the free memory
    by that.

    Args:
        logits: a differentiable function of images, (n, height, width, channels).
        image_shape: (height, width, channels).
    """
    if int(np.prod(image_shape)) <= _SMALL or (available := _available()) is None:
        return None
    gradient = _compiled_gradient(logits, image_shape)
    # The first call also allocates what is built only once.
    gradient(tf.zeros((1, *image_shape)))
    each = _bytes_each(gradient, image_shape)
    return _MOST if each is None else max(1, int(_SHARE * available / max(each, 4.0 * float(np.prod(image_shape)))))


def _bytes_each(gradient: Callable, image_shape: tuple[int, int, int]) -> float | None:
    """The memory for the gradient of one more image, in bytes; None if it cannot be seen with up to `_MOST` images.

    A process reuses memory that it has freed, so a small gradient may need no new memory. The number of images is doubled
    until they need more, and then once more.
    """
    count, grown = 1, 0.0
    before = _peak_of(gradient, count, image_shape)
    while count < _MOST:
        peak = _peak_of(gradient, 2 * count, image_shape)
        each = (peak - before) / count
        if peak - before < _NOISE:
            each = 0.0
        elif grown:
            return max(each, grown)
        before, grown, count = peak, each, 2 * count
    return None


def _compiled_gradient(logits: _Function, image_shape: tuple[int, int, int]) -> Callable:
    @tf.function(input_signature=[tf.TensorSpec((None, *image_shape), tf.float32)], autograph=False)
    def gradient(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(images)
            total = tf.reduce_sum(tf.reduce_max(logits(images), axis=-1))
        return tape.gradient(total, images, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return gradient


def _peak_of(gradient: Callable, count: int, image_shape: tuple[int, int, int]) -> float:
    """The peak memory of the process while a gradient was computed, in bytes."""
    # Resets the peak to what the process holds now (Linux, proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    gradient(tf.fill((count, *image_shape), 0.5))
    return _kilobytes(Path("/proc/self/status"), "VmHWM")


def _available() -> float | None:
    """The free memory in bytes, within the limit of a container; None if the system does not report it."""
    try:
        free = _kilobytes(Path("/proc/meminfo"), "MemAvailable")
        if not os.access("/proc/self/clear_refs", os.W_OK):
            return None
    except (OSError, StopIteration):
        return None
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, float(text) - float(used.read_text()))
    return free


def _kilobytes(path: Path, name: str) -> float:
    line = next(line for line in path.read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024.0 * float(line.split()[1])
