"""Square Attack: random search over squares of the image."""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Batch, Choices, sample_generator
from cortexzoo.evaluation.attacks.projections import nearest_within_l1
from cortexzoo.evaluation.attacks.random_search import RandomSearch, as_rows, compile_block, scheduled, with_values
from cortexzoo.evaluation.classifier import Classifier

# The share of the pixels in a square halves at these queries.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# Tiles along a side of the image from which the walks in L2 and L1 start.
_TILES = 5

_Best = tuple[tf.Tensor, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square(RandomSearch):
    """Andriushchenko et al. 2020, https://arxiv.org/abs/1912.00049; L1: Croce and Hein 2021, https://arxiv.org/abs/2103.01208.

    In L-infinity a walk starts at vertical stripes, and a query sets a square to plus or minus epsilon, with a sign for each
    channel. In L2 and L1 it starts at tiles of bumps, and a query moves the perturbation of one square, and what is left of
    epsilon, to another one, where it adds a bump. The loss is the margin of the logits and the squares shrink in the
    published schedule, rescaled to the number of queries as in AutoAttack.

    Squares may lie at the right and lower border, which the authors' code never reaches, and are cut where an image is
    narrower. Square and signs are common to all samples of a query; see `RandomSearch`.

    Attributes:
        norm: "linf", "l2" or "l1".
        epsilon: size of the perturbations in this norm.
        queries: int. Squares tried by a walk; the start is not counted.
        restarts: int. Walks for a sample that is not broken yet.
        p_init: share of the pixels in the first square, in (0, 1].
    """

    name: ClassVar[str] = "square"
    choices: ClassVar[Choices] = {"norm": ("linf", "l2", "l1")}

    p_init: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.p_init <= 1.0:
            raise ValueError(f"`p_init` must be in (0, 1]. Received: p_init={self.p_init!r}.")

    def start(self, batch: Batch, stream: int, epsilon: float) -> tuple[np.ndarray, ...]:
        """See `RandomSearch.start`."""
        shape, pattern = batch.images.shape[1:], _stripes if self.norm == "linf" else _tiles
        generators = [sample_generator(batch, row, stream) for row in range(len(batch))]
        change = np.stack([pattern(shape, self.norm, generator) for generator in generators])
        if self.norm == "l1":
            return (nearest_within_l1(batch.images, batch.images + change, np.float32(epsilon)).numpy(),)
        return (np.clip(batch.images + np.float32(epsilon) * change, 0.0, 1.0),)

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator, query: int) -> tuple[np.ndarray, ...]:
        """Draws a square, as the numbers of its pixels, (m,), and what is added in it, (m, channels).

        In L2 and L1 there are also the pixels of another square, from which mass is taken, and the number of all.
        """
        height, width, channels = shape
        size = np.minimum(self._side(height * width, query), shape[:2])
        numbers = np.arange(height * width, dtype=np.int32).reshape(height, width)
        borders = generator.integers(shape[:2] - size + 1, size=(2, 2))
        to, taken = (tuple(map(slice, border, border + size)) for border in borders)
        if self.norm == "linf":
            return numbers[to].ravel(), np.tile(np.float32(_signs(generator, channels)), (size.prod(), 1))
        bumps = np.zeros(shape, np.float32)
        bumps[to] = _bump(*size, self.norm, generator)[:, :, None] * _signs(generator, channels)
        pixels = np.union1d(numbers[to], numbers[taken])
        return pixels, bumps.reshape(-1, channels)[pixels], np.array(len(pixels))

    def _side(self, pixels: int, query: int) -> int:
        halvings = np.searchsorted(_HALVINGS, scheduled(query, self.queries))
        side = round((self.p_init / 2**halvings * pixels) ** 0.5)
        # A bump has a centre and two halves.
        return max(side, 1) if self.norm == "linf" else max(side, 3) // 2 * 2 + 1

    def advance(self, classifier: Classifier) -> Callable:
        """See `RandomSearch.advance`."""
        propose = {"linf": _set_square, "l2": _move_l2, "l1": _move_l1}[self.norm]
        pixels, added = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None, classifier.image_shape[2]))
        numbers = [pixels, added] if self.norm == "linf" else [pixels, added, tf.TensorSpec((None,), tf.int32)]
        return classifier.compiled((self.name, self.norm), lambda: compile_block(classifier, propose, numbers))


