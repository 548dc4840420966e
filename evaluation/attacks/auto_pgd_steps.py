"""How AutoPGD steps and how it adapts its steps: with momentum in Linf and L2, along few coordinates in L1.

Each kind has the same four methods, on which the loop in `auto_pgd` rests. A step size is a multiple of epsilon. What a kind
remembers of each sample is a tuple of vectors, (n,).
"""

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.projections import nearest_within_l1, unit_l2, within_l2
from cortexzoo.evaluation.attacks.tensors import wide

_Tensors = tuple[tf.Tensor, ...]
# What the projection onto the L1 ball leaves of a coordinate by rounding is no change.
_CHANGED = 1e-6


class Seen(NamedTuple):
    """What is known of each sample after the gradient at its current image.

    Attributes:
        images: the clean images.
        best: the images of the largest loss so far.
        value: the loss at the current images, float64, (n,).
        best_value: the largest loss so far, float64, (n,).
    """

    images: tf.Tensor
    best: tf.Tensor
    value: tf.Tensor
    best_value: tf.Tensor


class MomentumSteps:
    """Steps of Croce and Hein 2020, https://arxiv.org/abs/2003.01690, algorithm 1, in Linf and L2.

    At a checkpoint the step size is halved, and the walk goes on from the best image, if the loss rose in fewer than
    `_RHO` of the steps since the last one (condition 1), or if neither the step size nor the largest loss has changed since
    then (condition 2).

    It remembers the number of rises since the last checkpoint, the loss before, the largest loss at the last checkpoint, and
    whether the step size was halved there.
    """

    first_size: ClassVar[float] = 2.0
    types: ClassVar[tuple[Any, ...]] = (np.float32, np.float64, np.float64, np.bool_)
    _RHO: ClassVar[float] = 0.75
    # Weight of the gradient step, against that of the move before.
    _ALPHA: ClassVar[float] = 0.75

    def __init__(self, norm: str) -> None:
        self._norm = norm

    def windows(self, steps: int) -> np.ndarray:
        """Returns for each step, and the start, the number of steps since the last checkpoint, and 0 if it is none.

        The checkpoints are w_j = ceil(p_j steps) with p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06).
        """
        # In whole steps, as in the authors' code.
        window, shrinkage, least = (max(steps * percent // 100, 1) for percent in (22, 3, 6))
        windows, step = np.zeros(steps + 1, np.int32), window
        while step <= steps:
            windows[step] = window
            window = max(window - shrinkage, least)
            step += window
        return windows

    def memory(self, images: np.ndarray, start: np.ndarray, goes_on: bool) -> tuple[np.ndarray, ...]:
        """Returns the memory at a start."""
        values = (0.0, np.inf, -np.inf, True)
        return tuple(np.full(len(images), value, dtype) for value, dtype in zip(values, self.types, strict=True))

    def adapt(
        self, window: tf.Tensor, seen: Seen, size: tf.Tensor, memory: _Tensors
    ) -> tuple[tf.Tensor, tf.Tensor, _Tensors]:
        """Returns which samples go on from their best images, bool, (n,), their step sizes, and the memory."""
        rises, before, checked, halved = memory
        rises += tf.cast(seen.value > before, tf.float32)
        is_checkpoint = window > 0
        few = rises < self._RHO * tf.cast(window, tf.float32)
        nothing_new = tf.logical_and(tf.logical_not(halved), seen.best_value <= checked)
        restarts = tf.logical_and(is_checkpoint, tf.logical_or(few, nothing_new))
        return (
            restarts,
            tf.where(restarts, size / 2, size),
            (
                tf.where(is_checkpoint, 0.0, rises),
                tf.where(restarts, seen.best_value, seen.value),
                tf.where(is_checkpoint, seen.best_value, checked),
                tf.where(is_checkpoint, restarts, halved),
            ),
        )

    def move(self, is_first, images, current, previous, gradient, size, memory, epsilon) -> tf.Tensor:
        """Returns the next images: z = P(x + size sign(g)), then P(x + alpha (z - x) + (1 - alpha) (x - previous))."""
        alpha = tf.where(is_first, 1.0, self._ALPHA)
        project = self._projection(images, epsilon)
        direction = tf.sign(gradient) if self._norm == "linf" else unit_l2(gradient)
        stepped = project(current + wide(size) * epsilon * direction)
        return project(current + alpha * (stepped - current) + (1.0 - alpha) * (current - previous))

    def _projection(self, images: tf.Tensor, epsilon: tf.Tensor):
        if self._norm == "l2":
            return lambda points: within_l2(images, points, epsilon)
        lower, upper = tf.maximum(images - epsilon, 0.0), tf.minimum(images + epsilon, 1.0)
        return lambda points: tf.clip_by_value(points, lower, upper)


class SparseSteps:
    """Steps of Croce and Hein 2021, https://arxiv.org/abs/2103.01208, algorithm 1, in L1.

    A step has the same size in each of the k coordinates of the steepest slope, of those that can move, and is projected
    onto the intersection of ball and box. At a checkpoint, k becomes 2/3 of the coordinates that the best image has changed.
    If they have become fewer by 5 % the step size is set to epsilon again, and the walk goes on from the best image;
    otherwise it is divided by 1.5, down to epsilon / 10.

    It remembers k and the number of changed coordinates at the last checkpoint.
    """

    first_size: ClassVar[float] = 1.0
    types: ClassVar[tuple[Any, ...]] = (np.float32, np.float32)
    _FEWER: ClassVar[float] = 0.95
    _DIVISOR: ClassVar[float] = 1.5
    _LEAST: ClassVar[float] = 0.1
    # Of all coordinates, as long as nothing is known of the best image.
    _FIRST_SHARE: ClassVar[float] = 0.2

    def windows(self, steps: int) -> np.ndarray:
        """See `MomentumSteps.windows`: a checkpoint after every 4 % of the steps."""
        window, step = max(steps * 4 // 100, 1), np.arange(steps + 1)
        return np.where((step > 0) & (step % window == 0), window, 0).astype(np.int32)

    def memory(self, images: np.ndarray, start: np.ndarray, goes_on: bool) -> tuple[np.ndarray, ...]:
        """Returns the memory at a start, or where an earlier walk goes on with another epsilon."""
        size = math.prod(images.shape[1:])
        if not goes_on:
            return np.full(len(images), self._FIRST_SHARE * size, np.float32), np.full(len(images), size, np.float32)
        changed = np.sum(np.abs(start - images) > _CHANGED, axis=(1, 2, 3)).astype(np.float32)
        return changed / self._DIVISOR, changed

    def adapt(
        self, window: tf.Tensor, seen: Seen, size: tf.Tensor, memory: _Tensors
    ) -> tuple[tf.Tensor, tf.Tensor, _Tensors]:
        """See `MomentumSteps.adapt`."""
        count, before = memory
        changed = tf.reduce_sum(tf.cast(tf.abs(seen.best - seen.images) > _CHANGED, tf.float32), axis=(1, 2, 3))
        is_checkpoint = window > 0
        restarts = tf.logical_and(is_checkpoint, changed < self._FEWER * before)
        adapted = tf.where(restarts, self.first_size, tf.maximum(size / self._DIVISOR, self._LEAST * self.first_size))
        return (
            restarts,
            tf.where(is_checkpoint, adapted, size),
            (tf.where(is_checkpoint, changed / self._DIVISOR, count), tf.where(is_checkpoint, changed, before)),
        )

    def move(self, is_first, images, current, previous, gradient, size, memory, epsilon) -> tf.Tensor:
        """Returns the next images."""
        signs = _steepest(current, gradient, memory[0])
        share = size * epsilon / tf.maximum(tf.reduce_sum(tf.abs(signs), axis=(1, 2, 3)), 1.0)
        return nearest_within_l1(images, current + wide(share) * signs, epsilon)


def _steepest(current: tf.Tensor, gradient: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The gradient's signs in about `count` (float32, (n,)) coordinates of the steepest slope, and 0 elsewhere."""
    room = tf.where(gradient > 0.0, 1.0 - current, current)
    slopes = tf.where(room > 0.0, tf.abs(gradient), 0.0)
    size = math.prod(current.shape[1:])
    rank = tf.cast(tf.clip_by_value(tf.round(count), 1.0, float(size)), tf.int32) - 1
    # As many are sorted as the sample with the most needs.
    ordered = tf.math.top_k(tf.reshape(slopes, (-1, size)), tf.reduce_max(rank) + 1).values
    least = tf.gather(ordered, rank, batch_dims=1)
    return tf.where(tf.logical_and(slopes >= wide(least), slopes > 0.0), tf.sign(gradient), 0.0)
