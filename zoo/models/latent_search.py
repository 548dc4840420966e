"""The search for latents under which stacked decoders come nearest to images; see `analysis_by_synthesis`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from cortexzoo.differentiation import batch_value_and_gradient

# Latents whose reconstructions exist at once, for each class.
CHUNK = 32
# The largest norm of a latent.
RADIUS = 5.0
_DRAWN = 0.9
_Decode = Callable[[Any], Any]


def likely_latents(count: int, size: int, seed: int) -> np.ndarray:
    """Draws count / 0.9 latents from N(0, I) and returns all but the least likely, float32, (count, size)."""
    drawn = np.random.default_rng(seed).standard_normal((round(count / _DRAWN), size))
    return drawn[np.sort(np.argsort(np.sum(drawn**2, axis=1), kind="stable")[:count])].astype(np.float32)


def energies(images: Any, reconstructions: Any, latents: Any) -> Any:
    """Returns ||x - G(z)||^2 + ||z||^2 / 2, (classes, batch), in float32 or finer.

    Args:
        images: (batch, pixels), or (classes, batch, pixels).
        reconstructions: (classes, batch, pixels).
        latents: (classes, batch, size).
    """
    images, reconstructions, latents = map(_at_least_float32, (images, reconstructions, latents))
    return ops.sum(ops.square(reconstructions - images), axis=-1) + _squared_norm(latents) / 2


def nearest_latents(decode: _Decode, latents: Any, images: Any, classes: int, chunk: int = CHUNK) -> tuple[Any, Any]:
    """Returns for each class and image the latent of least energy among a few that all images share, and its energy.

    Reconstructions are made chunk by chunk and compared by the expanded square, so that memory grows neither with the
    number of latents nor with their product with the images.

    Args:
        decode: from latents, (classes, n, size), to reconstructions, (classes, n, pixels).
        latents: (count, size).
        images: (batch, pixels).
        classes: int.
        chunk: int. Latents that are decoded at once.

    Returns:
        Latents, (classes, batch, size), and energies, (classes, batch).
    """
    images, latents = _at_least_float32(images), _at_least_float32(ops.convert_to_tensor(latents))
    count, size = latents.shape
    chunk = min(chunk, count)
    # The last chunk is filled up with a latent that is there already.
    filled = ops.take(latents, np.minimum(np.arange(-(-count // chunk) * chunk), count - 1), axis=0)
    chunks = ops.reshape(filled, (-1, chunk, size))

    def compare(index: Any, found: tuple[Any, Any]) -> tuple[Any, Any]:
        best, least = found
        some = ops.take(chunks, index, axis=0)
        decoded = _at_least_float32(decode(ops.broadcast_to(some[None], (classes, chunk, size))))
        products = ops.matmul(images[None], ops.transpose(decoded, (0, 2, 1)))
        scores = (_squared_norm(decoded) + _squared_norm(some) / 2)[:, None, :] - 2 * products
        score = ops.min(scores, axis=-1)
        candidates = ops.take(some, ops.argmin(scores, axis=-1), axis=0)
        return ops.where((score < least)[..., None], candidates, best), ops.minimum(score, least)

    nothing = ops.zeros_like(images[None, :, 0]) + ops.zeros((classes, 1), images.dtype)
    best = nothing[..., None] + ops.zeros((size,), latents.dtype)
    best, least = ops.fori_loop(0, chunks.shape[0], compare, (best, nothing + np.inf))
    return best, least + _squared_norm(images)


def descend(energy: _Decode, start: Any, steps: int, learning_rate: float) -> tuple[Any, Any]:
    """Lowers an energy by Adam, and returns the best latent on the way with its energy.

    Args:
        energy: from latents, (classes, batch, size), to energies, (classes, batch).
        start: latents, (classes, batch, size).
        steps: int. Steps of Adam; after each one latents are pulled back to the norm `RADIUS`.
        learning_rate: float.
    """
    start = within_radius(_at_least_float32(start))

    def step(index: Any, state: tuple) -> tuple:
        latents, mean, square, best, least = state
        values, gradient = batch_value_and_gradient(energy, latents)
        best, least = ops.where((values < least)[..., None], latents, best), ops.minimum(values, least)
        # Adam with the usual decay rates (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980).
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * ops.square(gradient)
        number = ops.cast(index, latents.dtype) + 1
        rate = learning_rate * ops.sqrt(1 - 0.999**number) / (1 - 0.9**number)
        return within_radius(latents - rate * mean / (ops.sqrt(square) + 1e-8)), mean, square, best, least

    zeros, unknown = ops.zeros_like(start), ops.sum(ops.zeros_like(start), axis=-1) + np.inf
    # One step more than is counted: its energy is that of the last latent. A call after the loop would enlarge the graph.
    _, _, _, best, least = ops.fori_loop(0, steps + 1, step, (start, zeros, zeros, start, unknown))
    return best, least


def within_radius(latents: Any) -> Any:
    """Returns latents with a norm of at most `RADIUS`."""
    norm = ops.sqrt(ops.maximum(_squared_norm(latents), 1e-12))
    return latents * ops.minimum(RADIUS / norm, 1.0)[..., None]


def _squared_norm(values: Any) -> Any:
    return ops.sum(ops.square(values), axis=-1)


def _at_least_float32(values: Any) -> Any:
    return ops.cast(values, keras.backend.result_type(values.dtype, "float32"))