def _signs(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return 2 * generator.integers(2, size=shape) - 1


def _stripes(shape: tuple[int, int, int], norm: str, generator: np.random.Generator) -> np.ndarray:
    """Vertical stripes of -1 and 1 in each channel."""
    return np.broadcast_to(_signs(generator, 1, *shape[1:]), shape).astype(np.float32)


def _tiles(shape: tuple[int, int, int], norm: str, generator: np.random.Generator) -> np.ndarray:
    """Bumps of random signs, side by side in the middle; together of norm 1 in L2, and each of norm 1 in L1."""
    height, width, channels = shape
    side = max(min(height, width) // _TILES, 1)
    rows, columns = height // side, width // side
    tiles = np.block([[_bump(side, side, norm, generator) for _ in range(columns)] for _ in range(rows)])
    signs = _signs(generator, rows, columns, channels).repeat(side, 0).repeat(side, 1)
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    change = np.zeros(shape, np.float32)
    change[top : top + rows * side, left : left + columns * side] = tiles[:, :, None] * signs
    return change / np.linalg.norm(change) if norm == "l2" else change


def _bump(height: int, width: int, norm: str, generator: np.random.Generator) -> np.ndarray:
    """Eta of equation (2), of norm 1: a positive bump above a negative one, or beside it."""
    if generator.integers(2):
        return _halves(width, height, norm).T
    return _halves(height, width, norm)


@functools.cache
def _halves(height: int, width: int, norm: str) -> np.ndarray:
    order = {"l2": 2, "l1": 1}[norm]
    upper, lower = _rectangles(height // 2, width), _rectangles(height - height // 2, width)
    # A single row has a lower half only.
    parts = [sign * half / np.linalg.norm(half.ravel(), order) for sign, half in ((1, upper), (-1, lower)) if half.size]
    return np.concatenate(parts) / len(parts) ** (1 / order)


def _rectangles(height: int, width: int) -> np.ndarray:
    """The sum of 1 / k^2 over nested rectangles, of which the k-th reaches k - 1 pixels from the centre."""
    count = max(height, width) // 2 + 1
    # The sum over the rectangles that hold a pixel at a distance.
    heights = np.cumsum(1.0 / np.arange(count, 0, -1) ** 2)[::-1]
    rows, columns = np.abs(np.arange(height) - height // 2), np.abs(np.arange(width) - width // 2)
    return heights[np.maximum(rows[:, None], columns)]


def _set_square(images: tf.Tensor, best: _Best, epsilon: tf.Tensor, pixels: tf.Tensor, signs: tf.Tensor) -> _Best:
    """Sets a square to the side of the L-infinity ball that the signs tell."""
    values = tf.clip_by_value(tf.gather(as_rows(images), pixels, axis=1) + epsilon * signs, 0.0, 1.0)
    return (with_values(best[0], pixels, values),)


def _move_l2(images: tf.Tensor, best: _Best, epsilon: tf.Tensor, *square: tf.Tensor) -> _Best:
    """Algorithm 3 of the paper."""
    pixels, values = _moved(images, best[0], epsilon**2, *square, tf.square, tf.sqrt)
    return (with_values(best[0], pixels, tf.clip_by_value(values, 0.0, 1.0)),)


def _move_l1(images: tf.Tensor, best: _Best, epsilon: tf.Tensor, *square: tf.Tensor) -> _Best:
    """Its counterpart in L1."""
    pixels, values = _moved(images, best[0], epsilon, *square, tf.abs, tf.identity)
    channels = images.shape[-1]
    if channels == 1:
        # The norm is epsilon before the box cuts it.
        return (with_values(best[0], pixels, tf.clip_by_value(values, 0.0, 1.0)),)
    # The authors move as many times too much as there are channels; the projection then takes away what is small.
    own = tf.gather(as_rows(images), pixels, axis=1)
    points = with_values(best[0], pixels, own + channels * (values - own))
    return (nearest_within_l1(images, points, epsilon),)


def _moved(
    images: tf.Tensor,
    best: tf.Tensor,
    epsilon: tf.Tensor,
    pixels: tf.Tensor,
    added: tf.Tensor,
    count: tf.Tensor,
    power: Callable,
    root: Callable,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves to a square what two squares hold, and what is left of epsilon; returns the pixels and their values.

    A norm is the root of a sum of powers; epsilon is given as such a sum.
    """
    change = best - images
    unused = tf.maximum(epsilon - tf.reduce_sum(power(change), axis=(1, 2, 3)), 0.0)[:, None, None]
    own, change = (tf.gather(as_rows(values), pixels, axis=1) for values in (images, change))
    # Behind them the last one is repeated.
    counts = tf.cast(tf.range(tf.size(pixels)) < count, tf.float32)[:, None]
    # Of each channel.
    mass = lambda values: tf.reduce_sum(counts * power(values), axis=1, keepdims=True)  # noqa: E731
    inside = tf.cast(tf.not_equal(added, 0.0), tf.float32) * change
    mixed = added + tf.math.divide_no_nan(inside, root(mass(inside)))
    held = mass(change) + unused / change.shape[-1]
    return pixels, own + mixed * root(tf.math.divide_no_nan(held, mass(mixed)))
