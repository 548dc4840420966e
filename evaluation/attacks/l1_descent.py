"""Gradient steps within an L1 ball: plain, and sparse."""

import dataclasses
import math
from typing import ClassVar

import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Choices
from cortexzoo.evaluation.attacks.cleverhans import GradientAttack
from cortexzoo.evaluation.attacks.tensors import wide


@dataclasses.dataclass(frozen=True, kw_only=True)
class L1Descent(GradientAttack):
    """Foolbox 3's FGM, BIM and PGD in L1: steps along the gradient of length `relative_step * epsilon` in L1.

    What leaves the ball is scaled back. CleverHans' L1 step changes one pixel only; this one changes all.
    """

    name: ClassVar[str] = "l1_descent"
    choices: ClassVar[Choices] = {**GradientAttack.choices, "norm": ("l1",)}

    norm: str = "l1"

    def _update(self, images, current, momentum, gradient, radius):
        moved = current + self.relative_step * radius * self._direction(current, gradient)
        return tf.clip_by_value(images + self._project(moved - images, radius), 0.0, 1.0), momentum

    def _direction(self, current, gradient):
        return gradient / tf.maximum(wide(_length(gradient)), 1e-12)

    def _project(self, difference, radius):
        return difference * tf.minimum(radius / tf.maximum(wide(_length(difference)), 1e-12), 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseL1Descent(L1Descent):
    """Tramèr and Boneh 2019, https://arxiv.org/abs/1904.13000: steps in the few pixels of the greatest gradient.

    Attributes:
        quantile: of the gradient's magnitudes, above which a pixel takes part.
    """

    name: ClassVar[str] = "sparse_l1_descent"
    version: ClassVar[int] = 2

    steps: int = 10
    relative_step: float = 0.2
    quantile: float = 0.99

    def _direction(self, current, gradient):
        # A pixel at the border of the box cannot go on.
        stuck = tf.logical_or(tf.logical_and(current <= 0.0, gradient < 0), tf.logical_and(current >= 1.0, gradient > 0))
        gradient = tf.where(stuck, 0.0, gradient)
        pixels = math.prod(current.shape[1:])
        kept = max(1, round((1 - self.quantile) * pixels))
        least = tf.math.top_k(tf.reshape(tf.abs(gradient), (-1, pixels)), kept).values[:, -1]
        signs = tf.where(tf.abs(gradient) >= wide(least), tf.sign(gradient), 0.0)
        return signs / tf.maximum(wide(_length(signs)), 1e-12)

    def _project(self, difference, radius):
        """The Euclidean projection onto the L1 ball (Duchi et al. 2008)."""
        flat = tf.reshape(difference, (tf.shape(difference)[0], -1))
        radius = radius[:, :, 0, 0]
        ordered = tf.sort(tf.abs(flat), axis=1, direction="DESCENDING")
        total = tf.cumsum(ordered, axis=1)
        rank = tf.range(1, tf.shape(flat)[1] + 1, dtype=flat.dtype)
        # How many entries stay different from zero.
        count = tf.reduce_sum(tf.cast(ordered * rank > total - radius, tf.int32), axis=1)
        last = tf.gather(total, tf.maximum(count - 1, 0), batch_dims=1)[:, None]
        threshold = (last - radius) / tf.cast(tf.maximum(count, 1), flat.dtype)[:, None]
        shrunk = tf.sign(flat) * tf.maximum(tf.abs(flat) - tf.maximum(threshold, 0.0), 0.0)
        return tf.reshape(shrunk, tf.shape(difference))


def _length(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.abs(values), axis=(1, 2, 3))
