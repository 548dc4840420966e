"""RayS: a search over the signs of a perturbation that uses the model's decisions only."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import tensorflow as tf

from cortexzoo.evaluation.attacks.base import Attack, Batch, Choices
from cortexzoo.evaluation.attacks.tensors import clearly_wrong, wide
from cortexzoo.evaluation.classifier import Classifier

# Flipping few pixels gains little, so the bisection tries a value near the old radius first.
_NEAR = 0.99


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayS(Attack):
    """Chen and Gu 2020, https://arxiv.org/abs/2006.12792: flips the signs of a ray while the boundary comes nearer.

    A ray is the image plus a radius times a sign for each value. Halves, quarters, ... and finally single values are
    flipped. A flip stays if the image at the old radius is still adversarial, and the radius is bisected again. On a linear
    model one pass over the single values reaches the nearest point of the boundary.

    Unlike in the authors' version the first rays point to images of other classes (`Batch.starts`) instead of having all
    signs positive, and the radius is always exact to `tolerance`. The passes over single values are repeated until a sample
    has converged, so that `passes` bounds the number of queries instead of a budget.

    Attributes:
        passes: int. Most passes over the single values.
        improvement: a sample has converged when a pass lowered its radius by less than this share.
        tolerance: relative precision of the radius.
    """

    name: ClassVar[str] = "rays"
    chunk_size: ClassVar[int] = 100
    uses_gradients: ClassVar[bool] = False
    needs_starts: ClassVar[bool] = True
    choices: ClassVar[Choices] = {"norm": ("linf",)}

    norm: str = "linf"
    passes: int = 5
    improvement: float = 1e-2
    tolerance: float = 1e-4

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        reach = classifier.compiled(("rays", self.tolerance), lambda: _build(classifier, self.tolerance))
        signs, radius = self._first_rays(reach, batch)
        active = np.flatnonzero(np.isfinite(radius))
        size = math.prod(classifier.image_shape)
        for stage in range(math.ceil(math.log2(size))):
            self._flip(reach, batch, active, signs, radius, -(-size // 2**stage))
        for _ in range(self.passes):
            before = radius[active]
            self._flip(reach, batch, active, signs, radius, 1)
            active = active[radius[active] < (1 - self.improvement) * before]
            if len(active) == 0:
                break
        found = np.isfinite(radius)
        images = batch.images.copy()
        images[found] = np.clip(images[found] + radius[found, None, None, None] * signs[found], 0.0, 1.0)
        return images

    def _first_rays(self, reach: Callable, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """The best ray of those towards the starts, and its radius; infinite where none ends in another class."""
        signs, radius = np.ones_like(batch.images), np.full(len(batch), np.inf, np.float32)
        for k in range(batch.starts.shape[1]):
            towards = np.where(batch.starts[:, k] > batch.images, np.float32(1), np.float32(-1))
            # At radius 1 every value is at its bound.
            found = reach(batch.images, towards, batch.labels, np.minimum(radius, 1.0)).numpy()
            nearer = found < np.minimum(radius, 1.0)
            signs[nearer], radius[nearer] = towards[nearer], found[nearer]
        return signs, radius

    def _flip(
        self, reach: Callable, batch: Batch, active: np.ndarray, signs: np.ndarray, radius: np.ndarray, width: int
    ) -> None:
        """Flips blocks of so many values one after the other, and keeps those flips that lower the radius."""
        size = math.prod(batch.images.shape[1:])
        images, labels = batch.images[active], batch.labels[active]
        rays, lengths = signs[active].reshape(len(active), size), radius[active]
        for first in range(0, size if len(active) else 0, width):
            block = slice(first, first + width)
            rays[:, block] *= -1
            found = reach(images, rays.reshape(images.shape), labels, lengths).numpy()
            worse = found >= lengths
            rays[worse, block] *= -1
            lengths = found
        signs[active], radius[active] = rays.reshape(images.shape), lengths


def _build(classifier: Classifier, tolerance: float) -> Callable:
    logits_of, image = classifier.endpoint("logits"), tf.TensorSpec((None, *classifier.image_shape), tf.float32)

    def wrong(images: tf.Tensor, signs: tf.Tensor, labels: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
        moved = tf.clip_by_value(images + wide(radius) * signs, 0.0, 1.0)
        return clearly_wrong(logits_of(moved), labels, classifier.noise)

    @tf.function(
        input_signature=[image, image, tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.float32)],
        autograph=False,
    )
    def reach(images, signs, labels, radius):
        """Returns the radius at which each ray crosses the boundary, where that is less than `radius`, else `radius`."""
        shorter = tf.where(wrong(images, signs, labels, (1 - tolerance) * radius))
        part = [tf.gather_nd(values, shorter) for values in (images, signs, labels, radius)]
        # Not every network takes an empty batch.
        found = tf.cond(tf.size(shorter) > 0, lambda: bisect(*part), lambda: part[-1])
        return tf.tensor_scatter_nd_update(radius, shorter, found)

    def bisect(images, signs, labels, radius):
        """Returns the radius of the boundary on rays that are known to cross it before `radius`."""

        def test(middle, low, high):
            found = wrong(images, signs, labels, middle)
            return tf.where(found, low, middle), tf.where(found, middle, high)

        loop = tf.while_loop(
            lambda low, high: tf.reduce_any(high - low > tolerance * high),
            lambda low, high: test((low + high) / 2, low, high),
            test(_NEAR * radius, tf.zeros_like(radius), (1 - tolerance) * radius),
            parallel_iterations=1,
            # Forty halvings are beyond float32; a ray that is adversarial at any radius has none to end at.
            maximum_iterations=40,
        )
        return loop[1]

    return reach
